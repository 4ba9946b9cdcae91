//! The memory of all instances in a worker, bounded together by the function's memory setting.

use crate::engine::TABLE_ELEMENTS;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use wasmtime::{Error, ResourceLimiter, Result};

/// Core instances, tables and memories of one component instance.
const PARTS: usize = 32;

/// Calls that begin at once before it is known what an instance needs.
const UNTRIED: usize = 16;

/// Bytes that instances may have, and have.
#[derive(Debug)]
pub(crate) struct Budget {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
    /// What the hungriest instances of late had at their end.
    habit_bytes: AtomicUsize,
    running: AtomicUsize,
    ended: Notify,
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
        Arc::new(Self {
            limit_bytes,
            used_bytes: AtomicUsize::new(0),
            habit_bytes: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            ended: Notify::new(),
        })
    }

    /// Waits until one more of at most `most` instances will find memory, going by what others needed. One alone never
    /// waits. For one caller at a time.
    pub(crate) async fn seat(self: &Arc<Self>, most: usize) -> Seat {
        loop {
            let (running, habit) =
                (self.running.load(Ordering::Relaxed), self.habit_bytes.load(Ordering::Relaxed));
            if may_begin(running, most, habit, self.limit_bytes) {
                self.running.fetch_add(1, Ordering::Relaxed);
                return Seat(Arc::clone(self));
            }
            self.ended.notified().await;
        }
    }

    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), taken_bytes: 0 }
    }
}

/// Whether one more instance may begin beside `running` others.
fn may_begin(running: usize, most: usize, habit_bytes: usize, limit_bytes: usize) -> bool {
    let places = limit_bytes.checked_div(habit_bytes).unwrap_or(UNTRIED);
    running == 0 || running < most.min(places)
}

/// A place for one instance. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Budget>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.notify_one();
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
        let Budget { used_bytes, habit_bytes, .. } = &*self.budget;
        used_bytes.fetch_sub(self.taken_bytes, Ordering::Relaxed);
        // One that was hungrier than the others is forgotten after a few hundred.
        let habit = habit_bytes.load(Ordering::Relaxed);
        habit_bytes.store(self.taken_bytes.max(habit - habit / 128), Ordering::Relaxed);
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
    fn as_many_begin_as_will_find_memory() {
        for (running, most, habit, limit, expected) in [
            (0, 4, 200, 100, true),
            (1, 4, 60, 100, false),
            (1, 4, 50, 100, true),
            (3, 4, 1, 100, true),
            (4, 4, 1, 100, false),
            (UNTRIED - 1, 64, 0, 100, true),
            (UNTRIED, 64, 0, 100, false),
        ] {
            assert_eq!(may_begin(running, most, habit, limit), expected, "{running} {most} {habit}");
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_seat_gets_the_next_one() {
        let budget = Budget::new(100);
        let mut hungry = budget.share();
        assert!(hungry.memory_growing(0, 60, None).unwrap());
        let first = budget.seat(4).await;
        drop(hungry);
        let mut second = std::pin::pin!(budget.seat(4));
        assert!(at_once(second.as_mut()).await.is_none());
        drop(first);
        assert!(at_once(second.as_mut()).await.is_some());
    }

    /// What a future gives at once.
    async fn at_once<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }

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
