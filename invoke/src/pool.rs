//! One pool: the queue and the instances of one revision of a function. Pure.

use crate::pace::{Breaker, Crowd, Pace};
use model::Version;
use std::collections::VecDeque;
use std::sync::Arc;
use world::Moment;

/// A call inside the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestId(pub(crate) u64);

/// An instance inside the engine. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InstanceId(pub(crate) u64);

/// A pool. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PoolId(pub(crate) u64);

/// A call that has no instance yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) request: RequestId,
    pub(crate) since: Moment,
}

/// The queue and the instances of one revision.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) version: Arc<Version>,
    /// Oldest first. Never filled while an instance has room.
    pub(crate) waiting: VecDeque<Waiting>,
    /// Longest idle first; the back one, whose caches are warmest, serves next. Provisioned ones stand behind all others.
    pub(crate) idle: VecDeque<InstanceId>,
    /// Instances that serve calls and can take one more. Empty where one call at a time is the rule.
    pub(crate) roomy: Vec<InstanceId>,
    /// Instances on their way up.
    pub(crate) starting: usize,
    /// Instances that serve calls.
    pub(crate) busy: usize,
    /// Those of them that get no more.
    pub(crate) closing: usize,
    /// Instances that are kept because they were promised, and not closing or on their way down.
    pub(crate) provisioned: usize,
    /// Calls that they serve.
    pub(crate) running: usize,
    /// The sum of the moments at which those were given to them, in microseconds.
    pub(crate) given_us: u128,
    /// Instances on their way down.
    pub(crate) ending: usize,
    /// Whether an instance of it has ever come up.
    pub(crate) proven: bool,
    /// No new calls: the revision was replaced or its instances were retired.
    pub(crate) closed: bool,
    pub(crate) pace: Pace,
    pub(crate) breaker: Breaker,
}

impl Pool {
    pub(crate) fn new(version: Arc<Version>) -> Self {
        Self {
            version,
            waiting: VecDeque::new(),
            idle: VecDeque::new(),
            roomy: Vec::new(),
            starting: 0,
            busy: 0,
            closing: 0,
            provisioned: 0,
            running: 0,
            given_us: 0,
            ending: 0,
            proven: false,
            closed: false,
            pace: Pace::default(),
            breaker: Breaker::default(),
        }
    }

    pub(crate) fn memory_mb(&self) -> u64 {
        u64::from(self.version.memory_mb)
    }

    /// Calls that one instance may serve at once.
    pub(crate) fn slots(&self) -> usize {
        usize::try_from(self.version.instance_concurrency.max(1)).unwrap_or(usize::MAX)
    }

    /// Instances that serve or will.
    pub(crate) fn working(&self) -> usize {
        self.starting + self.busy + self.idle.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.working() == 0 && self.ending == 0 && self.waiting.is_empty()
    }

    /// Calls that the starting instances will take.
    fn covered(&self) -> usize {
        self.starting.saturating_mul(self.slots())
    }

    /// Calls beyond those.
    pub(crate) fn uncovered(&self) -> usize {
        self.waiting.len().saturating_sub(self.covered())
    }

    /// The oldest call that no starting instance will take.
    pub(crate) fn first_uncovered(&self) -> Option<Waiting> {
        self.waiting.get(self.covered()).copied()
    }

    /// Whether one more instance is worth starting for the calls that wait.
    pub(crate) fn wants_instance(&self, now: Moment) -> bool {
        let uncovered = self.uncovered();
        if uncovered == 0 || self.breaker.is_tripped() && self.starting > 0 {
            return false;
        }
        let served = (self.running as u128 * u128::from(now.0)).saturating_sub(self.given_us);
        let served_us = u64::try_from(served / (self.running.max(1) as u128)).unwrap_or(u64::MAX);
        let crowd = Crowd {
            waiting: self.waiting.len(),
            uncovered,
            serving: self.busy - self.closing,
            served_us,
            slots: (self.busy - self.closing + self.starting).saturating_mul(self.slots()),
        };
        self.pace.more_slots(crowd) > 0
    }

