//! Pure rules of a commit: what is admitted, on top of what earlier transactions of the same batch wrote.

use crate::{Expect, Key, Revision, StoreError, Write};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Longest key.
pub const KEY_MAX_BYTES: usize = 4 * 1024;
/// Longest value. Larger things are blobs.
pub const VALUE_MAX_BYTES: usize = 1024 * 1024;
/// All keys and values of one commit together.
pub const COMMIT_MAX_BYTES: usize = 8 * 1024 * 1024;

/// A value with the revision that wrote it.
pub(crate) type Versioned = (Bytes, Revision);

/// What one caller wants done, all or nothing.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) checks: Vec<(Key, Expect)>,
    pub(crate) writes: Vec<Write>,
}

impl Transaction {
    /// Refuses what is larger than any commit may be, and counts the bytes of the rest.
    pub(crate) fn size(&self) -> Result<usize, StoreError> {
        let mut total = 0;
        for write in &self.writes {
            let (key, value) = match write {
                Write::Put(key, value) => (key.len(), value.len()),
                Write::Delete(key) => (key.len(), 0),
            };
            fits("key", key, KEY_MAX_BYTES)?;
            fits("value", value, VALUE_MAX_BYTES)?;
            total += key + value;
        }
        fits("commit", total, COMMIT_MAX_BYTES)?;
        Ok(total)
    }

    /// Whether it only frees space.
    pub(crate) fn only_deletes(&self) -> bool {
        self.writes.iter().all(|write| matches!(write, Write::Delete(_)))
    }
}

fn fits(what: &'static str, bytes: usize, limit: usize) -> Result<(), StoreError> {
    if bytes <= limit {
        return Ok(());
    }
    Err(StoreError::TooLarge { what, bytes: bytes as u64, limit_bytes: limit as u64 })
}

/// Transactions that reach the disk together.
#[derive(Debug)]
pub(crate) struct Batch {
    rows: BTreeMap<Key, Option<Versioned>>,
    revision: Revision,
}

impl Batch {
    /// An empty batch after the commit `last`.
    pub(crate) fn after(last: Revision) -> Self {
        Self { rows: BTreeMap::new(), revision: last }
    }

    /// The revision of the newest transaction in it.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// Checks a transaction against `stored` and the transactions before it, and takes its writes in.
    pub(crate) fn admit(
        &mut self,
        transaction: Transaction,
        stored: impl Fn(&Key) -> Result<Option<Revision>, StoreError>,
    ) -> Result<Revision, StoreError> {
        for (key, expect) in &transaction.checks {
            let found = match self.rows.get(key) {
                Some(row) => row.as_ref().map(|(_, revision)| *revision),
                None => stored(key)?,
            };
            if !holds(*expect, found) {
                return Err(StoreError::Conflict { key: key.clone() });
            }
        }
        if transaction.writes.is_empty() {
            return Ok(self.revision);
        }
        self.revision += 1;
        for write in transaction.writes {
            match write {
                Write::Put(key, value) => self.rows.insert(key, Some((value, self.revision))),
                Write::Delete(key) => self.rows.insert(key, None),
            };
        }
        Ok(self.revision)
    }

    /// What to write: the last word on every key.
    pub(crate) fn into_rows(self) -> BTreeMap<Key, Option<Versioned>> {
        self.rows
    }
}

fn holds(expect: Expect, found: Option<Revision>) -> bool {
    match expect {
        Expect::Absent => found.is_none(),
        Expect::At(revision) => found == Some(revision),
        Expect::Any => found.is_some(),
    }
}
