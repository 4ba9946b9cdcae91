//! Memory for what is on its way: bodies of requests, events, answers. It is taken before it is filled.
//!
//! What is smaller than a unit is not counted: there is no more of it than there are connections. Large ones wait in a
//! lane of their own, so that they stand in nobody else's way; and answers have a room of their own, so that calls that
//! hold an event never wait for one another.

use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Memory is counted in these.
const UNIT_BYTES: u64 = 16 * 1024;
/// What is larger goes by the lane of the large ones, which has three quarters of the room.
const SMALL_BYTES: u64 = 1024 * 1024;
/// Eighths of all memory.
const SHARES: [(Way, u64); 3] = [(Way::FromOutside, 3), (Way::FromFunctions, 2), (Way::Back, 3)];

/// Where something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A request from outside.
    FromOutside,
    /// A request of a function: functions can take no memory from those outside.
    FromFunctions,
    /// An answer.
    Back,
}

/// The memory that there is for all that is on its way.
#[derive(Debug)]
pub struct Room(Vec<[Arc<Lane>; 2]>);

#[derive(Debug)]
struct Lane {
    free: Semaphore,
    units: u32,
    /// Units that were taken although none were free.
    owed: Mutex<u32>,
}

/// Memory that somebody has taken; given back when it is dropped.
#[derive(Debug, Default)]
pub struct Share {
    lane: Option<Arc<Lane>>,
    units: u32,
}

impl Room {
    /// Room for so many bytes in all.
    pub fn of(bytes: u64) -> Self {
        let ways = SHARES.map(|(_, eighths)| {
            let units = u32::try_from(bytes / UNIT_BYTES * eighths / 8).unwrap_or(u32::MAX);
            [Lane::of(units / 4), Lane::of(units - units / 4)]
        });
        Self(ways.into())
    }

    /// Room for anything.
    pub fn boundless() -> Self {
        Self::of(u64::MAX)
    }

    /// The most that one request or answer can get.
    pub fn most_bytes(&self, way: Way) -> u64 {
        let [_, large] = &self.0[place(way)];
        u64::from(large.units) * UNIT_BYTES
    }

    /// Takes memory if it is free.
    pub fn try_take(&self, way: Way, bytes: u64) -> Option<Share> {
        let mut share = Share::default();
        self.try_grow(&mut share, way, bytes).then_some(share)
    }

    /// Takes as much more as `share` needs to hold so many bytes, if it is free.
    pub fn try_grow(&self, share: &mut Share, way: Way, bytes: u64) -> bool {
        let lane = share.lane.get_or_insert_with(|| self.lane(way, bytes));
        let more = units(bytes).saturating_sub(share.units);
        let Ok(taken) = lane.free.try_acquire_many(more) else { return false };
        taken.forget();
        share.units += more;
        true
    }

    /// Takes memory as soon as it is free, in the order in which it was asked for. No more than there can be.
    pub async fn take(&self, way: Way, bytes: u64) -> Share {
        let lane = self.lane(way, bytes);
        let units = units(bytes).min(lane.units);
        // Nobody closes the semaphore.
        if let Ok(taken) = lane.free.acquire_many(units).await {
            taken.forget();
        }
        Share { lane: Some(lane), units }
    }

    /// Takes memory that is in use already, free or not. Others wait until it is paid back.
    pub fn count(&self, way: Way, bytes: u64) -> Share {
        let (lane, units) = (self.lane(way, bytes), units(bytes));
        let taken = lane.free.forget_permits(units as usize);
        *lane.owed() += units - u32::try_from(taken).unwrap_or(units);
        Share { lane: Some(lane), units }
    }

    fn lane(&self, way: Way, bytes: u64) -> Arc<Lane> {
        let [small, large] = &self.0[place(way)];
        let fits = bytes <= SMALL_BYTES && units(bytes) <= small.units;
        Arc::clone(if fits { small } else { large })
    }
}

impl Lane {
    fn of(units: u32) -> Arc<Self> {
        Arc::new(Self { free: Semaphore::new(units as usize), units, owed: Mutex::default() })
    }

