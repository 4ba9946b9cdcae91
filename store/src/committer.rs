//! Group commit: one thread takes every transaction that waits and pays for one fsync.

use crate::batch::{Batch, Transaction, Versioned};
use crate::hint::Hints;
use crate::space::{RESERVE_BYTES, has_room};
use crate::{Key, Revision, StoreError};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use world::World;

/// Transactions that wait together hold at most this much; more callers wait for their turn.
const WAITING_MAX_KIB: usize = 64 * 1024;
/// The longest wait for more transactions to share an fsync with.
const PATIENCE_MAX: Duration = Duration::from_millis(2);

/// Where the committer writes. Its calls block.
pub(crate) trait Sink: Send {
    /// The revision that wrote `key` last.
    fn revision_of(&self, key: &Key) -> Result<Option<Revision>, StoreError>;
    /// Bytes that the disk has left.
    fn free_bytes(&mut self) -> Result<u64, StoreError>;
    /// Writes all rows and `last`, or nothing, and returns once that is on disk.
    fn write(&mut self, rows: &BTreeMap<Key, Option<Versioned>>, last: Revision) -> Result<(), Unwritten>;
}

/// Why a batch is not known to be durable.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// The disk is short of space, and nothing was written.
    Nothing,
    /// A write or an fsync failed: nobody knows what is on disk.
    Unknown(String),
}

/// Hands transactions to the committer.
#[derive(Debug)]
pub(crate) struct Submitter {
    queue: Arc<Queue>,
    room: Arc<Semaphore>,
}

impl Submitter {
    pub(crate) fn new() -> Self {
        Self { queue: Arc::default(), room: Arc::new(Semaphore::new(WAITING_MAX_KIB)) }
    }

    /// Returns once the transaction is durable or refused.
    pub(crate) async fn submit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let bytes = transaction.size()?;
        let kib = u32::try_from(bytes / 1024 + 1).expect("a commit is smaller than 4 TiB");
        let permit = Arc::clone(&self.room).acquire_many_owned(kib).await.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.queue.push(Waiting { transaction, bytes: bytes as u64, reply, _permit: permit })?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Broken("the committer ended".into())))
    }

    /// Takes no more; the committer ends when it has done what waits.
    pub(crate) fn close(&self) {
        self.room.close();
        self.queue.lock().closed = true;
        self.queue.ready.notify_one();
    }

    pub(crate) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }
}

#[derive(Debug)]
struct Waiting {
    transaction: Transaction,
    bytes: u64,
    reply: oneshot::Sender<Result<Revision, StoreError>>,
    _permit: OwnedSemaphorePermit,
}

/// What waits for the committer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    waiting: Vec<Waiting>,
    /// The committer sleeps until so many wait; 0 while it works.
    wanted: usize,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().expect("no holder of this lock can panic")
    }

    fn push(&self, waiting: Waiting) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.closed {
            return Err(StoreError::Closed);
        }
        state.waiting.push(waiting);
        let enough = state.wanted > 0 && state.waiting.len() >= state.wanted;
        drop(state);
        if enough {
            self.ready.notify_one();
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Waits for a first transaction, then up to `patience` for `expected` of them. `None`: closed and empty.
    fn next(&self, expected: usize, patience: Duration) -> Option<Vec<Waiting>> {
        let mut state = self.lock();
        state.wanted = 1;
        state = self
            .ready
            .wait_while(state, |state| state.waiting.is_empty() && !state.closed)
            .expect("no holder of this lock can panic");
        if state.waiting.len() < expected && !state.closed {
            state.wanted = expected;
            let short = |state: &mut QueueState| state.waiting.len() < expected && !state.closed;
            let waited = self.ready.wait_timeout_while(state, patience, short);
            state = waited.expect("no holder of this lock can panic").0;
        }
        state.wanted = 0;
        let taken = std::mem::take(&mut state.waiting);
        (!taken.is_empty()).then_some(taken)
    }
}

/// The one writer.
pub(crate) struct Committer<S> {
    pub(crate) queue: Arc<Queue>,
    pub(crate) hints: Arc<Hints>,
    pub(crate) sink: S,
    pub(crate) last: Revision,
    pub(crate) world: World,
}

impl<S: Sink> Committer<S> {
    /// Commits until the queue is closed.
    ///
    /// Callers that were just answered tend to come back at once. The next batch waits for as many as there
    /// are, though never longer than half of what an fsync takes; a lone caller never waits.
    pub(crate) fn run(mut self) {
        let (mut expected, mut patience) = (1, Duration::ZERO);
        let mut broken = None;
        while let Some(waiting) = self.queue.next(expected, patience) {
            let count = waiting.len();
            let before = self.world.moment();
            match &broken {
                None => broken = self.commit(waiting).err(),
                Some(reason) => answer_all(waiting.into_iter().map(|w| w.reply), reason),
            }
            patience = ((self.world.moment() - before) / 2).min(PATIENCE_MAX);
            expected = count + self.queue.len();
        }
    }

    /// One batch. `Err` when the disk can no longer be trusted; everyone in it was told.
    fn commit(&mut self, waiting: Vec<Waiting>) -> Result<(), String> {
        let mut batch = Batch::after(self.last);
        let mut answers = Vec::with_capacity(waiting.len());
        let mut free = self.sink.free_bytes();
        for Waiting { transaction, bytes, reply, _permit } in waiting {
            answers.push((reply, self.admit(&mut batch, transaction, bytes, &mut free)));
        }
        let revision = batch.revision();
        let rows = batch.into_rows();
        let wakes = self.hints.watching(rows.keys());
        let written = if rows.is_empty() { Ok(()) } else { self.sink.write(&rows, revision) };
        match written {
            Ok(()) => self.last = revision,
            Err(Unwritten::Nothing) => {
                let free_bytes = free.unwrap_or(0);
                let full = StoreError::Full { free_bytes, reserve_bytes: RESERVE_BYTES };
                answers.iter_mut().for_each(|(_, verdict)| *verdict = Err(full.clone()));
            }
            Err(Unwritten::Unknown(reason)) => {
                tracing::error!(reason, "a commit could not be made durable: the store stops");
                answer_all(answers.into_iter().map(|(reply, _)| reply), &reason);
                self.hints.broke(&reason);
                return Err(reason);
            }
        }
        for (reply, verdict) in answers {
            let _ = reply.send(verdict);
        }
        wakes.iter().for_each(|wake| wake.notify_one());
        Ok(())
    }

    fn admit(
        &self,
        batch: &mut Batch,
        transaction: Transaction,
        bytes: u64,
        free: &mut Result<u64, StoreError>,
    ) -> Result<Revision, StoreError> {
        let left = free.clone()?;
        // Everything is written at least twice: to the journal, and later to a table.
        let (need, frees) = (bytes * 2, transaction.only_deletes());
        if !transaction.writes.is_empty() && !has_room(left, need, frees) {
            return Err(StoreError::Full { free_bytes: left, reserve_bytes: RESERVE_BYTES });
        }
        let revision = batch.admit(transaction, |key| self.sink.revision_of(key))?;
        *free = Ok(left.saturating_sub(need));
        Ok(revision)
    }
}

fn answer_all(replies: impl Iterator<Item = oneshot::Sender<Result<Revision, StoreError>>>, reason: &str) {
    for reply in replies {
        let _ = reply.send(Err(StoreError::Broken(reason.into())));
    }
}
