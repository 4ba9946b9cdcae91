//! What to keep warm, and on which rung: from how often instances are started, what each kept thing saves and what it
//! holds. Pure.
//!
//! A template saves, at every start, what a fork is cheaper than a fresh process. A spare saves what being there already
//! is cheaper than a fork, but only if no other start has just taken it: of several spares each is worth less than the
//! one before. Things are kept in order of microseconds saved per second and byte, until the budget is used up or they
//! save too little; so under pressure what is cheap to rebuild goes first.

use std::time::Duration;
use world::Moment;

/// How long a start counts: the time in which its weight falls to a third.
const MEMORY: Duration = Duration::from_secs(600);

/// Least that a mebibyte must save: microseconds each second. A spare for one start in about three hours.
const LEAST_WORTH: f64 = 0.1;

/// An instance is kept for so many times the time that its start takes: a second for each millisecond.
const IDLE_FOR_EACH_START: u32 = 1_000;

/// No instance is ended sooner: whoever calls by hand calls again.
const SHORTEST_IDLE: Duration = Duration::from_secs(5);

/// Most spares of one kind.
const MOST_SPARES: usize = 16;

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// How often something is started, lately.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arrivals {
    weight: f64,
    at: Moment,
}

impl Arrivals {
    /// One more start.
    pub(crate) fn note(&mut self, now: Moment) {
        self.weight = self.weight_at(now) + 1.0;
        self.at = now;
    }

    /// Starts a second.
    pub(crate) fn rate(&self, now: Moment) -> f64 {
        self.weight_at(now) / MEMORY.as_secs_f64()
    }

    fn weight_at(&self, now: Moment) -> f64 {
        self.weight * (-(now - self.at).as_secs_f64() / MEMORY.as_secs_f64()).exp()
    }
}

/// What one kind of start costs on each rung, in microseconds, and what the rungs hold, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs {
    pub(crate) spawn_us: f64,
    pub(crate) fork_us: f64,
    pub(crate) spare_us: f64,
    /// To make a spare again, the machine being otherwise idle.
    pub(crate) refill_us: f64,
    /// `None`: nothing is forked. Each spare is a process of its own and saves a spawn.
    pub(crate) template_bytes: Option<f64>,
    pub(crate) spare_bytes: f64,
}

/// One kind of start: a runtime, or a function version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    /// Starts a second.
    pub(crate) rate: f64,
    pub(crate) costs: Costs,
    /// Spares that are kept whatever they save: somebody was promised them.
    pub(crate) promised: usize,
}

/// What is kept of an offer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) template: bool,
    pub(crate) spares: usize,
}

/// How long an instance is kept that has no call, if making another takes `start`; `most` while that is not known.
///
/// Of something that was not called for a while nobody knows more than that it may be as long again. So its memory is
/// worth less from second to second, and what it saves is the start: what takes ten times as long to make is kept ten
/// times as long.
pub(crate) fn idle_for(start: Option<Duration>, most: Duration) -> Duration {
    let worth = start.map_or(most, |start| start.saturating_mul(IDLE_FOR_EACH_START));
    worth.max(SHORTEST_IDLE).min(most)
}

/// What to keep of each offer within `budget` bytes.
pub(crate) fn keep(offers: &[Offer], budget: f64) -> Vec<Kept> {
    let mut kept = vec![Kept::default(); offers.len()];
    let mut left = budget;
    for (offer, kept) in offers.iter().zip(&mut kept).filter(|(offer, _)| offer.promised > 0) {
        *kept = Kept { template: true, spares: offer.promised };
        left -= offer.costs.template_bytes.unwrap_or(0.0) + offer.costs.spare_bytes * count(offer.promised);
    }
    let mut rungs: Vec<(usize, Rung)> = offers.iter().enumerate().flat_map(rungs).collect();
    rungs.sort_by(|(_, a), (_, b)| b.worth.total_cmp(&a.worth));
    for (index, rung) in rungs {
        let kept = &mut kept[index];
        let has_template = kept.template || offers[index].costs.template_bytes.is_none();
        let next = if rung.is_template { !kept.template } else { has_template && rung.nth == kept.spares };
        if next && rung.bytes <= left {
            left -= rung.bytes;
            match rung.is_template {
                true => kept.template = true,
                false => kept.spares += 1,
            }
        }
    }
    kept
}

