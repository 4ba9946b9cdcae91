//! The one thread that writes logs and records, and keeps them within their limits.

use crate::logs::Logs;
use crate::queue::{Batch, Dropped, Item, Queue};
use crate::records::Records;
use crate::tally::{self, Tally};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use world::{Moment, World};

const BETWEEN_LIMIT_CHECKS: Duration = Duration::from_secs(60);
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(10);

/// Lets nobody wait for a writer that is gone, whatever ended it.
struct Ended(Arc<Queue>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.written(u64::MAX);
    }
}

pub(crate) struct Writer {
    pub(crate) queue: Arc<Queue>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) records: Arc<Records>,
    pub(crate) tally: Arc<Mutex<Tally>>,
    pub(crate) world: World,
}

impl Writer {
    /// Writes until the queue is closed and empty.
    pub(crate) fn run(self) {
        let _ended = Ended(Arc::clone(&self.queue));
        let (mut owed, mut lost) = (Dropped::default(), 0);
        let (mut limits_at, mut complain_at) = (self.world.moment() + BETWEEN_LIMIT_CHECKS, Moment(0));
        while let Some(batch) = self.queue.take() {
            let ticket = batch.ticket;
            lost += self.write(batch, &mut owed);
            let now = self.world.moment();
            if now >= limits_at {
                limits_at = now + BETWEEN_LIMIT_CHECKS;
                self.logs.enforce();
                self.records.enforce();
            }
            if lost > 0 && now >= complain_at {
                tracing::warn!(lost, "log lines or records were lost: the queue or the disk was full");
                (lost, complain_at) = (0, now + BETWEEN_COMPLAINTS);
            }
            self.queue.written(ticket);
        }
        self.logs.flush();
        self.records.flush();
    }

    /// Answers how many lines and records were lost. Lines that can be counted by stream are `owed` a line
    /// that says so.
    fn write(&self, batch: Batch, owed: &mut Dropped) -> u64 {
        for item in batch.items {
            match item {
                Item::Line { ref group, ref stream, stamp_us, ref message } => {
                    if self.logs.append(group, stream, stamp_us, message).is_err() {
                        owed.add(item);
                    }
                }
                Item::Record(record) => {
                    self.tally.lock().expect(tally::UNBROKEN).record(&record);
                    if self.records.append(*record).is_err() {
                        owed.elsewhere += 1;
                    }
                }
            }
        }
        owed.merge(batch.dropped);
        let mut lost = std::mem::take(&mut owed.elsewhere);
        owed.streams.retain(|(group, stream), (lines, last_us)| {
            let marker = format!("… {lines} lines dropped");
            let said = self.logs.append(group, stream, *last_us, marker.as_bytes()).is_ok();
            if said {
                lost += *lines;
            }
            !said
        });
        lost + self.logs.flush() + self.records.flush()
    }
}