    fn owed(&self) -> std::sync::MutexGuard<'_, u32> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Whether something of that size is not counted.
    pub fn is_trifle(bytes: u64) -> bool {
        bytes < UNIT_BYTES
    }

    /// Binds it to the bytes that it was taken for: it is given back when nobody has any of them any more.
    pub fn around(self, bytes: Bytes) -> Bytes {
        match self.units {
            0 => bytes,
            _ => Bytes::from_owner(Counted { bytes, _share: self }),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let (Some(lane), 1..) = (&self.lane, self.units) {
            let mut owed = lane.owed();
            let paid = self.units.min(*owed);
            *owed -= paid;
            lane.free.add_permits((self.units - paid) as usize);
        }
    }
}

struct Counted {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn place(way: Way) -> usize {
    SHARES.iter().position(|(known, _)| *known == way).expect("each way has its share")
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    const MIB: u64 = 1024 * 1024;

    /// 24 MiB from outside, 18 of them for large ones; 16 from functions; 24 for answers.
    fn room() -> Room {
        Room::of(64 * MIB)
    }

    fn is_ready(future: std::pin::Pin<&mut impl Future>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn what_is_taken_is_given_back_with_the_last_of_its_bytes() {
        let room = room();
        assert_eq!(
            [Way::FromOutside, Way::FromFunctions, Way::Back].map(|way| room.most_bytes(way) / MIB),
            [18, 12, 18]
        );
        let share = room.try_take(Way::FromOutside, 16 * MIB).expect("it is free");
        let bytes = share.around(Bytes::from(vec![0; 9]));
        let slice = bytes.slice(..1);
        drop(bytes);
        assert!(room.try_take(Way::FromOutside, 3 * MIB).is_none(), "a part of it is in use");
        assert!(
            room.try_take(Way::FromFunctions, 12 * MIB).is_some()
                && room.try_take(Way::Back, 18 * MIB).is_some()
        );
        drop(slice);
        assert!(room.try_take(Way::FromOutside, 18 * MIB).is_some());
    }

    #[test]
    fn large_ones_wait_for_their_turn_and_hold_up_nobody_small() {
        let room = room();
        let first = room.try_take(Way::FromOutside, 10 * MIB).expect("it is free");
        let (mut second, mut third) =
            (pin!(room.take(Way::FromOutside, 12 * MIB)), pin!(room.take(Way::FromOutside, 2 * MIB)));
        assert!(!is_ready(second.as_mut()) && !is_ready(third.as_mut()), "in the order in which they came");
        let small: Vec<_> = (0..6).filter_map(|_| room.try_take(Way::FromOutside, MIB)).collect();
        assert_eq!(small.len(), 6, "those have a lane of their own");
        assert!(room.try_take(Way::FromOutside, MIB).is_none());
        assert!(room.try_take(Way::FromOutside, UNIT_BYTES - 1).is_some(), "is not counted");
        drop(first);
        assert!(is_ready(second.as_mut()) && is_ready(third.as_mut()));
    }

    #[test]
    fn a_share_grows_only_into_what_is_free() {
        let room = room();
        let mut share = room.try_take(Way::FromFunctions, 2 * MIB).expect("it is free");
        assert!(room.try_grow(&mut share, Way::FromFunctions, 12 * MIB));
        assert!(!room.try_grow(&mut share, Way::FromFunctions, 13 * MIB));
        assert!(room.try_take(Way::FromFunctions, 2 * MIB).is_none());
        drop(share);
        assert!(room.try_take(Way::FromFunctions, 12 * MIB).is_some());
    }

    #[test]
    fn what_is_there_already_counts_even_beyond_the_room() {
        let room = room();
        let before = room.try_take(Way::Back, 18 * MIB).expect("it is free");
        let after = room.count(Way::Back, 6 * MIB);
        drop(before);
        assert!(room.try_take(Way::Back, 13 * MIB).is_none(), "six are still held");
        assert!(room.try_take(Way::Back, 12 * MIB).is_some());
        drop(after);
        assert!(room.try_take(Way::Back, 18 * MIB).is_some());
    }
}
