//! Append-only logs that may lose their newest entries and drop their oldest.

mod frame;
mod group;
mod shelf;

use crate::DataDir;
use frame::Frames;
use group::Group;
use sha2::{Digest, Sha256};
use shelf::Shelf;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use std::{fs, io};
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

impl Position {
    fn of(number: u32, offset: usize) -> Self {
        Self(u64::from(number) << 32 | u64::try_from(offset).unwrap_or(u64::MAX) & 0xffff_ffff)
    }
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it lies.
    pub position: Position,
    /// Microseconds since 1970 UTC, as its writer gave them.
    pub stamp_us: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
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

/// A run of entries in the order in which they were appended.
#[derive(Debug, Clone)]
pub struct Part {
    /// No entry in it is older.
    pub first_us: u64,
    /// No entry in it is newer.
    pub last_us: u64,
    path: PathBuf,
    number: u32,
    finished: bool,
}

impl Part {
    /// The same for as long as the group lives, and the part of no other.
    pub fn start(&self) -> Position {
        Position::of(self.number, 0)
    }

    /// Whether nothing will be appended to it any more.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Calls `each` with every entry until it answers `false`. A part that was dropped meanwhile is empty.
    /// Blocks.
    pub fn read(&self, mut each: impl FnMut(Entry<'_>) -> bool) -> io::Result<()> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut frames = Frames::of(&bytes, self.number);
        if !frames.by_ref().all(&mut each) {
            return Ok(());
        }
        if self.finished && frame::parse_footer(&bytes[frames.end()..]).is_none() {
            tracing::warn!(path = %self.path.display(), at = frames.end(), "log entries are damaged and left out");
        }
        Ok(())
    }
}

/// Groups of entries in files. Nothing is fsynced: a crash of the machine may lose what came last. All calls
/// may block for a disk write.
#[derive(Debug)]
pub struct Segments {
    root: PathBuf,
    limits: SegmentLimits,
    world: World,
    shelf: Mutex<Shelf>,
    _dir: DataDir,
}

impl Segments {
    /// Opens the segments in the directory `name` of a data directory.
    pub fn open(dir: &DataDir, name: &str, limits: SegmentLimits, world: World) -> io::Result<Self> {
        let root = dir.dir(name)?;
        let mut shelf = Shelf::default();
        for entry in fs::read_dir(&root)? {
            let path = entry?.path();
            match Group::load(path.clone())? {
                Some(group) => shelf.put(group),
                None => fs::remove_dir_all(path)?,
            }
        }
        Ok(Self { root, limits, world, shelf: Mutex::new(shelf), _dir: dir.clone() })
    }

    /// Adds an entry of at most 1 MiB. A crash of the process loses it unless [`Segments::flush`] came after. Takes
    /// as long with many groups as with one.
    pub fn append(&self, group: &str, stamp_us: u64, bytes: &[u8]) -> io::Result<Position> {
        if bytes.len() > frame::ENTRY_MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an entry has at most 1 MiB"));
        }
        let number = u32::try_from(self.world.now().seconds()).unwrap_or(u32::MAX - 1);
        let mut shelf = self.lock();
        if !shelf.groups.contains_key(group) {
            shelf.put(Group::create(self.dir_of(group), group, self.world.now().0)?);
        }
        let segment_bytes = self.limits.segment_bytes;
        let append = |group: &mut Group| group.append(stamp_us, bytes, segment_bytes, number);
        let (position, opened) = shelf.change(group, append).expect("it was made where it was missing")?;
        if opened {
            shelf.note_open(group);
        }
        if shelf.bytes > self.limits.total_bytes {
            shelf.drop_excess(self.limits.total_bytes)?;
        }
        Ok(position)
    }

    /// Hands appended entries to the operating system. What a full disk does not take is lost and counted.
    pub fn flush(&self) -> io::Result<()> {
        self.lock().flush()
    }

    /// How many appended entries a full or failing disk did not take since the last call.
    pub fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.lock().lost)
    }

    /// The parts of a group that may hold stamps from `from_us` until before `to_us`, oldest first; `None`
    /// where there is no such group. Includes everything appended before the call.
    pub fn parts(&self, group: &str, from_us: u64, to_us: u64) -> Option<Vec<Part>> {
        self.lock().change(group, |group| group.parts(from_us, to_us))
    }

    /// All groups, by name.
    pub fn groups(&self) -> Vec<GroupInfo> {
        self.lock().groups.values().map(Group::info).collect()
    }

    /// Removes a group and its entries; `false` where there is none.
    pub fn delete_group(&self, group: &str) -> io::Result<bool> {
        match self.lock().take(group) {
            Some(group) => group.remove().map(|()| true),
            None => Ok(false),
        }
    }

    /// Drops what is over the limits. [`Segments::append`] does so for the size, but not for the age.
    pub fn enforce(&self) -> io::Result<()> {
        let age_us = u64::try_from(self.limits.age.as_micros()).unwrap_or(u64::MAX);
        let mut shelf = self.lock();
        shelf.drop_older(self.world.now().0.saturating_sub(age_us))?;
        shelf.drop_excess(self.limits.total_bytes)
    }

    /// No group name is ever a path, and no two share a directory.
    fn dir_of(&self, group: &str) -> PathBuf {
        let digest = Sha256::digest(group.as_bytes());
        self.root.join(digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().expect("no holder of this lock can panic")
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}