/// One thing that could be kept.
struct Rung {
    is_template: bool,
    /// Spares before this one.
    nth: usize,
    bytes: f64,
    /// Microseconds saved per second and byte.
    worth: f64,
}

fn rungs((index, offer): (usize, &Offer)) -> impl Iterator<Item = (usize, Rung)> {
    let Offer { rate, costs, .. } = *offer;
    let least = LEAST_WORTH / MEBIBYTE;
    let template = costs.template_bytes.map(|bytes| {
        let worth = rate * (costs.spawn_us - costs.fork_us) / bytes;
        Rung { is_template: true, nth: 0, bytes, worth }
    });
    // Never before the template that it is made from.
    let (instead_us, most) =
        template.as_ref().map_or((costs.spawn_us, f64::MAX), |template| (costs.fork_us, template.worth));
    let busy = rate * costs.refill_us / 1e6;
    let spares = (0..MOST_SPARES).map(move |nth| {
        let worth = rate * at_least(nth, busy) * (instead_us - costs.spare_us) / costs.spare_bytes;
        Rung { is_template: false, nth, bytes: costs.spare_bytes, worth: worth.min(most) }
    });
    template.into_iter().chain(spares).filter(move |rung| rung.worth >= least).map(move |rung| (index, rung))
}

/// The chance that at least `count` starts come within a time in which `mean` are expected (Poisson).
fn at_least(least: usize, mean: f64) -> f64 {
    let mut term = (-mean).exp();
    let mut below = 0.0;
    for number in 0..least {
        below += term;
        term *= mean / count(number + 1);
    }
    1.0 - below
}

