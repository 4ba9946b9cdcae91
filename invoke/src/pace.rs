//! How fast a revision starts and serves, and what follows for starting more of it. Pure.
//!
//! A call that waits takes whichever comes first, an instance that becomes free or a new one. So a new one is started
//! only where it comes first: not for a hundred calls that one busy instance answers before another could be up.

use std::time::Duration;
use world::Moment;

/// What was observed of a revision: smoothed, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// From the wish for an instance until it is ready.
    start_us: Option<u64>,
    /// From the hand-over of a call until its instance is free for the next.
    call_us: Option<u64>,
}

/// The calls that a revision has, at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    /// Without an instance.
    pub(crate) waiting: usize,
    /// Of these, how many no starting instance will take.
    pub(crate) uncovered: usize,
    /// Instances that will be free for them.
    pub(crate) serving: usize,
    /// For how long running calls have been served, on average, in microseconds.
    pub(crate) served_us: u64,
    /// How many calls those and the starting ones can serve at once.
    pub(crate) slots: usize,
}

const SHORTEST_RECHECK: Duration = Duration::from_millis(1);

impl Pace {
    pub(crate) fn note_start(&mut self, took: Duration) {
        self.start_us = Some(smooth(self.start_us, took, 4));
    }

    pub(crate) fn note_call(&mut self, took: Duration) {
        self.call_us = Some(smooth(self.call_us, took, 8));
    }

    /// What a start takes, once one was seen.
    pub(crate) fn start(&self) -> Option<Duration> {
        self.start_us.map(Duration::from_micros)
    }

    /// How long to wait before calls that were left to the busy instances are looked at again.
    pub(crate) fn recheck(&self) -> Duration {
        Duration::from_micros(self.start_us.unwrap_or(0)).max(SHORTEST_RECHECK)
    }

    /// How many more calls at once are worth new instances: as many as it takes so that those who wait are served
    /// within the time that a start takes. All, while nothing is known or nothing is serving.
    pub(crate) fn more_slots(&self, crowd: Crowd) -> usize {
        let (Some(start_us), Some(call_us)) = (self.start_us, self.call_us) else { return crowd.uncovered };
        if crowd.serving == 0 {
            return crowd.uncovered;
        }
        // What runs for longer than usual says that usual is over.
        let call_us = call_us.max(crowd.served_us);
        let work_us = (crowd.waiting as u64).saturating_mul(call_us);
        let slots = usize::try_from(work_us.div_ceil(start_us.max(1))).unwrap_or(usize::MAX);
        slots.saturating_sub(crowd.slots).min(crowd.uncovered)
    }
}

fn smooth(before: Option<u64>, took: Duration, parts: u64) -> u64 {
    let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    match before {
        Some(before) => before - before / parts + took / parts,
        None => took,
    }
}

/// Starts that fail one after the other: after a few, one is tried at a time, and ever more rarely.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Breaker {
    failures: u32,
    until: Option<Moment>,
    failed: Option<Moment>,
}

/// So many failures in a row are taken for accidents.
const TOLERATED: u32 = model::limit("failed-starts") as u32;
/// A row of failures ends without any.
const MEMORY: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(model::limit("failed-starts-pause"));

impl Breaker {
    pub(crate) fn started(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn failed(&mut self, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        self.failed = Some(now);
        if self.failures >= TOLERATED {
            let doublings = (self.failures - TOLERATED).min(16);
            self.until = Some(now + FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE));
        }
    }

    /// Whether a start failed so lately that the next failure is one more of the same row.
    pub(crate) fn remembers(&self, now: Moment) -> bool {
        self.failed.is_some_and(|failed| now - failed < MEMORY)
    }

    /// Whether starts have failed often enough to be tried one at a time.
    pub(crate) fn is_tripped(&self) -> bool {
        self.failures >= TOLERATED
    }

    /// When the next start may be tried, if not now.
    pub(crate) fn closed_until(&self, now: Moment) -> Option<Moment> {
        self.until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn pace(start_ms: u64, call_us: u64) -> Pace {
        Pace { start_us: Some(start_ms * 1000), call_us: Some(call_us) }
    }

    #[test]
    fn what_a_busy_instance_serves_sooner_starts_nothing() {
        let crowd =
            |waiting, serving| Crowd { waiting, uncovered: waiting, serving, served_us: 0, slots: serving };
        let table = [
            (pace(20, 100), crowd(63, 1), 0, "63 calls of 0.1 ms are served in a third of a start"),
            (pace(20, 1000), crowd(63, 1), 3, "of 1 ms: four instances serve them in a start's time"),
            (pace(20, 100_000), crowd(63, 1), 63, "of 100 ms: each its own"),
            (pace(20, 20_000), crowd(1, 1), 0, "one that waits as long as a start takes"),
            (pace(20, 100_000), crowd(1, 64), 0, "64 that are each busy for 100 ms: one is free in 2 ms"),
            (pace(20, 100), crowd(5, 0), 5, "nothing runs"),
            (Pace::default(), crowd(5, 3), 5, "nothing is known"),
            (pace(0, 100), crowd(5, 1), 5, "a start costs nothing"),
        ];
        for (pace, crowd, more, why) in table {
            assert_eq!(pace.more_slots(crowd), more, "{why}");
        }
    }

    #[test]
    fn one_that_hangs_does_not_keep_the_others_waiting() {
        let (pace, mut more) = (pace(20, 100), Vec::new());
        for served_ms in [0, 20, 40, 400] {
            let crowd =
                Crowd { waiting: 10, uncovered: 10, serving: 1, served_us: served_ms * 1000, slots: 1 };
            more.push(pace.more_slots(crowd));
        }
        assert_eq!(more, [0, 9, 10, 10]);
        let crowd = Crowd { waiting: 10, uncovered: 6, serving: 1, served_us: 400_000, slots: 5 };
        assert_eq!(pace.more_slots(crowd), 6, "those that starts will take want nothing more");
    }

    #[test]
    fn the_pace_follows_what_is_seen() {
        let mut pace = Pace::default();
        assert_eq!(pace.recheck(), ms(1));
        for _ in 0..50 {
            pace.note_start(ms(20));
            pace.note_call(ms(1));
        }
        assert_eq!((pace.recheck(), pace.call_us), (ms(20), Some(1000)));
        for _ in 0..50 {
            pace.note_call(ms(100));
        }
        assert!(pace.call_us.is_some_and(|us| (98_000..=100_000).contains(&us)), "{pace:?}");
    }

    /// Check 130: starts that fail are tried ever more rarely, and one success forgets them.
    #[test]
    fn check_130_failing_starts_are_tried_ever_more_rarely() {
        let (mut breaker, mut now, mut pauses) = (Breaker::default(), Moment(0), Vec::new());
        for _ in 0..8 {
            breaker.failed(now);
            let until = breaker.closed_until(now);
            pauses.push(until.map_or(0, |until| (until - now).as_secs()));
            now = until.unwrap_or(now);
            assert_eq!(breaker.closed_until(now), None, "then one is tried");
        }
        assert_eq!(pauses, [0, 0, 1, 2, 4, 8, 8, 8]);
        assert!(breaker.is_tripped());
        breaker.started();
        assert!(!breaker.is_tripped() && breaker.closed_until(now).is_none());
    }
}
