//! The store as its users see it.

use crate::engine::{Engine, FjallEngine, MemoryEngine};
use crate::{DataDir, DataDirError, Hint, StoreError};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use world::World;

/// A key: any bytes, at most 4 KiB of them. Keys are ordered bytewise.
pub type Key = Vec<u8>;

/// Which commit wrote a row last. Grows with every commit and is never given twice, so that a row which was
/// deleted and made anew cannot be taken for the old one.
pub type Revision = u64;

/// What a commit demands of a key before it writes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No such row.
    Absent,
    /// The row was last written by this commit.
    At(Revision),
    /// There is such a row.
    Any,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a row, new or not.
    Put(Key, Bytes),
    /// Removes a row; no error where there is none.
    Delete(Key),
}

/// How to scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// At most this many rows.
    pub limit: usize,
    /// From the end of the range to its start.
    pub reverse: bool,
}

/// Key, value, revision.
pub type Row = (Key, Bytes, Revision);

/// An ordered key-value store. Cheap to clone; the last clone closes it.
#[derive(Clone)]
pub struct Store(Arc<dyn Engine>);

impl Store {
    /// Opens the embedded engine in `dir`, repairing what a crash left half-written.
    pub fn fjall(dir: &DataDir, world: World) -> Result<Self, DataDirError> {
        Ok(Self(Arc::new(FjallEngine::open(dir, world)?)))
    }

    /// An engine that forgets everything when it is dropped. For tests.
    pub fn memory() -> Self {
        Self(Arc::new(MemoryEngine::default()))
    }

    /// The rows of `keys`, in their order. Sees every commit that was acknowledged before the call.
    pub async fn get(&self, keys: &[Key]) -> Result<Vec<Option<(Bytes, Revision)>>, StoreError> {
        self.0.get(keys)
    }

    /// The rows in `range`, at most `options.limit` of them. Fewer than that means there are no more.
    pub async fn scan(&self, range: Range<Key>, options: Scan) -> Result<Vec<Row>, StoreError> {
        self.0.scan(range, options)
    }

    /// Makes all `writes` if all `checks` hold, and returns once they are on disk. Later writes of one key
    /// in the same commit win. A value has at most 1 MiB, a commit at most 8 MiB. Dropping the future does
    /// not undo the commit.
    pub async fn commit(
        &self,
        checks: Vec<(Key, Expect)>,
        writes: Vec<Write>,
    ) -> Result<Revision, StoreError> {
        self.0.commit(crate::batch::Transaction { checks, writes }).await
    }

    /// Returns the reason once a write could not be made durable: no later one will be, and the process must
    /// restart to recover what is on disk.
    pub async fn broken(&self) -> String {
        self.0.hints().broken().await
    }

    /// Wakes its holder after commits under `prefix`. A hint only: it may miss one and may come for nothing.
    pub fn changed(&self, prefix: &[u8]) -> Hint {
        self.0.hints().watch(prefix)
    }
}
