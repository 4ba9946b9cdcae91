//! What was done since the platform started, in numbers, by function. A number of functions is counted by name; the one
//! whose last call is longest ago then becomes one of the others.

use model::{InvocationRecord, Outcome, Rung};
use std::collections::{BTreeMap, HashMap};

const FUNCTIONS_MAX: usize = model::limit("metrics-functions") as usize;

/// Why the lock of a tally can be had.
pub(crate) const UNBROKEN: &str = "no holder of this lock can panic";

/// Upper bounds of the classes that durations are counted in, in microseconds.
pub const DURATIONS_US: [u64; 12] = [
    1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
    60_000_000,
];

/// What one function did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls by the rung that their instance came from.
    pub rungs: BTreeMap<Rung, u64>,
    /// Calls that ended badly, by how.
    pub failures: BTreeMap<Outcome, u64>,
    /// Calls that were refused, by the limit that was reached.
    pub throttled: BTreeMap<&'static str, u64>,
    /// Durations of handlers, each in the first class of [`DURATIONS_US`] that holds it, or the last, beyond them.
    pub durations: [u64; DURATIONS_US.len() + 1],
    /// Their sum.
    pub handler_us: u64,
    /// Waiting for an instance.
    pub queue_us: u64,
    /// Making sandboxes and loading code.
    pub start_us: u64,
    /// User CPU time.
    pub user_us: u64,
    /// System CPU time.
    pub system_us: u64,
    /// Billed time.
    pub billed_ms: u64,
    /// Price in billionths of a US dollar.
    pub cost_nanodollars: u64,
    /// The most memory that an instance has held, in bytes.
    pub peak_bytes: u64,
}

impl Counts {
    fn add(&mut self, record: &InvocationRecord) {
        *self.rungs.entry(record.rung).or_default() += 1;
        if record.outcome != Outcome::Success {
            *self.failures.entry(record.outcome).or_default() += 1;
        }
        let us = record.phases.handler_us;
        self.durations[DURATIONS_US.partition_point(|bound| *bound < us)] += 1;
        self.handler_us += us;
        self.queue_us += record.phases.queue_us;
        self.start_us += record.phases.sandbox_us + record.phases.init_us;
        self.user_us += record.usage.user_us;
        self.system_us += record.usage.system_us;
        self.billed_ms += record.billed_ms;
        self.cost_nanodollars += record.cost_nanodollars;
        self.peak_bytes = self.peak_bytes.max(record.usage.peak_bytes);
    }

    fn take_over(&mut self, other: &Self) {
        other.rungs.iter().for_each(|(rung, count)| *self.rungs.entry(*rung).or_default() += count);
        other.failures.iter().for_each(|(how, count)| *self.failures.entry(*how).or_default() += count);
        other.throttled.iter().for_each(|(limit, count)| *self.throttled.entry(limit).or_default() += count);
        self.durations.iter_mut().zip(other.durations).for_each(|(mine, theirs)| *mine += theirs);
        self.handler_us += other.handler_us;
        self.queue_us += other.queue_us;
        self.start_us += other.start_us;
        self.user_us += other.user_us;
        self.system_us += other.system_us;
        self.billed_ms += other.billed_ms;
        self.cost_nanodollars += other.cost_nanodollars;
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
    }
}

/// Counts by function.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    named: HashMap<String, (u64, Counts)>,
    others: Counts,
    /// Grows by one with each call; says which function's last one is longest ago.
    calls: u64,
}

impl Tally {
    /// By name, and at last those that are not counted by name, under none.
    pub fn functions(&self) -> Vec<(&str, &Counts)> {
        let mut all: Vec<_> = self.named.iter().map(|(name, (_, counts))| (name.as_str(), counts)).collect();
        all.sort_by_key(|(name, _)| *name);
        if self.others != Counts::default() {
            all.push(("", &self.others));
        }
        all
    }

    pub(crate) fn record(&mut self, record: &InvocationRecord) {
        self.of(&record.function).add(record);
    }

    pub(crate) fn throttled(&mut self, function: &str, limit: &'static str) {
        *self.of(function).throttled.entry(limit).or_default() += 1;
    }

    fn of(&mut self, function: &str) -> &mut Counts {
        self.calls += 1;
        if !self.named.contains_key(function) {
            if self.named.len() == FUNCTIONS_MAX {
                self.merge_oldest();
            }
            self.named.insert(function.to_owned(), Default::default());
        }
        let (last, counts) = self.named.get_mut(function).expect("it is there now");
        *last = self.calls;
        counts
    }

    fn merge_oldest(&mut self) {
        let oldest = self.named.iter().min_by_key(|(_, (last, _))| *last).map(|(name, _)| name.clone());
        if let Some((_, counts)) = oldest.and_then(|name| self.named.remove(&name)) {
            self.others.take_over(&counts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Phases, Usage};

    fn record(function: &str, handler_us: u64, outcome: Outcome) -> InvocationRecord {
        InvocationRecord {
            request_id: String::new(),
            started_us: 0,
            function: function.into(),
            version: String::new(),
            instance: String::new(),
            caller: String::new(),
            outcome,
            error_type: None,
            rung: Rung::Idle,
            reason: String::new(),
            phases: Phases { handler_us, ..Phases::default() },
            usage: Usage::default(),
            memory_mb: 128,
            billed_ms: 0,
            cost_nanodollars: 0,
            request_bytes: 0,
            response_bytes: 0,
            log_group: String::new(),
            log_stream: String::new(),
            imports: Vec::new(),
            isolation_level: None,
        }
    }

    #[test]
    fn calls_are_counted_in_their_class() {
        let cases = [(0, 0), (1_000, 0), (1_001, 1), (60_000_000, 11), (60_000_001, 12), (u64::MAX / 4, 12)];
        for (us, class) in cases {
            let mut tally = Tally::default();
            tally.record(&record("f", us, Outcome::Success));
            let counts = tally.functions()[0].1;
            assert_eq!(counts.durations.iter().position(|n| *n == 1), Some(class), "{us}");
            assert_eq!((counts.handler_us, counts.failures.len()), (us, 0));
        }
    }

    /// However many functions there are, so many are counted by name, and none of the calls is lost.
    #[test]
    fn names_are_bounded_and_sums_are_not() {
        let mut tally = Tally::default();
        let functions = FUNCTIONS_MAX + 100;
        for n in 0..functions {
            tally.record(&record("often", 1, Outcome::Success));
            tally.record(&record(&format!("f{n}"), 1, Outcome::Timeout));
            tally.throttled(&format!("f{n}"), "queue-length");
        }
        let all = tally.functions();
        assert_eq!(all.len(), FUNCTIONS_MAX + 1);
        let calls = |counts: &Counts| counts.rungs.values().sum::<u64>();
        assert_eq!(all.iter().map(|(_, counts)| calls(counts)).sum::<u64>(), 2 * functions as u64);
        assert!(all.iter().any(|(name, counts)| *name == "often" && calls(counts) == functions as u64));
        let (name, others) = all.last().expect("there are some");
        assert_eq!((*name, calls(others)), ("", 101));
        assert_eq!((others.failures[&Outcome::Timeout], others.throttled["queue-length"]), (101, 101));
    }
}
