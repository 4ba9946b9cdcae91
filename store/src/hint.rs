//! Wake-ups: who watches which prefix (best effort), and who watches for the end of the store (never missed).

use crate::Key;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use tokio::sync::{Notify, watch};

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
    broken: watch::Sender<Option<String>>,
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

    /// Everyone who watches a prefix of one of `keys`.
    pub(crate) fn watching<'a>(&self, keys: impl Iterator<Item = &'a Key> + Clone) -> Vec<Arc<Notify>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let watchers = self.lock();
        let concerned = watchers.iter().filter(|(prefix, _)| keys.clone().any(|key| key.starts_with(prefix)));
        concerned.filter_map(|(_, watcher)| watcher.upgrade()).collect()
    }

    /// Tells everyone that nothing can be made durable any more.
    pub(crate) fn broke(&self, reason: &str) {
        self.broken.send_replace(Some(reason.to_owned()));
    }

    /// Returns the reason once the store has broken.
    pub(crate) async fn broken(&self) -> String {
        let mut watcher = self.broken.subscribe();
        let reason = watcher.wait_for(Option::is_some).await.expect("the sender is part of self").clone();
        reason.expect("waited for")
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Vec<u8>, Weak<Notify>)>> {
        self.watchers.lock().expect("no holder of this lock can panic")
    }
}
