//! The embedded engine: `fjall`, written by one committer, durable by explicit fdatasync.
//!
//! All rows live in one keyspace, so that one flush frees a journal. `r` + key holds the revision, 8 bytes
//! big-endian, and the value; `m` holds the last revision.

use super::{Committed, Engine, journal};
use crate::batch::{Transaction, Versioned};
use crate::committer::{Committer, Sink, Submitter, Unwritten};
use crate::fail::fail_point;
use crate::hint::Hints;
use crate::space::RESERVE_BYTES;
use crate::{DataDir, DataDirError, Key, Revision, Row, Scan, StoreError};
use bytes::Bytes;
use fjall::compaction::Leveled;
use fjall::{
    Database, Guard, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable, Slice,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use world::World;

const ROW: u8 = b'r';
const LAST_REVISION: &[u8] = b"m";

/// Rows kept in memory for reads.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// Rows kept in memory until they are written out as a table.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
/// One table. Merging tables takes space for a few of them at a time, also on a nearly full disk.
const TABLE_BYTES: u64 = 8 * 1024 * 1024;
/// One writes tables, one merges them: merging never holds up commits.
const WORKERS: usize = 2;
/// What a start may have to replay.
const JOURNAL_MAX_BYTES: u64 = 128 * 1024 * 1024;

pub(crate) struct FjallEngine {
    opened: Arc<RwLock<Option<Opened>>>,
    submitter: Submitter,
    hints: Arc<Hints>,
    committer: Option<JoinHandle<()>>,
    _dir: DataDir,
}

impl FjallEngine {
    pub(crate) fn open(dir: &DataDir, world: World) -> Result<Self, DataDirError> {
        let path = dir.path().join("state");
        let opened = Opened::at(&path)?;
        let last = last_revision(&opened.rows).map_err(|error| refusal(&path, error))?;
        let opened = Arc::new(RwLock::new(Some(opened)));
        let (submitter, hints) = (Submitter::new(), Arc::<Hints>::default());
        let sink = FjallSink { opened: Arc::clone(&opened), path: path.clone(), was_low: false };
        let (queue, woken) = (submitter.queue(), Arc::clone(&hints));
        let committer = std::thread::Builder::new()
            .name("store-commit".into())
            .spawn(move || Committer { queue, hints: woken, sink, last, world }.run())
            .map_err(|source| DataDirError::Unusable { path, source })?;
        Ok(Self { opened, submitter, hints, committer: Some(committer), _dir: dir.clone() })
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
        reading(&self.opened, |opened| {
            // Reads beside a snapshot would see the rows of a commit appear one by one.
            let at_once = opened.database.snapshot();
            let found = |key: &Key| {
                at_once.get(&opened.rows, stored_key(key)).map_err(unreadable)?.map(decode).transpose()
            };
            keys.iter().map(found).collect()
        })
    }

    fn scan(&self, range: Range<Key>, options: Scan) -> Result<Vec<Row>, StoreError> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let range = stored_key(&range.start)..stored_key(&range.end);
        reading(&self.opened, |opened| {
            let rows = opened.database.snapshot().range(&opened.rows, range);
            if options.reverse {
                rows.rev().take(options.limit).map(row).collect()
            } else {
                rows.take(options.limit).map(row).collect()
            }
        })
    }

    fn commit(&self, transaction: Transaction) -> Committed<'_> {
        Box::pin(self.submitter.submit(transaction))
    }

    fn hints(&self) -> &Hints {
        &self.hints
    }
}

struct Opened {
    rows: Keyspace,
    database: Database,
}

impl Opened {
    fn at(path: &Path) -> Result<Self, DataDirError> {
        let refused = |error| refusal(path, error);
        journal::repair(path)?;
        fail_point!("open.before-engine");
        let database = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .worker_threads(WORKERS)
            .max_journaling_size(JOURNAL_MAX_BYTES)
            .manual_journal_persist(true)
            .open()
            .map_err(refused)?;
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(TABLE_BYTES)))
                .manual_journal_persist(true)
        };
        let rows = database.keyspace("rows", options).map_err(refused)?;
        Ok(Self { rows, database })
    }
}

