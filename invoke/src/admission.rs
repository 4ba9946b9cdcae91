//! Who is let in, and whether the machine has room for one more instance. Pure.

use crate::Refused;
use crate::fair::may_call;
use model::Version;
use std::time::Duration;
use world::Moment;

/// What bounds the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Mebibytes that all instances may be promised together.
    pub memory_mb: u64,
    /// Calls of all functions, waiting and running.
    pub account_concurrency: u32,
    /// Calls that may wait for one revision.
    pub queue_length: usize,
    /// The longest wait of a call that no instance is being started for.
    pub queue_wait: Duration,
    /// The longest that an unused instance is kept. One that is quickly made again is let go sooner (`ladder`).
    pub idle_timeout: Duration,
    /// Instances of one revision that may be starting at the same time.
    pub starts_at_once: usize,
    /// Instances of the whole machine whose start may take processor time at the same time. One function alone gets
    /// half of them. A start that has lasted for a second is taken to wait for something and no longer counts.
    pub starts_in_all: usize,
    /// An instance older than this gets no more calls: its credentials run out an hour later.
    pub instance_age: Duration,
    /// After this wait, a call that the machine has no memory for takes precedence over younger calls of other
    /// functions: their next freed instance is retired for it.
    pub patience: Duration,
}

impl Default for Bounds {
    /// The defaults of [`model::LIMITS`], one gibibyte for instances and the starts of one core: who knows the machine
    /// says how much it has.
    fn default() -> Self {
        let count = |name| usize::try_from(model::limit(name)).unwrap_or(usize::MAX);
        let seconds = |name| Duration::from_secs(model::limit(name));
        Self {
            memory_mb: 1024,
            account_concurrency: u32::try_from(model::limit("account-concurrency")).unwrap_or(u32::MAX),
            queue_length: count("queue-length"),
            queue_wait: seconds("queue-wait"),
            idle_timeout: seconds("idle-timeout"),
            starts_at_once: count("starts-per-function"),
            starts_in_all: count("starts-per-core"),
            instance_age: seconds("instance-age"),
            patience: Duration::from_secs(1),
        }
    }
}

/// What stands against a call at the moment it arrives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Calls of the same function, waiting and running.
    pub(crate) function: u32,
    /// Calls of all functions of the same tenant, waiting and running, and those that are reserved for some.
    pub(crate) account: u32,
    /// Calls waiting for the same revision.
    pub(crate) waiting: usize,
    /// No other function of the tenant was called lately.
    pub(crate) alone: bool,
}

const RETRY_AFTER_S: u32 = 1;

const ACCOUNT: &str = "ConcurrentInvocationLimitExceeded";
const RATE: &str = "FunctionInvocationRateLimitExceeded";
const RESERVED: &str = "ReservedFunctionConcurrentInvocationLimitExceeded";

/// The answer to a call that waited too long.
pub(crate) const WAITED: Refused = throttled(ACCOUNT, "machine-memory", "dayfly up --memory-percent");

/// Lets a call in, or says which limit it meets.
pub(crate) fn admit(bounds: &Bounds, load: Load, version: &Version) -> Result<(), Refused> {
    let Version { concurrency, memory_mb, weight, .. } = *version;
    let free = bounds.account_concurrency.saturating_sub(load.account);
    match concurrency {
        Some(reserved) if load.function >= reserved => {
            return Err(throttled(RESERVED, "reserved concurrency", "PutFunctionConcurrency"));
        }
        None if !may_call(load.function.into(), free.into(), weight, load.alone) => {
            return Err(throttled(ACCOUNT, "account-concurrency", "dayfly up --concurrency"));
        }
        Some(_) | None => {}
    }
    if u64::from(memory_mb) > bounds.memory_mb {
        return Err(WAITED);
    }
    if load.waiting >= bounds.queue_length {
        return Err(throttled(ACCOUNT, "queue-length", "fixed: call less at once"));
    }
    Ok(())
}

