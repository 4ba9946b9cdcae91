//! `bench trace`: a day of many apps, most of them rarely called, against a fixed keep-alive on the same trace.

pub(crate) mod arrivals;
mod azure;
mod keep_alive;

use super::bare::Bare;
use super::figure::{Bound, Row, quantile};
use super::fleet::{self, Package};
use super::load::{self, Outcome};
use super::packages::{self, EVENT, Hello};
use super::platform::Platform;
use super::processes::Tree;
use super::{Setting, progress, write_files};
use azure::App;
use keep_alive::{Arrival, Kept};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SEED: u64 = 2019;
const APPS: usize = 2_000;
const QUICK_APPS: usize = 400;
/// Trace time a wall second.
const COMPRESSION: f64 = 60.0;
const WALL_S: u64 = 240;
const QUICK_WALL_S: u64 = 40;
/// What the peer keeps an unused instance, in trace time.
const KEEP_S: f64 = 600.0;
/// What the platform keeps an unused instance: a minute of trace time, since a start is cheap.
const IDLE_TIMEOUT: &[&str] = &["--idle-timeout", "1s"];
const SLOW_START_US: u64 = 10_000;
const SAMPLE_EVERY: Duration = Duration::from_secs(4);
const MIB: f64 = 1048576.0;
const FLEET: &str = "app";
const STARTS: &str = "trace, starts above 10 ms, against a fixed ten-minute keep-alive";
const MEMORY: &str = "trace, memory-minutes of instances, against a fixed ten-minute keep-alive";

/// An app: holds its memory from its first line on, then waits and computes as its event says.
const HANDLER: &str = "import os\nimport time\n\nheld = b\"x\" * int(os.environ.get(\"HELD_BYTES\", \"0\"))\n\n\n\
    def handler(event, context):\n    end = time.process_time() + event.get(\"cpu_us\", 0) / 1e6\n    \
    while time.process_time() < end:\n        pass\n    time.sleep(event.get(\"wait_us\", 0) / 1e6)\n    \
    return {\"held\": len(held)}\n";

/// The rows of `bench trace`.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let span = Duration::from_secs(if setting.quick { QUICK_WALL_S } else { WALL_S });
    let apps = azure::apps(SEED, setting.count(APPS, QUICK_APPS), COMPRESSION);
    let plan = arrivals::merged(&apps, span, SEED);
    let platform = Platform::start(
        Command::new(&setting.program),
        &setting.folder.join("data-trace"),
        &[IDLE_TIMEOUT, &["--memory-percent", "100"]].concat(),
    )?;
    create(&platform, &apps)?;
    let peer = peer(setting, &platform, &apps, (&plan, span))?;
    progress::say(&format!("trace: {} calls of {} apps in {span:?}", plan.len(), apps.len()));
    let (outcomes, held_mb) = replay(&platform, &apps, &plan)?;
    let ours = starts(&platform, &apps, &plan)?;
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.is_ok()).collect();
    let failure = failed
        .first()
        .map(|first| format!("{} calls failed, call {} first: {:?}", failed.len(), first.index, first.error));
    let short = (apps.len() != APPS).then(|| format!("a quick run has {} apps", apps.len()));
    let latencies = outcomes.iter().filter(|o| o.is_ok()).map(|o| o.latency.as_secs_f64() * 1e3).collect();
    Ok(rows(&Compared { peer, ours, held_mb, span, calls: plan.len(), p99_ms: quantile(latencies, 0.99) })
        .map(|row| {
            let doubt = row.doubt.clone().or_else(|| short.clone());
            row.with_failure(failure.clone()).with_doubt(doubt)
        })
        .into())
}

fn create(platform: &Platform, apps: &[App]) -> Result<(), String> {
    let package = Package {
        runtime: platform.runtime_name("python")?,
        handler: "handler.handler",
        zip: packages::zip("handler.py", HANDLER)?,
        memory_mb: 128,
        timeout_s: 30,
    };
    fleet::create(platform, &package, (FLEET, apps.len()), |index| {
        vec![("HELD_BYTES", apps[index].memory_bytes.to_string())]
    })?;
    Ok(())
}

/// Sends the plan; gives what became of it and the mean memory below the launcher in MiB.
fn replay(platform: &Platform, apps: &[App], plan: &[Arrival]) -> Result<(Vec<Outcome>, f64), String> {
    let times: Vec<Duration> = plan.iter().map(|arrival| arrival.at).collect();
    let (signer, launcher, over) = (platform.signer(), platform.launcher()?, AtomicBool::new(false));
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut samples = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let below: f64 = super::processes::children(launcher)
                    .into_iter()
                    .map(|pid| Tree::below(pid).memory().proportional)
                    .sum();
                samples.push(below / MIB);
                thread::sleep(SAMPLE_EVERY);
            }
            samples
        });
        let outcomes = load::open(signer.host(), &times, |index| {
            let app = &apps[plan[index].app];
            let (cpu_us, wait_us) = (app.cpu.as_micros(), app.wait.as_micros());
            let event = format!("{{\"cpu_us\":{cpu_us},\"wait_us\":{wait_us}}}");
            signer.invoke(&fleet::name(FLEET, plan[index].app), event.as_bytes()).unwrap_or_default()
        });
        over.store(true, Ordering::Relaxed);
        let samples = sampler.join().map_err(|_| "the sampler panicked".to_owned())?;
        #[allow(clippy::cast_precision_loss)]
        let mean = samples.iter().sum::<f64>() / samples.len().max(1) as f64;
        Ok((outcomes?, mean))
    })
}