fn reading<T>(
    opened: &RwLock<Option<Opened>>,
    read: impl FnOnce(&Opened) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let opened = opened.read().expect("no holder of this lock can panic");
    read(opened.as_ref().ok_or_else(|| StoreError::Unreadable("the engine did not open again".into()))?)
}

struct FjallSink {
    opened: Arc<RwLock<Option<Opened>>>,
    path: PathBuf,
    /// Whether the disk was short of space at some commit since the engine was opened.
    was_low: bool,
}

impl Sink for FjallSink {
    fn revision_of(&self, key: &Key) -> Result<Option<Revision>, StoreError> {
        let found = reading(&self.opened, |opened| opened.rows.get(stored_key(key)).map_err(unreadable))?;
        Ok(found.map(decode).transpose()?.map(|(_, revision)| revision))
    }

    fn free_bytes(&mut self) -> Result<u64, StoreError> {
        let free = crate::space::free_bytes(&self.path);
        let free = free.map_err(|error| StoreError::Unreadable(error.to_string()))?;
        self.was_low |= free < RESERVE_BYTES;
        Ok(free)
    }

    fn write(&mut self, rows: &BTreeMap<Key, Option<Versioned>>, last: Revision) -> Result<(), Unwritten> {
        fail_point!("commit.before-write", error).map_err(|error| Unwritten::Unknown(error.to_string()))?;
        let mut written = self.write_once(rows, last);
        if matches!(written, Err(Unwritten::Nothing)) {
            self.open_again()?;
            written = self.write_once(rows, last);
        }
        fail_point!("commit.after-sync");
        written
    }
}

impl FjallSink {
    fn write_once(&self, rows: &BTreeMap<Key, Option<Versioned>>, last: Revision) -> Result<(), Unwritten> {
        let opened = self.opened.read().expect("no holder of this lock can panic");
        let opened = opened.as_ref().ok_or_else(|| Unwritten::Unknown("the engine is closed".into()))?;
        let batch = OwnedWriteBatch::with_capacity(opened.database.clone(), rows.len() + 1);
        // fdatasync, asked for here and nowhere left to a default; rows become visible only after it.
        let mut batch = batch.durability(Some(PersistMode::SyncData));
        for (key, row) in rows {
            match row {
                Some((value, revision)) => {
                    batch.insert(&opened.rows, stored_key(key), encode(value, *revision));
                }
                None => batch.remove(&opened.rows, stored_key(key)),
            }
        }
        batch.insert(&opened.rows, LAST_REVISION, last.to_be_bytes());
        batch.commit().map_err(|error| match error {
            // Found out before anything is written.
            fjall::Error::Poisoned => Unwritten::Nothing,
            other => Unwritten::Unknown(other.to_string()),
        })
    }

    /// The engine refuses commits once its housekeeping has failed. Where a short disk explains that, nothing
    /// acknowledged is in danger, since every commit was synced by itself: it opens again, as after a crash.
    fn open_again(&mut self) -> Result<(), Unwritten> {
        if !self.was_low {
            return Err(Unwritten::Unknown(
                "the engine's housekeeping failed, with space on the disk".into(),
            ));
        }
        tracing::warn!(path = %self.path.display(), "the disk was short of space: opening the store again");
        let mut opened = self.opened.write().expect("no holder of this lock can panic");
        // First closed, then opened: the engine locks its directory.
        *opened = None;
        *opened = Some(Opened::at(&self.path).map_err(|error| Unwritten::Unknown(error.to_string()))?);
        drop(opened);
        self.was_low = self.free_bytes().is_ok_and(|free| free < RESERVE_BYTES);
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
