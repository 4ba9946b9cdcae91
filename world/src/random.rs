//! Chance: the kernel's, or a seeded sequence.

use std::fmt;
use std::sync::Mutex;

#[derive(Debug)]
pub(crate) enum Random {
    Kernel(Mutex<Reserve>),
    Seeded(Mutex<u64>),
}

/// Bytes drawn ahead from the kernel, since a system call for each name costs more than the name. A process that
/// forked would draw the same bytes twice: the server never does.
pub(crate) struct Reserve {
    bytes: Box<[u8]>,
    left: usize,
}

const RESERVE_BYTES: usize = 1024;

impl fmt::Debug for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reserve({} bytes)", self.left)
    }
}

impl Reserve {
    /// Gives out each byte once and keeps no copy of it.
    fn take(&mut self, bytes: &mut [u8]) {
        if bytes.len() > self.left {
            self.left = 0;
            getrandom::fill(&mut self.bytes).expect("the kernel gives randomness");
            self.left = RESERVE_BYTES;
        }
        let drawn = &mut self.bytes[self.left - bytes.len()..self.left];
        bytes.copy_from_slice(drawn);
        drawn.fill(0);
        self.left -= bytes.len();
    }
}

impl Random {
    pub(crate) fn kernel() -> Self {
        Self::Kernel(Mutex::new(Reserve { bytes: vec![0; RESERVE_BYTES].into(), left: 0 }))
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self::Seeded(Mutex::new(seed))
    }

    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        match self {
            Self::Kernel(reserve) => {
                let mut reserve = reserve.lock().expect("the kernel gives randomness");
                bytes.chunks_mut(RESERVE_BYTES).for_each(|chunk| reserve.take(chunk));
            }
            Self::Seeded(state) => {
                let mut state = state.lock().expect("no holder of this lock can panic");
                for chunk in bytes.chunks_mut(8) {
                    let word = split_mix(&mut state).to_le_bytes();
                    chunk.copy_from_slice(&word[..chunk.len()]);
                }
            }
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): short and good enough to vary a simulation.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_byte_is_given_out_twice_or_kept() {
        let random = Random::kernel();
        let mut seen = HashSet::new();
        for _ in 0..3 * RESERVE_BYTES / 24 {
            let mut drawn = [0; 24];
            random.fill(&mut drawn);
            assert!(seen.insert(drawn), "drawn twice");
            let Random::Kernel(reserve) = &random else { unreachable!() };
            let reserve = reserve.lock().unwrap();
            assert!(reserve.bytes[reserve.left..].iter().take(24).all(|byte| *byte == 0), "kept");
        }
        let mut many = [0; 3 * RESERVE_BYTES + 7];
        random.fill(&mut many);
        assert!(many.chunks(16).collect::<HashSet<_>>().len() > many.len() / 16, "all of it is drawn");
    }
}