#[allow(clippy::cast_precision_loss, reason = "a handful")]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: Costs = Costs {
        spawn_us: 50_000.0,
        fork_us: 2_000.0,
        spare_us: 300.0,
        refill_us: 3_000.0,
        template_bytes: Some(12.0 * MEBIBYTE),
        spare_bytes: 1.5 * MEBIBYTE,
    };

    fn offer(rate: f64) -> Offer {
        Offer { rate, costs: COSTS, promised: 0 }
    }

    #[test]
    fn keeps_more_of_what_is_started_more_often() {
        let cases = [
            ("never", 0.0, false, 0..1),
            ("once a day", 1.0 / 86_400.0, false, 0..1),
            ("every ten minutes", 1.0 / 600.0, true, 1..2),
            ("each second", 1.0, true, 1..3),
            ("a hundred a second", 100.0, true, 2..8),
            ("more than can be refilled", 1000.0, true, 6..17),
        ];
        let mut before = 0;
        for (name, rate, template, spares) in cases {
            let kept = keep(&[offer(rate)], 1e12)[0];
            assert_eq!(kept.template, template, "{name}");
            assert!(spares.contains(&kept.spares) && kept.spares >= before, "{name}: {kept:?}");
            before = kept.spares;
        }
    }

    #[test]
    fn a_budget_goes_to_what_saves_most() {
        let (busy, quiet) = (offer(10.0), offer(0.01));
        let room = |mebibytes: f64| keep(&[quiet, busy], mebibytes * MEBIBYTE);
        assert_eq!(room(0.0), [Kept::default(); 2]);
        assert_eq!(room(11.0), [Kept::default(); 2], "no template fits, and no spare without it");
        let kept = room(14.0);
        assert_eq!((kept[0], kept[1].template, kept[1].spares), (Kept::default(), true, 1));
        let kept = room(40.0);
        assert!(kept[0].template && kept[1].template && kept[1].spares >= kept[0].spares, "{kept:?}");
    }

    #[test]
    fn promises_are_kept_first_and_count() {
        let promised = Offer { promised: 3, ..offer(0.0) };
        let kept = keep(&[promised, offer(5.0)], 20.0 * MEBIBYTE);
        assert_eq!(kept[0], Kept { template: true, spares: 3 });
        assert_eq!(kept[1], Kept::default(), "there is no room left");
    }

    /// Processes that wait and are not forked, as JVMs are.
    #[test]
    fn without_a_template_a_spare_saves_a_spawn() {
        let costs =
            Costs { template_bytes: None, spawn_us: 250_000.0, spare_bytes: 36.0 * MEBIBYTE, ..COSTS };
        let costs = Costs { refill_us: 900_000.0, ..costs };
        let waiting = |rate| Offer { rate, costs, promised: 0 };
        let cases = [(0.0, 0..1), (1.0 / 86_400.0, 0..1), (1.0 / 600.0, 1..2), (1.0, 2..12), (100.0, 16..17)];
        for (rate, expected) in cases {
            let kept = keep(&[waiting(rate)], 1e12)[0];
            assert!(!kept.template && expected.contains(&kept.spares), "{rate}: {kept:?}");
        }
        let kept = keep(&[offer(0.1), waiting(0.1)], 13.5 * MEBIBYTE);
        assert_eq!((kept[0].spares, kept[1].spares), (1, 0), "it does not fit");
        // Under pressure what is cheap to rebuild goes first: a copy does, then its template.
        let kept = keep(&[offer(0.01), waiting(0.01)], 48.5 * MEBIBYTE);
        assert_eq!((kept[0], kept[1].spares), (Kept { template: true, spares: 0 }, 1));
    }

    /// A component that is deployed counts as one start: a process that has loaded it waits, but not for ever.
    #[test]
    fn what_nobody_calls_is_let_go() {
        let costs = Costs { template_bytes: None, spawn_us: 2_500.0, spare_us: 400.0, ..COSTS };
        let costs = Costs { refill_us: 15_000.0, spare_bytes: 4.0 * MEBIBYTE, ..costs };
        let mut arrivals = Arrivals::default();
        arrivals.note(Moment(0));
        for (minutes, spares) in [(0, 1), (1, 1), (20, 1), (30, 0), (60, 0)] {
            let rate = arrivals.rate(Moment(minutes * 60_000_000));
            let kept = keep(&[Offer { rate, costs, promised: 0 }], 1e12)[0];
            assert_eq!(kept.spares, spares, "after {minutes} minutes");
        }
    }

    #[test]
    fn what_is_quickly_made_is_soon_let_go() {
        let most = Duration::from_secs(300);
        for (start_ms, idle_s) in [(0, 5), (1, 5), (6, 6), (10, 10), (50, 50), (100, 100), (10_000, 300)] {
            assert_eq!(
                idle_for(Some(Duration::from_millis(start_ms)), most).as_secs(),
                idle_s,
                "{start_ms} ms"
            );
        }
        assert_eq!(idle_for(None, most), most);
        let short = Duration::from_secs(1);
        assert_eq!(idle_for(Some(most), short), short, "never longer than its owner says");
    }

    #[test]
    fn starts_are_forgotten() {
        let mut arrivals = Arrivals::default();
        let second = |s: u64| Moment(s * 1_000_000);
        assert!(arrivals.rate(second(5)) < f64::EPSILON);
        (0..60).for_each(|s| arrivals.note(second(s * 10)));
        let (now, later) = (arrivals.rate(second(600)), arrivals.rate(second(4200)));
        assert!((0.05..0.08).contains(&now), "{now}");
        assert!(later < now / 100.0, "{later}");
    }

    #[test]
    fn chances_add_up() {
        for (least, mean, expected) in
            [(0, 0.0, 1.0), (1, 0.0, 0.0), (0, 5.0, 1.0), (1, 1.0, 0.632), (2, 1.0, 0.264)]
        {
            assert!((at_least(least, mean) - expected).abs() < 0.001, "{least} of {mean}");
        }
    }
}
