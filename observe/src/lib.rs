//! Log lines and invocation records: taken in without ever making a caller wait, kept within a size and an
//! age, and queryable on the machine itself. May drop lines, and says how many.

mod logs;
mod page;
mod pattern;
mod query;
mod queue;
mod records;
mod tally;
mod token;
mod writer;

pub use query::{
    Event, EventsPage, EventsQuery, FilterPage, FilterQuery, Group, QueryError, RecordsQuery, Stream,
    StreamOrder,
};

pub use tally::{Counts, DURATIONS_US, Tally};

use logs::Logs;
use model::InvocationRecord;
use queue::{Item, Queue};
use records::Records;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use store::DataDir;
use tokio::sync::broadcast;
use world::World;
use writer::Writer;

const LINE_MAX_BYTES: u64 = model::limit("log-line-bytes");

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Log lines (seven eighths) and records (one eighth) on disk.
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

impl Settings {
    /// What is older is not shown any more, removed or not.
    fn oldest_us(&self, world: &World) -> u64 {
        world.now().0.saturating_sub(u64::try_from(self.age.as_micros()).unwrap_or(u64::MAX))
    }
}

/// Takes in and answers. Cheap to clone; the last clone writes out what waits.
#[derive(Debug, Clone)]
pub struct Observe(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Arc<Queue>,
    logs: Arc<Logs>,
    records: Arc<Records>,
    tally: Arc<Mutex<Tally>>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Observe {
    /// Opens the logs and records of a data directory and starts their writer.
    pub fn start(dir: &DataDir, settings: Settings, world: World) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(settings.queue_bytes)?);
        let logs = Arc::new(Logs::open(dir, settings, world.clone())?);
        let records = Arc::new(Records::open(dir, settings, world.clone())?);
        let tally = Arc::<Mutex<Tally>>::default();
        let writer = Writer {
            queue: Arc::clone(&queue),
            logs: Arc::clone(&logs),
            records: Arc::clone(&records),
            tally: Arc::clone(&tally),
            world,
        };
        let writer = std::thread::Builder::new().name("observe".into()).spawn(move || writer.run())?;
        Ok(Self(Arc::new(Inner { queue, logs, records, tally, writer: Some(writer) })))
    }

    /// Takes in one log event. Whatever bytes `message` holds, it stays one event; one that is longer than
    /// the limit `log-line-bytes` is cut and says so. Never waits.
    pub fn line(&self, group: &str, stream: &str, stamp_us: u64, message: &[u8]) {
        self.0.queue.push_line(group, stream, stamp_us, cut(message));
    }

    /// Takes in the record of an invocation. Never waits.
    pub fn record(&self, record: InvocationRecord) {
        self.0.queue.push(Item::Record(Box::new(record)));
    }

    /// Counts a call that was refused because it reached a limit. Never waits.
    pub fn throttled(&self, function: &str, limit: &'static str) {
        self.0.tally.lock().expect(tally::UNBROKEN).throttled(function, limit);
    }

    /// What was done since the start, everything that was taken in before the call included.
    pub async fn tally(&self) -> Tally {
        self.flush().await;
        self.0.tally.lock().expect(tally::UNBROKEN).clone()
    }

    /// Every event as it comes in, for live tails. Slow receivers miss some.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.0.logs.live()
    }

    /// Returns once everything taken in before the call can be read. Queries do so by themselves.
    pub async fn flush(&self) {
        self.0.queue.flush().await;
    }

    /// All groups whose names start with `prefix`, by name.
    pub async fn groups(&self, prefix: &str) -> Result<Vec<Group>, QueryError> {
        self.flush().await;
        Ok(self.0.logs.groups(prefix))
    }

    /// The streams of `group` whose names start with `prefix`.
    pub async fn streams(
        &self,
        group: &str,
        prefix: &str,
        order: StreamOrder,
    ) -> Result<Vec<Stream>, QueryError> {
        let (group, prefix) = (group.to_owned(), prefix.to_owned());
        self.ask(move |inner| inner.logs.streams(&group, &prefix, order)).await
    }

    /// A page of one stream, oldest event first.
    pub async fn events(&self, query: EventsQuery) -> Result<EventsPage, QueryError> {
        self.ask(move |inner| inner.logs.events(&query)).await
    }

    /// A page of the events of a group that match a pattern, oldest first.
    pub async fn filter(&self, query: FilterQuery) -> Result<FilterPage, QueryError> {
        self.ask(move |inner| inner.logs.filter(&query)).await
    }

    /// Removes a log group with its events. Lines that come later make it anew.
    pub async fn delete_group(&self, group: &str) -> Result<(), QueryError> {
        let group = group.to_owned();
        self.ask(move |inner| inner.logs.delete(&group)).await
    }

    /// The newest records since `since_us`, newest first; of one function or of all. At most `limit`, and at
    /// most 1 MiB of them.
    pub async fn records(&self, query: RecordsQuery) -> Result<Vec<InvocationRecord>, QueryError> {
        self.ask(move |inner| inner.records.newest(&query)).await
    }

    /// The record of one call.
    pub async fn record_by_id(&self, request_id: &str) -> Result<Option<InvocationRecord>, QueryError> {
        let request_id = request_id.to_owned();
        self.ask(move |inner| inner.records.of(&request_id)).await
    }

    /// Lets what was taken in before the question be written, and answers on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Inner) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, QueryError> {
        self.flush().await;
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || question(&inner)).await.map_err(QueryError::failed)?
    }
}

/// A message within the limit, its end replaced by a word about what is missing.
fn cut(message: &[u8]) -> Vec<u8> {
    let limit = usize::try_from(LINE_MAX_BYTES).expect("the limit fits in memory");
    if message.len() <= limit {
        return message.to_vec();
    }
    let marker = format!("… cut, the line has {} bytes", message.len());
    let mut end = limit - marker.len();
    // Not in the middle of a character.
    while end > limit - marker.len() - 3 && message[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    [&message[..end], marker.as_bytes()].concat()
}
