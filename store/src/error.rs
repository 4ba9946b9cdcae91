//! What can go wrong, by what the receiver does next.

use std::path::PathBuf;

/// Why a read or a commit was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A check did not hold: read again and decide anew. Nothing was written.
    #[error("the row changed meanwhile: {}", printable(key))]
    Conflict {
        /// The first key whose expectation failed.
        key: Vec<u8>,
    },
    /// The disk has no room. Nothing was written; reads and deletes still work, and commits work again once
    /// there is room.
    #[error(
        "the disk is full: {free_bytes} bytes are free, and the last {reserve_bytes} are kept for deletes"
    )]
    Full {
        /// Bytes that an unprivileged process could still use.
        free_bytes: u64,
        /// Bytes that only commits which free space may use.
        reserve_bytes: u64,
    },
    /// A write or an fsync failed, so that what is on disk is unknown. No commit succeeds any more: the
    /// process must restart and recover.
    #[error("the store stopped after a failed write and recovers at the next start: {0}")]
    Broken(String),
    /// The request is larger than any commit may be.
    #[error("{what} has {bytes} bytes, more than {limit_bytes}")]
    TooLarge {
        /// `key`, `value` or `commit`.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The largest that is taken.
        limit_bytes: u64,
    },
    /// Stored bytes cannot be read, or are not those that were stored. They are never served.
    #[error("stored data cannot be read: {0}")]
    Unreadable(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

/// Why a data directory cannot be used. Each is a sentence for the person who starts the platform.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process owns it.
    #[error("{} is in use by process {pid}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The owner as its lock file names it; 0 where that is unreadable.
        pid: u32,
    },
    /// A newer Dayfly wrote it.
    #[error(
        "{} has format {found}, and this dayfly knows formats up to {known}: use the newer dayfly that wrote it",
        path.display()
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// The version on disk.
        found: u32,
        /// The newest version that this build reads.
        known: u32,
    },
    /// It holds files, but none that says a Dayfly made it.
    #[error("{} is not empty and not a dayfly data directory: name an empty or new one", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// Stored data is damaged in a way that no crash explains.
    #[error("{} is damaged: {what}; restore it from a copy, or move it away to start without it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found, and where.
        what: String,
    },
    /// The machine does not let us use it: missing, read-only, full, not ours.
    #[error("cannot use {}: {source}", path.display())]
    Unusable {
        /// The file or directory.
        path: PathBuf,
        /// The machine's reason.
        source: std::io::Error,
    },
}

/// Why a blob was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// No blob has that name.
    #[error("no blob {0}")]
    Missing(String),
    /// The bytes on disk are not those that were stored. They are never served.
    #[error("blob {0} is damaged on disk")]
    Corrupt(String),
    /// The disk has no room. Nothing was stored.
    #[error("the disk is full: {free_bytes} bytes are free")]
    Full {
        /// Bytes that an unprivileged process could still use.
        free_bytes: u64,
    },
    /// The file system failed.
    #[error("the blob store failed: {0}")]
    Io(#[from] std::io::Error),
}

fn printable(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}
