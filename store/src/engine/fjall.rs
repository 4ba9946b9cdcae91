//! The embedded engine: `fjall`, written by one committer, durable by explicit fdatasync.
//!
//! All rows live in one keyspace, so that one flush frees a journal. `r` + key holds the revision, 8 bytes
//! big-endian, and the value; `m` holds the last revision.

use super::{Committed, Engine, journal};
use crate::batch::{Transaction, Versioned};
use crate::committer::{Committer, Sink, Submitter};
use crate::fail::fail_point;
use crate::hint::Hints;
use crate::{DataDir, DataDirError, Key, Revision, Row, Scan, StoreError};
use bytes::Bytes;
use fjall::{
    Database, Guard, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable, Slice,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use world::World;

const ROW: u8 = b'r';
const LAST_REVISION: &[u8] = b"m";

/// Rows kept in memory for reads.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// Rows kept in memory until they are written out as a table.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
/// What a start may have to replay.
const JOURNAL_MAX_BYTES: u64 = 128 * 1024 * 1024;

pub(crate) struct FjallEngine {
    rows: Keyspace,
    database: Database,
    submitter: Submitter,
    hints: Arc<Hints>,
    committer: Option<JoinHandle<()>>,
    _dir: DataDir,
}

impl FjallEngine {
    pub(crate) fn open(dir: &DataDir, world: World) -> Result<Self, DataDirError> {
        let path = dir.path().join("state");
        let refused = |error| refusal(&path, error);
        journal::repair(&path)?;
        fail_point!("open.before-engine");
        let database = Database::builder(&path)
            .cache_size(CACHE_BYTES)
            .worker_threads(1)
            .max_journaling_size(JOURNAL_MAX_BYTES)
            .manual_journal_persist(true)
            .open()
            .map_err(refused)?;
        let options = || {
            KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES).manual_journal_persist(true)
        };
        let rows = database.keyspace("rows", options).map_err(refused)?;
        let last = last_revision(&rows).map_err(refused)?;
        let (submitter, hints) = (Submitter::new(), Arc::<Hints>::default());
        let sink = FjallSink { rows: rows.clone(), database: database.clone(), path: path.clone() };
        let (queue, woken) = (submitter.queue(), Arc::clone(&hints));
        let committer = std::thread::Builder::new()
            .name("store-commit".into())
            .spawn(move || Committer { queue, hints: woken, sink, last, world }.run())
            .map_err(|source| DataDirError::Unusable { path: path.clone(), source })?;
        Ok(Self { rows, database, submitter, hints, committer: Some(committer), _dir: dir.clone() })
    }
}

impl Drop for FjallEngine {
    fn drop(&mut self) {
        self.submitter.close();
        if let Some(committer) = self.committer.take() {
            let _ = committer.join();
        }
    }
}

impl Engine for FjallEngine {
    fn get(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        // Reads beside a snapshot would see the rows of a commit appear one by one.
        let at_once = self.database.snapshot();
        let found =
            |key: &Key| at_once.get(&self.rows, stored_key(key)).map_err(unreadable)?.map(decode).transpose();
        keys.iter().map(found).collect()
    }

    fn scan(&self, range: Range<Key>, options: Scan) -> Result<Vec<Row>, StoreError> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let range = stored_key(&range.start)..stored_key(&range.end);
        let rows = self.database.snapshot().range(&self.rows, range);
        if options.reverse {
            rows.rev().take(options.limit).map(row).collect()
        } else {
            rows.take(options.limit).map(row).collect()
        }
    }

    fn commit(&self, transaction: Transaction) -> Committed<'_> {
        Box::pin(self.submitter.submit(transaction))
    }

    fn hints(&self) -> &Hints {
        &self.hints
    }
}

struct FjallSink {
    rows: Keyspace,
    database: Database,
    path: PathBuf,
}

impl Sink for FjallSink {
    fn revision_of(&self, key: &Key) -> Result<Option<Revision>, StoreError> {
        let found = self.rows.get(stored_key(key)).map_err(unreadable)?;
        Ok(found.map(decode).transpose()?.map(|(_, revision)| revision))
    }

    fn free_bytes(&self) -> Result<u64, StoreError> {
        crate::space::free_bytes(&self.path).map_err(|error| StoreError::Unreadable(error.to_string()))
    }

    fn write(&mut self, rows: BTreeMap<Key, Option<Versioned>>, last: Revision) -> Result<(), String> {
        let batch = OwnedWriteBatch::with_capacity(self.database.clone(), rows.len() + 1);
        // fdatasync, asked for here and nowhere left to a default; rows become visible only after it.
        let mut batch = batch.durability(Some(PersistMode::SyncData));
        for (key, row) in rows {
            match row {
                Some((value, revision)) => {
                    batch.insert(&self.rows, stored_key(&key), encode(&value, revision))
                }
                None => batch.remove(&self.rows, stored_key(&key)),
            }
        }
        batch.insert(&self.rows, LAST_REVISION, last.to_be_bytes());
        fail_point!("commit.before-write", error).map_err(|error| error.to_string())?;
        batch.commit().map_err(|error| error.to_string())?;
        fail_point!("commit.after-sync");
        Ok(())
    }
}

fn last_revision(rows: &Keyspace) -> Result<Revision, fjall::Error> {
    let Some(stored) = rows.get(LAST_REVISION)? else { return Ok(0) };
    let bytes = <[u8; 8]>::try_from(&*stored).map_err(|_| fjall::Error::Unrecoverable)?;
    Ok(Revision::from_be_bytes(bytes))
}

fn stored_key(key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(key.len() + 1);
    stored.push(ROW);
    stored.extend_from_slice(key);
    stored
}

fn encode(value: &[u8], revision: Revision) -> Slice {
    let mut stored = Vec::with_capacity(value.len() + 8);
    stored.extend_from_slice(&revision.to_be_bytes());
    stored.extend_from_slice(value);
    stored.into()
}

fn decode(stored: Slice) -> Result<Versioned, StoreError> {
    let stored = Bytes::from(stored);
    let revision = stored.first_chunk::<8>().map(|head| Revision::from_be_bytes(*head));
    let revision = revision.ok_or_else(|| StoreError::Unreadable("a row has no revision".into()))?;
    Ok((stored.slice(8..), revision))
}

fn row(guard: Guard) -> Result<Row, StoreError> {
    let (key, stored) = guard.into_inner().map_err(unreadable)?;
    let (value, revision) = decode(stored)?;
    Ok((key[1..].to_vec(), value, revision))
}

fn unreadable(error: fjall::Error) -> StoreError {
    StoreError::Unreadable(error.to_string())
}

fn refusal(path: &Path, error: fjall::Error) -> DataDirError {
    let path = path.to_path_buf();
    match error {
        fjall::Error::Io(source) => DataDirError::Unusable { path, source },
        fjall::Error::Locked => DataDirError::InUse { path, pid: 0 },
        damaged => DataDirError::Damaged { path, what: damaged.to_string() },
    }
}
