//! Log lines and invocation records: taken in without ever making a caller wait, kept within a size and an
//! age, and queryable on the machine itself. May drop lines, and says how many.

mod query;

pub use query::{
    Event, EventsPage, EventsQuery, FilterPage, FilterQuery, Group, QueryError, Stream, StreamOrder,
};

use model::InvocationRecord;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use store::DataDir;
use tokio::sync::broadcast;
use world::World;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Log lines and records together, on disk.
    pub total_bytes: u64,
    /// The oldest that is kept.
    pub age: Duration,
    /// Lines that wait to be written; what comes beyond is dropped and counted.
    pub queue_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            total_bytes: model::limit("log-store-bytes"),
            age: Duration::from_secs(model::limit("log-age")),
            queue_bytes: 16 * 1024 * 1024,
        }
    }
}

/// Takes in and answers. Cheap to clone; the last clone writes out what waits.
#[derive(Debug, Clone)]
pub struct Observe {}

impl Observe {
    /// Opens the logs and records of a data directory and starts their writer.
    pub fn start(_dir: &DataDir, _settings: Settings, _world: World) -> io::Result<Self> {
        todo!()
    }

    /// Takes in one log event. Whatever bytes `message` holds, it stays one event; one that is longer than
    /// the limit `log-line-bytes` is cut and says so. Never waits.
    pub fn line(&self, _group: &str, _stream: &str, _stamp_us: u64, _message: &[u8]) {
        todo!()
    }

    /// Takes in the record of an invocation. Never waits.
    pub fn record(&self, _record: InvocationRecord) {
        todo!()
    }

    /// Every event as it comes in, for live tails. Slow receivers miss some.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        todo!()
    }

    /// Returns once everything taken in before the call can be read. Queries do so by themselves.
    pub async fn flush(&self) {
        todo!()
    }

    /// All groups whose names start with `prefix`, by name.
    pub async fn groups(&self, _prefix: &str) -> Result<Vec<Group>, QueryError> {
        todo!()
    }

    /// The streams of `group` whose names start with `prefix`.
    pub async fn streams(
        &self,
        _group: &str,
        _prefix: &str,
        _order: StreamOrder,
    ) -> Result<Vec<Stream>, QueryError> {
        todo!()
    }

    /// A page of one stream, oldest event first.
    pub async fn events(&self, _query: EventsQuery) -> Result<EventsPage, QueryError> {
        todo!()
    }

    /// A page of the events of a group that match a pattern, oldest first.
    pub async fn filter(&self, _query: FilterQuery) -> Result<FilterPage, QueryError> {
        todo!()
    }

    /// Removes a log group with its events.
    pub async fn delete_group(&self, _group: &str) -> Result<(), QueryError> {
        todo!()
    }

    /// The newest records since `since_us`, newest first; of one function or of all.
    pub async fn records(
        &self,
        _function: Option<&str>,
        _since_us: u64,
        _limit: usize,
    ) -> Result<Vec<InvocationRecord>, QueryError> {
        todo!()
    }

    /// The record of one call.
    pub async fn record_by_id(&self, _request_id: &str) -> Result<Option<InvocationRecord>, QueryError> {
        todo!()
    }
}