    /// How many calls bear the failure of a start that has just been taken off `starting`: those of one instance, or
    /// all that no other start covers while no instance of this revision ever came up, or none is left and no start
    /// will be tried for a while. So a thousand first calls of code that cannot be loaded end with the first few
    /// failures instead of a thousand starts.
    pub(crate) fn bearers(&self, now: Moment) -> usize {
        let hopeless = self.working() == 0 && self.breaker.closed_until(now).is_some();
        if self.proven && !hopeless { self.uncovered().min(1) } else { self.uncovered() }
    }

    /// Removes calls that no start covers and that arrived before `before`.
    pub(crate) fn expire(&mut self, before: Moment) -> Vec<RequestId> {
        let (mut expired, covered) = (Vec::new(), self.covered());
        while let Some(call) = self.first_uncovered()
            && call.since < before
        {
            expired.push(call.request);
            self.waiting.remove(covered);
        }
        expired
    }
}

#[cfg(test)]
pub(crate) fn version(function: &str, revision: &str, memory_mb: u32) -> Arc<Version> {
    Arc::new(Version {
        function: model::FunctionName::parse(function).expect("a good name"),
        version: model::LATEST.into(),
        revision: revision.into(),
        arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{function}:$LATEST"),
        runtime: model::Runtime::parse("python3.12").expect("a served runtime"),
        handler: "app.handler".into(),
        code_dir: "/nowhere".into(),
        memory_mb,
        tmp_mb: 512,
        timeout_s: 3,
        environment: std::collections::BTreeMap::new(),
        role: String::new(),
        log_group: format!("/aws/lambda/{function}"),
        concurrency: None,
        instance_concurrency: 1,
        weight: 1,
        snapstart: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(waiting: u64, starting: usize) -> Pool {
        let mut pool = Pool::new(version("f", "1", 128));
        pool.starting = starting;
        pool.waiting = (0..waiting).map(|n| Waiting { request: RequestId(n), since: Moment(n) }).collect();
        pool
    }

    #[test]
    fn starts_cover_the_oldest_calls() {
        for (waiting, starting, uncovered, first) in
            [(0, 0, 0, None), (3, 0, 3, Some(0)), (3, 2, 1, Some(2)), (3, 3, 0, None), (3, 5, 0, None)]
        {
            let pool = pool(waiting, starting);
            assert_eq!(pool.uncovered(), uncovered);
            assert_eq!(pool.first_uncovered().map(|w| w.request.0), first);
        }
        let mut shared = pool(7, 2);
        Arc::get_mut(&mut shared.version).expect("nobody else has it").instance_concurrency = 3;
        assert_eq!((shared.uncovered(), shared.first_uncovered().map(|w| w.request.0)), (1, Some(6)));
    }

    #[test]
    fn a_failed_start_is_borne_by_few_once_the_code_is_proven() {
        for (waiting, starting, proven, bearers) in
            [(5, 2, false, 3), (5, 2, true, 1), (2, 2, true, 0), (2, 2, false, 0), (0, 0, false, 0)]
        {
            let mut pool = pool(waiting, starting);
            pool.proven = proven;
            assert_eq!(pool.bearers(Moment(0)), bearers);
        }
        let mut pool = pool(5, 0);
        pool.proven = true;
        (0..3).for_each(|_| pool.breaker.failed(Moment(0)));
        assert_eq!(pool.bearers(Moment(0)), 5, "nothing is left and nothing will be tried");
        pool.busy = 1;
        assert_eq!(pool.bearers(Moment(0)), 1, "the busy one will serve them");
    }

    #[test]
    fn covered_calls_do_not_expire() {
        let mut pool = pool(5, 2);
        assert_eq!(pool.expire(Moment(4)), [RequestId(2), RequestId(3)]);
        let left: Vec<u64> = pool.waiting.iter().map(|w| w.request.0).collect();
        assert_eq!(left, [0, 1, 4]);
    }
}
