//! Chance: the kernel's, or a seeded sequence.

use std::sync::Mutex;

#[derive(Debug)]
pub(crate) enum Random {
    Kernel,
    Seeded(Mutex<u64>),
}

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::Seeded(Mutex::new(seed))
    }

    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        match self {
            Self::Kernel => getrandom::fill(bytes).expect("the kernel gives randomness"),
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
