//! What a store is made on. One conformance suite runs over every engine.

mod fjall;
mod journal;
mod memory;

pub(crate) use self::fjall::FjallEngine;
pub(crate) use self::memory::MemoryEngine;

use crate::batch::{Transaction, Versioned};
use crate::hint::Hints;
use crate::{Key, Revision, Row, Scan, StoreError};
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

/// The answer to a commit, once it is durable.
pub(crate) type Committed<'a> = Pin<Box<dyn Future<Output = Result<Revision, StoreError>> + Send + 'a>>;

/// An ordered key-value store with all-or-nothing commits. Reads answer without waiting for anybody.
pub(crate) trait Engine: Send + Sync {
    fn get(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError>;
    fn scan(&self, range: Range<Key>, options: Scan) -> Result<Vec<Row>, StoreError>;
    fn commit(&self, transaction: Transaction) -> Committed<'_>;
    fn hints(&self) -> &Hints;
}
