//! Time, chance, memory and the end of things: the only crate that reads a clock or draws randomness.

mod alarm;
mod end;
mod random;
mod room;
mod time;

pub use alarm::Alarm;
pub use end::{End, Ender};
pub use room::{Room, Share, Way};
pub use time::{Moment, Stamp};

use random::Random;
use std::sync::Arc;
use std::time::Duration;
use time::Clock;

/// The world as the platform sees it. Cheap to clone; pass it by hand.
#[derive(Clone, Debug)]
pub struct World {
    clock: Arc<Clock>,
    random: Arc<Random>,
    room: Arc<Room>,
}

impl World {
    /// The machine's clocks and the kernel's randomness.
    pub fn real() -> Self {
        Self::of(Clock::real(), Random::kernel())
    }

    fn of(clock: Clock, random: Random) -> Self {
        Self { clock: Arc::new(clock), random: Arc::new(random), room: Arc::new(Room::boundless()) }
    }

    /// The same world with so much memory for what is on its way. Without this it has no end.
    pub fn with_room(self, room: Room) -> Self {
        Self { room: Arc::new(room), ..self }
    }

    /// The memory for what is on its way.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// A world in which time moves only by [`World::advance`] and `seed` decides all chance.
    pub fn simulated(seed: u64) -> Self {
        Self::of(Clock::simulated(), Random::seeded(seed))
    }

    /// Wall-clock time.
    pub fn now(&self) -> Stamp {
        self.clock.now()
    }

    /// Time that only moves forward; for durations and deadlines.
    pub fn moment(&self) -> Moment {
        self.clock.moment()
    }

    /// Waits. In a simulated world, until [`World::advance`] has passed the moment.
    pub async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    /// Moves a simulated world's clocks; does nothing in the real one.
    pub fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// `N` unpredictable bytes (predictable in a simulated world).
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    /// A random (version 4) UUID in its text form.
    pub fn uuid(&self) -> String {
        let mut b = self.random::<16>();
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in b.into_iter().enumerate() {
            at += usize::from(matches!(index, 4 | 6 | 8 | 10));
            [text[at], text[at + 1]] = digits(byte);
            at += 2;
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// `2 * bytes` random lower-case hexadecimal digits; at most 32 bytes.
    pub fn hex(&self, bytes: usize) -> String {
        hex(&self.random::<32>()[..bytes])
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().copied().flat_map(digits).map(char::from).collect()
}

fn digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays() {
        let (a, b) = (World::simulated(7), World::simulated(7));
        assert_eq!(a.uuid(), b.uuid());
        assert_ne!(a.uuid(), World::simulated(8).uuid());
    }

    #[test]
    fn uuids_are_version_4() {
        let text = World::real().uuid();
        assert_eq!((text.len(), &text[14..15]), (36, "4"));
        let dashes: Vec<_> = text.match_indices('-').map(|(at, _)| at).collect();
        assert_eq!(dashes, [8, 13, 18, 23]);
    }

    #[test]
    fn hexadecimal_digits_keep_their_order_and_zeros() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa9, 0xff]), "000fa9ff");
    }

    #[tokio::test]
    async fn simulated_time_moves_by_hand() {
        let world = World::simulated(1);
        let before = world.moment();
        let sleeper = tokio::spawn({
            let world = world.clone();
            async move { world.sleep(Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        world.advance(Duration::from_secs(61));
        sleeper.await.expect("the sleeper wakes");
        assert_eq!(world.moment() - before, Duration::from_secs(61));
    }
}
