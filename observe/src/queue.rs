//! What was taken in and waits to be written: bounded, and never in the way of those who bring it.

use model::InvocationRecord;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use world::Alarm;

/// How long lines gather before they are written, unless somebody asks for them.
const GATHER: Duration = Duration::from_millis(10);
/// How often the writer looks at limits while nothing comes in.
const IDLE: Duration = Duration::from_secs(60);
/// Streams whose dropped lines are counted apart.
const DROPPED_STREAMS_MAX: usize = 1024;
/// What a record takes while it waits, roughly.
const RECORD_BYTES: usize = 1024;

#[derive(Debug)]
pub(crate) enum Item {
    Line { group: Arc<str>, stream: Arc<str>, stamp_us: u64, message: Vec<u8> },
    Record(Box<InvocationRecord>),
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Line { group, stream, message, .. } => {
                size_of::<Self>() + group.len() + stream.len() + message.len()
            }
            Self::Record(_) => RECORD_BYTES,
        }
    }
}

/// Lines that were not kept, by group and stream, with the time of the last one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) streams: BTreeMap<(String, String), (u64, u64)>,
    /// Records, and lines of streams beyond those that are counted apart.
    pub(crate) elsewhere: u64,
}

impl Dropped {
    pub(crate) fn add(&mut self, item: Item) {
        match item {
            Item::Line { group, stream, stamp_us, .. } => {
                self.count((group.as_ref().into(), stream.as_ref().into()), 1, stamp_us);
            }
            Item::Record(_) => self.elsewhere += 1,
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.elsewhere += other.elsewhere;
        for (stream, (lines, last_us)) in other.streams {
            self.count(stream, lines, last_us);
        }
    }

    fn count(&mut self, stream: (String, String), lines: u64, last_us: u64) {
        if self.streams.len() >= DROPPED_STREAMS_MAX && !self.streams.contains_key(&stream) {
            self.elsewhere += lines;
            return;
        }
        let (sum, last) = self.streams.entry(stream).or_default();
        (*sum, *last) = (*sum + lines, last_us.max(*last));
    }
}

/// What the writer takes at once. Empty when it is only time to look at limits.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) items: Vec<Item>,
    pub(crate) dropped: Dropped,
    /// Reported back by [`Queue::written`].
    pub(crate) ticket: u64,
}

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// For the writer, who sleeps until what it wakes up for has gathered.
    alarm: Alarm,
    max_bytes: usize,
    written: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    items: Vec<Item>,
    bytes: usize,
    dropped: Dropped,
    /// Group and stream of the last line.
    last: Option<(Arc<str>, Arc<str>)>,
    /// Grows with everything that is brought, kept or dropped.
    brought: u64,
    /// Somebody waits for what is here.
    hurry: bool,
    /// The alarm is not set for what has come.
    idle: bool,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(max_bytes: usize) -> io::Result<Self> {
        let alarm = Alarm::new()?;
        Ok(Self { state: Mutex::default(), alarm, max_bytes, written: watch::Sender::new(0) })
    }

    /// Takes a line in. Lines come in rows from the same stream, whose names are then shared.
    pub(crate) fn push_line(&self, group: &str, stream: &str, stamp_us: u64, message: Vec<u8>) {
        let mut state = self.lock();
        let (group, stream) = match &state.last {
            Some((last, of)) if **of == *stream && **last == *group => (Arc::clone(last), Arc::clone(of)),
            _ => (group.into(), stream.into()),
        };
        state.last = Some((Arc::clone(&group), Arc::clone(&stream)));
        self.take_in(state, Item::Line { group, stream, stamp_us, message });
    }

    /// Takes an item in, or counts it as dropped where there is no room.
    pub(crate) fn push(&self, item: Item) {
        self.take_in(self.lock(), item);
    }

    fn take_in(&self, mut state: MutexGuard<'_, State>, item: Item) {
        state.brought += 1;
        let item_bytes = item.bytes();
        let bytes = state.bytes + item_bytes;
        if bytes > self.max_bytes {
            state.dropped.add(item);
            return;
        }
        state.bytes = bytes;
        state.items.push(item);
        let half = self.max_bytes / 2;
        if bytes > half && bytes - item_bytes <= half {
            self.call(&mut state, Duration::ZERO);
        } else if state.idle {
            self.call(&mut state, GATHER);
        }
    }

    /// Returns once everything brought before the call was written or counted as dropped.
    pub(crate) async fn flush(&self) {
        let mut written = self.written.subscribe();
        let wanted = {
            let mut state = self.lock();
            state.hurry = true;
            self.call(&mut state, Duration::ZERO);
            state.brought
        };
        let _ = written.wait_for(|written| *written >= wanted).await;
    }

    /// For the writer: waits for items and lets some gather. `None` once the queue is closed and empty.
    pub(crate) fn take(&self) -> Option<Batch> {
        {
            let mut state = self.lock();
            let time = match &*state {
                State { hurry: true, .. } | State { closed: true, .. } => Duration::ZERO,
                State { items, .. } if items.is_empty() => IDLE,
                _ => GATHER,
            };
            self.call(&mut state, time);
            state.idle = time == IDLE;
        }
        self.alarm.wait();
        let mut state = self.lock();
        if state.items.is_empty() && state.closed {
            return None;
        }
        (state.idle, state.hurry, state.bytes) = (false, false, 0);
        Some(Batch {
            items: std::mem::take(&mut state.items),
            dropped: std::mem::take(&mut state.dropped),
            ticket: state.brought,
        })
    }

    /// Has the writer come in so long, and not when it would have come before.
    fn call(&self, state: &mut State, time: Duration) {
        state.idle = false;
        self.alarm.ring_in(time);
    }

    /// For the writer: everything up to this batch can be read.
    pub(crate) fn written(&self, ticket: u64) {
        self.written.send_replace(ticket);
    }

    /// Lets the writer end once it has written what waits.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.call(&mut state, Duration::ZERO);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock can panic")
    }
}