/// The answer while starts of a revision that always fail are not tried.
pub(crate) fn broken(until: Moment, now: Moment) -> Refused {
    let wait = u32::try_from((until - now).as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
    let lifted_by = "a new revision, or an init that succeeds: its log says what failed";
    Refused::Throttled { reason: RATE, limit: "failed-starts", lifted_by, retry_after_s: wait.max(1) }
}

const fn throttled(reason: &'static str, limit: &'static str, lifted_by: &'static str) -> Refused {
    Refused::Throttled { reason, limit, lifted_by, retry_after_s: RETRY_AFTER_S }
}

/// Where the machine's instance memory stands. Mebibytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Promised to instances that exist, whatever they do.
    pub(crate) live: u64,
    /// The part of `live` that idle instances hold.
    pub(crate) idle: u64,
    /// The part of `live` that comes back by itself: instances being ended.
    pub(crate) ending: u64,
}

/// Whether one more instance fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Now.
    Free,
    /// Once the instances being ended are gone.
    Coming,
    /// If the longest-idle instances are ended, this many mebibytes of them.
    Evict(u64),
    /// Not while the busy instances stay.
    Short,
}

impl Ledger {
    /// Whether an instance of `need` mebibytes fits into `budget`.
    pub(crate) fn room(&self, budget: u64, need: u64) -> Room {
        let free = budget.saturating_sub(self.live);
        if need <= free {
            Room::Free
        } else if need <= free + self.ending {
            Room::Coming
        } else if need <= free + self.ending + self.idle {
            Room::Evict(need - free - self.ending)
        } else {
            Room::Short
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::version;

    fn bounds() -> Bounds {
        Bounds { memory_mb: 1000, account_concurrency: 10, queue_length: 5, ..Bounds::default() }
    }

    #[test]
    fn each_limit_is_named() {
        let check_as = |alone, function, account, waiting, reserved, memory_mb| match admit(
            &bounds(),
            Load { function, account, waiting, alone },
            &Version { concurrency: reserved, ..Version::clone(&version("f", "1", memory_mb)) },
        ) {
            Ok(()) => "ok",
            Err(Refused::Throttled { reason: RESERVED, .. }) => "reserved",
            Err(Refused::Throttled { reason: ACCOUNT, limit, .. }) => limit,
            Err(other) => panic!("{other}"),
        };
        let check = |function, account, waiting, reserved, memory_mb| {
            check_as(false, function, account, waiting, reserved, memory_mb)
        };
        assert_eq!(check(0, 0, 0, None, 128), "ok");
        assert_eq!(check(0, 0, 0, Some(0), 128), "reserved");
        assert_eq!(check(2, 2, 0, Some(3), 128), "ok");
        assert_eq!(check(3, 3, 0, Some(3), 128), "reserved");
        assert_eq!(check(2, 10, 0, Some(3), 128), "ok", "what is reserved is not taken by others");
        assert_eq!(check(7, 9, 4, None, 128), "ok");
        assert_eq!(check(8, 9, 4, None, 128), "account-concurrency", "the last one is for others");
        assert_eq!(check_as(true, 9, 9, 4, None, 128), "ok", "who is alone takes the last one too");
        assert_eq!(check_as(true, 10, 10, 4, None, 128), "account-concurrency");
        assert_eq!(check(0, 10, 0, None, 128), "account-concurrency");
        assert_eq!(check(6, 6, 5, None, 128), "queue-length");
        assert_eq!(check(0, 0, 0, None, 1000), "ok");
        assert_eq!(check(0, 0, 0, None, 1001), "machine-memory");
    }

    #[test]
    fn room_is_found_in_the_cheapest_way() {
        let table = [
            (Ledger { live: 0, idle: 0, ending: 0 }, 1000, Room::Free),
            (Ledger { live: 900, idle: 300, ending: 0 }, 100, Room::Free),
            (Ledger { live: 900, idle: 300, ending: 100 }, 200, Room::Coming),
            (Ledger { live: 900, idle: 300, ending: 100 }, 300, Room::Evict(100)),
            (Ledger { live: 900, idle: 300, ending: 100 }, 500, Room::Evict(300)),
            (Ledger { live: 900, idle: 300, ending: 100 }, 501, Room::Short),
            (Ledger { live: 1000, idle: 0, ending: 0 }, 1, Room::Short),
        ];
        for (ledger, need, room) in table {
            assert_eq!(ledger.room(1000, need), room, "{ledger:?} {need}");
        }
    }
}
