//! A journal that tests can read.

use invoke::Journal;
use model::InvocationRecord;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Keeps all lines and records.
#[derive(Default)]
pub struct Book {
    pub lines: Mutex<BTreeMap<String, Vec<String>>>,
    pub records: Mutex<Vec<InvocationRecord>>,
}

impl Journal for Book {
    fn line(&self, group: &str, stream: &str, _: u64, message: &[u8]) {
        let key = format!("{group} {stream}");
        let text = String::from_utf8_lossy(message).into_owned();
        self.lines.lock().unwrap().entry(key).or_default().push(text);
    }

    fn record(&self, record: InvocationRecord) {
        self.records.lock().unwrap().push(record);
    }

    fn throttled(&self, _: &str, _: &'static str) {}
}

impl Book {
    /// All lines of the record's stream.
    pub fn lines_of(&self, record: &InvocationRecord) -> Vec<String> {
        let key = format!("{} {}", record.log_group, record.log_stream);
        self.lines.lock().unwrap().get(&key).cloned().unwrap_or_default()
    }
}
