//! Best-effort wake-ups: who watches which prefix.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use tokio::sync::Notify;

/// Wakes its holder when something under a prefix may have changed.
#[derive(Debug)]
pub struct Hint(Arc<Notify>);

impl Hint {
    /// Returns after the next change, or at once if one came since the last call.
    pub async fn wait(&self) {
        self.0.notified().await;
    }
}

/// All hints of a store.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    watchers: Mutex<Vec<(Vec<u8>, Weak<Notify>)>>,
    count: AtomicUsize,
}

impl Hints {
    pub(crate) fn watch(&self, prefix: &[u8]) -> Hint {
        let notify = Arc::new(Notify::new());
        let mut watchers = self.lock();
        watchers.retain(|(_, watcher)| watcher.strong_count() > 0);
        watchers.push((prefix.to_vec(), Arc::downgrade(&notify)));
        self.count.store(watchers.len(), Ordering::Release);
        Hint(notify)
    }

    /// Wakes everyone who watches a prefix of one of `keys`.
    pub(crate) fn wake<'a>(&self, keys: impl Iterator<Item = &'a [u8]> + Clone) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        for (prefix, watcher) in self.lock().iter() {
            if keys.clone().any(|key| key.starts_with(prefix))
                && let Some(notify) = watcher.upgrade()
            {
                notify.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Vec<u8>, Weak<Notify>)>> {
        self.watchers.lock().expect("no holder of this lock can panic")
    }
}
