//! A store in memory: for tests, and the oracle of the other engines.

use super::{Committed, Engine};
use crate::batch::{Batch, Transaction, Versioned};
use crate::hint::Hints;
use crate::{Key, Revision, Row, Scan, StoreError};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

#[derive(Debug, Default)]
pub(crate) struct MemoryEngine {
    state: Mutex<State>,
    hints: Hints,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Key, Versioned>,
    revision: Revision,
}

impl MemoryEngine {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock can panic")
    }

    fn apply(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        transaction.size()?;
        let mut state = self.lock();
        let mut batch = Batch::after(state.revision);
        let revision =
            batch.admit(transaction, |key| Ok(state.rows.get(key).map(|(_, revision)| *revision)))?;
        state.revision = revision;
        let rows = batch.into_rows();
        let wakes = self.hints.watching(rows.keys());
        for (key, row) in rows {
            match row {
                Some(row) => state.rows.insert(key, row),
                None => state.rows.remove(&key),
            };
        }
        wakes.iter().for_each(|wake| wake.notify_one());
        Ok(revision)
    }
}

impl Engine for MemoryEngine {
    fn get(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        let state = self.lock();
        Ok(keys.iter().map(|key| state.rows.get(key).cloned()).collect())
    }

    fn scan(&self, range: Range<Key>, options: Scan) -> Result<Vec<Row>, StoreError> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let state = self.lock();
        let rows =
            state.rows.range(range).map(|(key, (value, revision))| (key.clone(), value.clone(), *revision));
        Ok(if options.reverse {
            rows.rev().take(options.limit).collect()
        } else {
            rows.take(options.limit).collect()
        })
    }

    fn commit(&self, transaction: Transaction) -> Committed<'_> {
        Box::pin(std::future::ready(self.apply(transaction)))
    }

    fn hints(&self) -> &Hints {
        &self.hints
    }
}
