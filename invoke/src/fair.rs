//! Who goes first when there is not enough for all. Pure.
//!
//! Memory and starts are dealt out by max-min fairness over what is held at this moment: what becomes free goes to
//! the tenant, within it to the function, and within that to the revision, that holds least for its weight; among
//! equals the oldest call goes first. Nobody can starve: whoever holds nothing is ahead of everybody who holds
//! something, and those who hold nothing are served in the order in which they came.

use crate::pool::Waiting;
use std::cmp::Ordering;

/// What somebody holds, and the weight with which they count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// Mebibytes of instances that start, serve or are kept.
    pub(crate) held: u64,
    /// At least 1: one of weight 2 is as poor with twice as much.
    pub(crate) weight: u32,
}

/// A pool's claim to the next instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) tenant: Share,
    pub(crate) function: Share,
    pub(crate) revision: Share,
    /// The call that wants it.
    pub(crate) call: Waiting,
}

impl Share {
    /// Compares what is held for each unit of weight.
    fn level(self, other: Self) -> Ordering {
        let scaled = |share: Self, by: Self| u128::from(share.held) * u128::from(by.weight.max(1));
        scaled(self, other).cmp(&scaled(other, self))
    }
}

impl Claim {
    /// Compares what the two hold, whoever came first.
    pub(crate) fn poverty(&self, other: &Self) -> Ordering {
        let by_tenant = self.tenant.level(other.tenant);
        by_tenant.then(self.function.level(other.function)).then(self.revision.level(other.revision))
    }

    /// Who goes first: the poorer, then the older.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let age = |claim: &Self| (claim.call.since, claim.call.request);
        self.poverty(other).then_with(|| age(self).cmp(&age(other)))
    }
}

/// How many times as much as stays free one function may take of the account's concurrency.
const OF_CONCURRENCY: u64 = 8;
/// The same for memory, counting what idle instances hold as free.
const OF_MEMORY: u64 = 8;
/// The same for starts in progress.
const OF_STARTS: u64 = 1;

/// Whether a function that has `held` calls in flight may have one more while the account has `free` left. One that
/// is `alone` may take all of them. Otherwise nobody takes the last ones: of two, one can have eight ninths, both
/// together eight seventeenths each, and so on, so that one which has nothing at the moment always finds room. One
/// that comes while another has all gets the room that calls leave as they end, until it has its share.
pub(crate) fn may_call(held: u64, free: u64, weight: u32, alone: bool) -> bool {
    let most = free.saturating_mul(OF_CONCURRENCY).saturating_mul(u64::from(weight.max(1)));
    if alone { free > 0 } else { held < most }
}

/// Whether a function whose instances hold `held` mebibytes may have one more while `free` are not in use, so that a
/// function full of sleepers leaves something to others.
pub(crate) fn may_hold(held: u64, free: u64, weight: u32) -> bool {
    held < free.saturating_mul(OF_MEMORY).saturating_mul(u64::from(weight.max(1)))
}

/// Whether a function with `held` starts in progress may begin another while `free` more may be begun on the
/// machine: one alone takes half of them.
pub(crate) fn may_start(held: u64, free: u64, weight: u32) -> bool {
    held < free.saturating_mul(OF_STARTS).saturating_mul(u64::from(weight.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::RequestId;
    use world::Moment;

    fn claim(tenant: (u64, u32), function: (u64, u32), revision: u64, since: u64) -> Claim {
        let share = |(held, weight)| Share { held, weight };
        let call = Waiting { request: RequestId(since), since: Moment(since) };
        Claim { tenant: share(tenant), function: share(function), revision: share((revision, 1)), call }
    }

    #[test]
    fn the_poorer_goes_first_and_then_the_older() {
        let table = [
            (claim((0, 1), (0, 1), 0, 9), claim((0, 1), (128, 1), 128, 1), "holds nothing"),
            (claim((0, 1), (500, 1), 500, 9), claim((600, 1), (0, 1), 0, 1), "of a poorer tenant"),
            (claim((0, 1), (256, 2), 256, 9), claim((0, 1), (129, 1), 129, 1), "has twice the weight"),
            (claim((0, 1), (512, 1), 0, 9), claim((0, 1), (512, 1), 512, 1), "of a poorer revision"),
            (claim((0, 1), (256, 2), 0, 1), claim((0, 1), (128, 1), 0, 2), "came first"),
            (claim((0, 0), (1, 0), 1, 1), claim((0, 1), (1, 1), 1, 2), "no weight counts as one"),
        ];
        for (first, second, why) in table {
            assert_eq!(first.order(&second), Ordering::Less, "{why}");
            assert_eq!(second.order(&first), Ordering::Greater, "{why}");
        }
    }

    /// Deals out `total` one at a time to functions that take all they may, in turns.
    fn dealt(total: u64, weights: &[u32], may: impl Fn(u64, u64, u32) -> bool) -> Vec<u64> {
        let mut held = vec![0; weights.len()];
        let mut before = None;
        while before.as_ref() != Some(&held) {
            before = Some(held.clone());
            for (index, weight) in weights.iter().enumerate() {
                if may(held[index], total - held.iter().sum::<u64>(), *weight) {
                    held[index] += 1;
                }
            }
        }
        held
    }

    #[test]
    fn whoever_has_nothing_finds_room() {
        let alone = |held, free, weight| may_call(held, free, weight, true);
        let may_call = |held, free, weight| may_call(held, free, weight, false);
        assert_eq!(dealt(1000, &[1], alone), [1000]);
        assert_eq!(dealt(1000, &[1], may_call), [889], "another was there a moment ago");
        assert_eq!(dealt(1000, &[1, 1], may_call), [471, 471]);
        assert_eq!(dealt(1000, &[3, 1], may_call), [508, 471], "what one holds already is not taken from it");
        assert_eq!(dealt(1000, &[1; 50], may_call).iter().min(), Some(&19));
        assert_eq!(dealt(2, &[1], may_call), [2], "a small account can be used up by one");
        assert_eq!(dealt(8, &[1], may_start), [4]);
        assert_eq!(dealt(8, &[1, 1], may_start), [3, 3]);
        assert_eq!(dealt(8, &[1; 9], may_start).iter().sum::<u64>(), 8, "many share all");
        assert_eq!(dealt(1, &[1], may_start), [1]);
    }
}
