//! Append-only logs that may lose their newest entries and drop their oldest.

use crate::DataDir;
use std::io;
use std::ops::Range;
use std::time::Duration;
use world::World;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentLimits {
    /// All files together.
    pub total_bytes: u64,
    /// Segments whose newest entry is older are dropped.
    pub age: Duration,
    /// One file; what is dropped is dropped in files.
    pub segment_bytes: u64,
}

/// Where an entry lies in its group; later entries have greater positions, also across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies.
    pub position: Position,
    /// Microseconds since 1970 UTC, as its writer gave them.
    pub stamp_us: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInfo {
    /// As it was given to [`Segments::append`].
    pub name: String,
    /// When its first entry came, in microseconds since 1970 UTC.
    pub created_us: u64,
    /// What it takes on disk.
    pub bytes: u64,
}

/// Groups of entries in files. Not fsynced.
#[derive(Debug)]
pub struct Segments {}

impl Segments {
    /// Opens the segments in the directory `name` of a data directory.
    pub fn open(_dir: &DataDir, _name: &str, _limits: SegmentLimits, _world: World) -> io::Result<Self> {
        todo!()
    }

    /// Adds an entry. It can be read after [`Segments::flush`].
    pub fn append(&self, _group: &str, _stamp_us: u64, _bytes: &[u8]) -> io::Result<Position> {
        todo!()
    }

    /// Hands appended entries to the operating system.
    pub fn flush(&self) -> io::Result<()> {
        todo!()
    }

    /// Calls `each` with the group's entries whose stamps are in `range`, in the order in which they were
    /// appended, until it answers `false`.
    pub fn scan(
        &self,
        _group: &str,
        _range: Range<u64>,
        _each: &mut dyn FnMut(Entry) -> bool,
    ) -> io::Result<()> {
        todo!()
    }

    /// All groups, by name.
    pub fn groups(&self) -> Vec<GroupInfo> {
        todo!()
    }

    /// Removes a group and its entries; `false` where there is none.
    pub fn delete_group(&self, _group: &str) -> io::Result<bool> {
        todo!()
    }

    /// Drops what is over the limits. [`Segments::append`] does so too whenever it starts a file.
    pub fn enforce(&self) -> io::Result<()> {
        todo!()
    }
}
