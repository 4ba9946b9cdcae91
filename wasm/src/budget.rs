//! The memory of all instances in a worker, bounded together by the function's memory setting.

use crate::engine::TABLE_ELEMENTS;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmtime::{Error, ResourceLimiter, Result};

/// Core instances, tables and memories of one component instance.
const PARTS: usize = 32;

/// Bytes that instances may have, and have.
#[derive(Debug)]
pub(crate) struct Budget {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
}

/// What one instance has of it. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    taken_bytes: usize,
}

/// An instance asked for more than there is.
#[derive(Debug, thiserror::Error)]
#[error("more than the function's {0} MB of memory were asked for")]
pub(crate) struct OutOfMemory(usize);

impl Budget {
    pub(crate) fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self { limit_bytes, used_bytes: AtomicUsize::new(0) })
    }

    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), taken_bytes: 0 }
    }
}

impl Share {
    fn take(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        let limit = self.budget.limit_bytes;
        let grown = |used: usize| used.checked_add(bytes).filter(|all| *all <= limit);
        match self.budget.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(_) => {
                self.taken_bytes += bytes;
                Ok(())
            }
            Err(_) => Err(OutOfMemory(limit >> 20)),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used_bytes.fetch_sub(self.taken_bytes, Ordering::Relaxed);
    }
}

impl ResourceLimiter for Share {
    /// What exceeds the function's memory ends the call, as it does for other languages.
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.take(desired.saturating_sub(current)).map_err(Error::from)?;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_instances_share_one_limit_and_give_back() {
        let budget = Budget::new(100);
        let mut first = budget.share();
        assert!(first.memory_growing(0, 60, None).unwrap());
        assert!(!first.memory_growing(60, 70, Some(65)).unwrap());
        let mut second = budget.share();
        assert!(second.memory_growing(0, 41, None).unwrap_err().is::<OutOfMemory>());
        assert!(second.memory_growing(0, 40, None).unwrap());
        drop(first);
        assert!(second.memory_growing(40, 100, None).unwrap());
        drop(second);
        assert_eq!(budget.used_bytes.load(Ordering::Relaxed), 0);
        assert!(!budget.share().table_growing(0, TABLE_ELEMENTS + 1, None).unwrap());
    }
}
