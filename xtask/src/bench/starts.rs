//! `bench starts`: from the request's first byte to the answer's, on each rung, against a process of one's own.

mod cases;
mod floor;
mod subject;

use super::Setting;
use super::figure::{Bound, Row, Samples, ratio};
use super::platform::Platform;
use super::progress;
use cases::Case;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use subject::Subject;

const ROUNDS: usize = 20;
const QUICK_ROUNDS: usize = 4;
/// A start on another rung than the one wanted is tried again this often: what it wants may still be in the making.
const RETRIES: usize = 3;
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// How long both sides rest before a sample.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) name: &'static str,
    pub(crate) rest: Duration,
}

pub(crate) const PACES: &[Pace] = &[
    Pace { name: "back to back", rest: Duration::ZERO },
    Pace { name: "after 200 ms of idleness", rest: Duration::from_millis(200) },
];

/// The one pace of `bench main`.
const MAIN_PACE: &[Pace] = &[Pace { name: "after 100 ms of idleness", rest: Duration::from_millis(100) }];

/// The rows of `bench starts`.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    rows(setting, cases::CASES, PACES)
}

/// The cold rows of `bench main`.
pub(crate) fn cold(setting: &Setting) -> Result<Vec<Row>, String> {
    rows(setting, cases::MAIN, MAIN_PACE)
}

fn rows(setting: &Setting, cases: &[Case], paces: &[Pace]) -> Result<Vec<Row>, String> {
    let data = setting.folder.join("data-starts");
    let platform = Platform::start(Command::new(&setting.program), &data, &[])?;
    let wanted = cases.iter().filter(|case| setting.wants(case.name));
    Ok(wanted.flat_map(|case| case_rows(setting, &platform, case, paces)).collect())
}

fn case_rows(setting: &Setting, platform: &Platform, case: &Case, paces: &[Pace]) -> Vec<Row> {
    progress::say(&format!("start: {}", case.name));
    let prepared = (case.prepare)(setting, platform);
    let mut subject = match prepared {
        Ok(subject) => subject,
        Err(why) => {
            let promise = format!("{}, against {}", case.name, case.peer);
            return vec![Row::unmeasured(promise, case.bound, &why).with_stretch(case.stretch)];
        }
    };
    let rows = paces.iter().map(|pace| {
        let promise = format!("{}, {}, against {}", case.name, pace.name, case.peer);
        match pairs(setting, platform, case, (&mut subject, *pace)) {
            Ok(pairs) => pairs.row(case, promise, subject.floor.as_ref().map(|floor| floor.name)),
            Err(why) => Row::unmeasured(promise, case.bound, &why).with_stretch(case.stretch),
        }
    });
    rows.collect()
}

/// Starts of both sides, taken in turn.
#[derive(Default)]
struct Pairs {
    ours: Samples,
    peer: Samples,
    /// Of the row's floor, where it has one.
    floor: Samples,
    /// The rung of each of our starts, as its record says.
    rungs: Vec<String>,
}

fn pairs(
    setting: &Setting,
    platform: &Platform,
    case: &Case,
    (subject, pace): (&mut Subject, Pace),
) -> Result<Pairs, String> {
    let mut pairs = Pairs::default();
    let rounds = setting.count(ROUNDS, QUICK_ROUNDS);
    for round in 0..=rounds {
        progress::part(&format!("start: {}, {}", case.name, pace.name), round, rounds);
        let (first_byte, rung) = start(platform, case, subject, pace)?;
        sleep(pace.rest);
        let peer = subject.peer()?;
        let floor = match &mut subject.floor {
            Some(floor) => {
                sleep(pace.rest);
                Some(floor.start()?)
            }
            None => None,
        };
        if round > 0 {
            pairs.ours.push(first_byte);
            pairs.peer.push(peer);
            floor.into_iter().for_each(|floor| pairs.floor.push(floor));
            pairs.rungs.push(rung);
        }
    }
    Ok(pairs)
}

fn start(
    platform: &Platform,
    case: &Case,
    subject: &mut Subject,
    pace: Pace,
) -> Result<(Duration, String), String> {
    let mut attempt = 0;
    loop {
        subject.ready(platform, case.rung)?;
        sleep(pace.rest);
        let (first_byte, rung) = subject.call(platform)?;
        if attempt == RETRIES || case.rung.is_none_or(|wanted| wanted == rung) {
            return Ok((first_byte, rung));
        }
        attempt += 1;
        sleep(RETRY_PAUSE);
    }
}

impl Pairs {
    fn row(&self, case: &Case, promise: String, floor: Option<&str>) -> Row {
        let floor = floor.map(|name| {
            let (floor, peer) = (self.floor.p50_us(), self.peer.p50_us());
            format!("; floor: {name} {:.2} ms, {}", floor / 1e3, ratio(floor / peer))
        });
        let measured = format!(
            "{:.2} ms against {:.2} ms; p99 {:.2} and {:.2} ms; n = {}; {}{}",
            self.ours.p50_us() / 1e3,
            self.peer.p50_us() / 1e3,
            self.ours.p99_us() / 1e3,
            self.peer.p99_us() / 1e3,
            self.ours.count(),
            tally(&self.rungs),
            floor.unwrap_or_default(),
        );
        Row::new(promise, case.bound, self.ours.p50_us() / self.peer.p50_us(), measured)
            .with_stretch(case.stretch)
            .with_doubt(other_rung(case.rung, &self.rungs))
    }
}

/// Why these starts are not the ones that were wanted; nothing where they are.
fn other_rung(wanted: Option<&str>, rungs: &[String]) -> Option<String> {
    let wanted = wanted?;
    let others = rungs.iter().filter(|rung| rung.as_str() != wanted).count();
    (others > 0).then(|| format!("{others} of {} starts were not on the rung {wanted}", rungs.len()))
}

/// `20 spawn, 1 fork`.
fn tally(rungs: &[String]) -> String {
    let mut names: Vec<&String> = rungs.iter().collect();
    names.sort_unstable();
    names.dedup();
    let count = |name: &String| rungs.iter().filter(|rung| *rung == name).count();
    let parts: Vec<String> = names.iter().map(|name| format!("{} {name}", count(name))).collect();
    parts.join(", ")
}

/// At most `1/n`.
const fn part(n: f64) -> Bound {
    Bound::AtMost(1.0 / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_cannot_lie_about_its_rung() {
        let rungs = ["fork", "spawn", "fork"].map(str::to_owned);
        assert_eq!(tally(&rungs), "2 fork, 1 spawn");
        assert_eq!(
            other_rung(Some("fork"), &rungs).as_deref(),
            Some("1 of 3 starts were not on the rung fork")
        );
        assert_eq!(other_rung(Some("fork"), &rungs[2..]), None);
        assert_eq!(other_rung(None, &rungs), None);
    }
}
