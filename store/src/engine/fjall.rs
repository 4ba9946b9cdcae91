//! The embedded engine.

use super::{Committed, Engine};
use crate::batch::{Transaction, Versioned};
use crate::hint::Hints;
use crate::{DataDir, DataDirError, Key, Row, Scan, StoreError};
use std::ops::Range;
use world::World;

pub(crate) struct FjallEngine {
    hints: Hints,
}

impl FjallEngine {
    pub(crate) fn open(_dir: &DataDir, _world: World) -> Result<Self, DataDirError> {
        todo!()
    }
}

impl Engine for FjallEngine {
    fn get(&self, _keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        todo!()
    }

    fn scan(&self, _range: Range<Key>, _options: Scan) -> Result<Vec<Row>, StoreError> {
        todo!()
    }

    fn commit(&self, _transaction: Transaction) -> Committed<'_> {
        todo!()
    }

    fn hints(&self) -> &Hints {
        &self.hints
    }
}
