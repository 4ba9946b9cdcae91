//! How the platform is started.

use model::Place;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that `dayfly up` can set. Defaults are those of [`model::LIMITS`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory.
    pub data: PathBuf,
    /// `ADDR:PORT` to listen on; port 0 takes a free one.
    pub listen: String,
    /// What stands behind `<id>.lambda-url.` in function URLs.
    pub base_domain: String,
    /// Account and region.
    pub place: Place,
    /// Calls of all functions, waiting and running.
    pub concurrency: u32,
    /// Percent of the machine's memory that instances may be promised.
    pub memory_percent: u64,
    /// How long an unused instance is kept.
    pub idle_timeout: Duration,
    /// Bytes of stored logs and records.
    pub log_bytes: u64,
    /// Age of stored logs and records.
    pub log_age: Duration,
    /// How long running calls may take at shutdown.
    pub drain: Duration,
    /// Open client connections.
    pub connections: usize,
}

impl Options {
    /// Defaults for a data directory.
    pub fn new(data: PathBuf) -> Self {
        let seconds = |name| Duration::from_secs(model::limit(name));
        Self {
            data,
            listen: "127.0.0.1:4566".into(),
            base_domain: "localhost".into(),
            place: Place::default(),
            concurrency: u32::try_from(model::limit("account-concurrency")).unwrap_or(u32::MAX),
            memory_percent: model::limit("machine-memory"),
            idle_timeout: seconds("idle-timeout"),
            log_bytes: model::limit("log-store-bytes"),
            log_age: seconds("log-age"),
            drain: seconds("drain"),
            connections: usize::try_from(model::limit("connections")).unwrap_or(usize::MAX),
        }
    }
}
