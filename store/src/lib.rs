//! Durable state: the only crate that opens data files.
//!
//! * [`DataDir`]: one directory, one owner, one format version.
//! * [`Store`]: ordered keys and values; a commit is all or nothing and is acknowledged only once it is on disk.
//! * [`Blobs`]: immutable bytes under the name of their SHA-256, checked whenever they are read.
//! * [`Segments`]: append-only logs that may lose their newest entries and drop their oldest.

mod batch;
mod blobs;
mod committer;
mod data_dir;
mod engine;
mod error;
pub mod fail;
mod hint;
mod segments;
mod space;
mod store;

pub use blobs::Blobs;
pub use data_dir::DataDir;
pub use error::{BlobError, DataDirError, StoreError};
pub use hint::Hint;
pub use segments::{Entry, GroupInfo, Part, Position, SegmentLimits, Segments};
pub use store::{Expect, Key, Revision, Row, Scan, Store, Write};