/// Starts on every rung and those above 10 ms, as the records of all invocations say.
#[derive(Debug, Default, Clone, Copy)]
struct Starts {
    all: usize,
    slow: usize,
    records: usize,
}

fn starts(platform: &Platform, apps: &[App], plan: &[Arrival]) -> Result<Starts, String> {
    let mut calls = vec![0_usize; apps.len()];
    for arrival in plan {
        calls[arrival.app] += 1;
    }
    thread::sleep(Duration::from_secs(1));
    let mut starts = Starts::default();
    for (index, count) in calls.iter().enumerate().filter(|(_, count)| **count > 0) {
        progress::part("trace: reading records of app", index, apps.len());
        for record in platform.records(&fleet::name(FLEET, index), *count)? {
            starts.records += 1;
            if record["Rung"] == "idle" {
                continue;
            }
            let phase = |name: &str| record["Phases"][name].as_u64().unwrap_or(0);
            starts.all += 1;
            starts.slow +=
                usize::from(phase("QueueUs") + phase("SandboxUs") + phase("InitUs") > SLOW_START_US);
        }
    }
    Ok(starts)
}

/// The peer: the same arrivals with a fixed keep-alive, each instance a spawned interpreter as measured here.
struct Peer {
    kept: Kept,
    memory_mb_s: f64,
    base_mb: f64,
}

fn peer(
    setting: &Setting,
    platform: &Platform,
    apps: &[App],
    (plan, span): (&[Arrival], Duration),
) -> Result<Peer, String> {
    let folder = setting.folder.join("trace");
    write_files(&folder, &[("handler.py", HANDLER)])?;
    let hello = Hello { name: "python", script: setting.sources.join("bare.py"), folder };
    let (start, base_mb) = spawned(&platform.interpreter("python")?, &hello)?;
    let keep = Duration::from_secs_f64(KEEP_S / COMPRESSION);
    let kept = keep_alive::simulate(apps, plan, (start, keep, span));
    #[allow(clippy::cast_precision_loss)]
    let memory_mb_s = kept
        .instance_seconds
        .iter()
        .zip(apps)
        .map(|(seconds, app)| seconds * (base_mb + app.memory_bytes as f64 / MIB))
        .sum();
    Ok(Peer { kept, memory_mb_s, base_mb })
}

/// A spawned interpreter with the handler: its start, and the memory that is its own beside another one.
fn spawned(interpreter: &str, hello: &Hello) -> Result<(Duration, f64), String> {
    #![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]
    let spawn = || {
        let mut command = Command::new(interpreter);
        command.arg(&hello.script);
        let mut bare = Bare::spawn(command, &hello.folder).map_err(|e| e.to_string())?;
        bare.call(EVENT).map_err(|e| format!("the spawned interpreter: {e}"))?;
        Ok::<Bare, String>(bare)
    };
    let _beside = spawn()?;
    let began = Instant::now();
    let bare = spawn()?;
    Ok((began.elapsed(), Tree::below(bare.pid()).memory().private / MIB))
}

/// What both sides came to.
struct Compared {
    peer: Peer,
    ours: Starts,
    held_mb: f64,
    span: Duration,
    calls: usize,
    p99_ms: f64,
}

#[allow(clippy::cast_precision_loss)]
fn rows(compared: &Compared) -> [Row; 2] {
    let Compared { peer, ours, held_mb, span, calls, p99_ms } = compared;
    let minutes = |mb_s: f64| mb_s / 60.0;
    let held = minutes(held_mb * span.as_secs_f64());
    let kept = minutes(peer.memory_mb_s);
    let starts = Row::new(
        STARTS,
        Bound::AtMost(1.0),
        ours.slow as f64 / (peer.kept.starts as f64).max(1.0),
        format!(
            "{} of {} starts above 10 ms in {calls} calls ({} records), p99 of all {p99_ms:.0} ms; the keep-alive \
             starts {} times; {COMPRESSION:.0} s of trace a second",
            ours.slow, ours.all, ours.records, peer.kept.starts
        ),
    );
    let memory = Row::new(
        MEMORY,
        Bound::AtMost(0.1),
        held / kept,
        format!(
            "{held:.0} MiB-minutes (mean {held_mb:.0} MiB below the launcher) against {kept:.0}, with {:.1} MiB of its \
             own in a spawned interpreter; one function for each app",
            peer.base_mb
        ),
    );
    let lost = (ours.records < *calls).then(|| format!("{} of {calls} records were read", ours.records));
    [starts.with_doubt(lost), memory]
}
