//! One pool: the queue and the instances of one revision of a function. Pure.

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
    /// Oldest first. Never filled while an instance is idle.
    pub(crate) waiting: VecDeque<Waiting>,
    /// Longest idle first; the back one, whose caches are warmest, serves next.
    pub(crate) idle: VecDeque<InstanceId>,
    /// Instances on their way up.
    pub(crate) starting: usize,
    /// Instances that serve a call.
    pub(crate) busy: usize,
    /// Instances on their way down.
    pub(crate) ending: usize,
    /// Whether an instance of it has ever come up.
    pub(crate) proven: bool,
    /// No new calls: the revision was replaced or its instances were retired.
    pub(crate) closed: bool,
}

impl Pool {
    pub(crate) fn new(version: Arc<Version>) -> Self {
        Self {
            version,
            waiting: VecDeque::new(),
            idle: VecDeque::new(),
            starting: 0,
            busy: 0,
            ending: 0,
            proven: false,
            closed: false,
        }
    }

    pub(crate) fn memory_mb(&self) -> u64 {
        u64::from(self.version.memory_mb)
    }

    /// Instances that serve or will.
    pub(crate) fn working(&self) -> usize {
        self.starting + self.busy + self.idle.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.working() == 0 && self.ending == 0 && self.waiting.is_empty()
    }

    /// Calls beyond those that the starting instances will take.
    pub(crate) fn uncovered(&self) -> usize {
        self.waiting.len().saturating_sub(self.starting)
    }

    /// The oldest call that no starting instance will take.
    pub(crate) fn first_uncovered(&self) -> Option<Waiting> {
        self.waiting.get(self.starting).copied()
    }

    /// How many calls bear the failure of a start that has just been taken off `starting`: one, or all that no
    /// other start covers while no instance of this revision ever came up. So a thousand first calls of code
    /// that cannot be loaded end with the first few failures instead of a thousand starts.
    pub(crate) fn bearers(&self) -> usize {
        if self.proven { self.uncovered().min(1) } else { self.uncovered() }
    }

    /// Removes calls that no start covers and that arrived before `before`.
    pub(crate) fn expire(&mut self, before: Moment) -> Vec<RequestId> {
        let mut expired = Vec::new();
        while let Some(call) = self.first_uncovered()
            && call.since < before
        {
            expired.push(call.request);
            self.waiting.remove(self.starting);
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
    }

    #[test]
    fn a_failed_start_is_borne_by_few_once_the_code_is_proven() {
        for (waiting, starting, proven, bearers) in
            [(5, 2, false, 3), (5, 2, true, 1), (2, 2, true, 0), (2, 2, false, 0), (0, 0, false, 0)]
        {
            let mut pool = pool(waiting, starting);
            pool.proven = proven;
            assert_eq!(pool.bearers(), bearers);
        }
    }

    #[test]
    fn covered_calls_do_not_expire() {
        let mut pool = pool(5, 2);
        assert_eq!(pool.expire(Moment(4)), [RequestId(2), RequestId(3)]);
        let left: Vec<u64> = pool.waiting.iter().map(|w| w.request.0).collect();
        assert_eq!(left, [0, 1, 4]);
    }
}
