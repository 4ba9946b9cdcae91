//! Slots that all functions share: nobody can take so many that nothing is left for others.

use model::FunctionName;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many slots, and who holds how many.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    held: Mutex<HashMap<FunctionName, usize>>,
}

/// One of them, held until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    function: FunctionName,
}

impl Slots {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// A slot, unless the function has its share.
    pub(super) fn take(self: &Arc<Self>, function: &FunctionName) -> Option<Slot> {
        let mut held = self.held();
        let all: usize = held.values().sum();
        let own = held.get(function).copied().unwrap_or(0);
        if !may_take(self.most, own, all - own) {
            return None;
        }
        held.insert(function.clone(), own + 1);
        Some(Slot { slots: Arc::clone(self), function: function.clone() })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<FunctionName, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody holds more than half of what the others leave.
fn may_take(most: usize, own: usize, others: usize) -> bool {
    own < most.saturating_sub(others).div_ceil(2)
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.slots.held();
        match held.get_mut(&self.function) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(held.remove(&self.function)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check 54: however many functions take all that they can, one that comes then gets a slot.
    #[test]
    fn something_is_always_left_for_one_who_comes() {
        let slots = Slots::new(32);
        let name = |n: usize| FunctionName::parse(&format!("f{n}")).expect("is a name");
        let mut taken = Vec::new();
        for (n, expected) in [16, 8, 4, 2, 1, 1].into_iter().enumerate() {
            let before = taken.len();
            taken.extend(std::iter::from_fn(|| slots.take(&name(n))));
            assert_eq!(taken.len() - before, expected, "function {n}");
        }
        assert!(slots.take(&name(9)).is_none(), "now all are taken");
        taken.truncate(16);
        assert!(slots.take(&name(0)).is_none() && slots.take(&name(9)).is_some());
        drop(taken);
        assert!(slots.held().is_empty(), "who holds nothing is forgotten");
    }
}
