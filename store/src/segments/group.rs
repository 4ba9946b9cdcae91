//! The files of one group: finished segments, and one that grows.

use super::frame::{self, Bounds, FOOTER_BYTES, Frames};
use super::{GroupInfo, Part, Position};
use crate::space::{LOSSY_RESERVE_BYTES, free_bytes};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Entries that wait in memory until they are flushed or so many bytes have come.
const PENDING_BYTES: usize = 64 * 1024;
const NAME_FILE: &str = "group";

#[derive(Debug)]
pub(super) struct Group {
    dir: PathBuf,
    name: String,
    created_us: u64,
    /// Oldest first.
    segments: VecDeque<Segment>,
    /// Grows the last of `segments`.
    writer: Option<Writer>,
    /// No segment is numbered lower from now on.
    next_number: u32,
    /// Entries that a full or failing disk did not take.
    lost: u64,
}

#[derive(Debug)]
struct Segment {
    number: u32,
    bytes: u64,
    /// `None` for one that an earlier process left unfinished and nobody has read yet.
    bounds: Option<Bounds>,
    /// The newest stamp, or for one without bounds the time of its last change.
    newest_us: u64,
    finished: bool,
}

#[derive(Debug)]
struct Writer {
    file: File,
    /// Whole entries in the file.
    written: u64,
    pending: Vec<u8>,
    pending_entries: u64,
}

impl Group {
    /// Makes the directory of a new group.
    pub(super) fn create(dir: PathBuf, name: &str, created_us: u64) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(NAME_FILE), format!("{created_us}\n{name}"))?;
        Ok(Self {
            dir,
            name: name.into(),
            created_us,
            segments: VecDeque::new(),
            writer: None,
            next_number: 0,
            lost: 0,
        })
    }

    /// Reads what an earlier process left; `None` where that is not a whole group.
    pub(super) fn load(dir: PathBuf) -> io::Result<Option<Self>> {
        let Ok(text) = fs::read_to_string(dir.join(NAME_FILE)) else { return Ok(None) };
        let Some((created, name)) = text.split_once('\n') else { return Ok(None) };
        let Ok(created_us) = created.parse() else { return Ok(None) };
        let mut segments = Vec::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            let number = path.file_name().and_then(|n| n.to_str()?.strip_suffix(".seg")?.parse().ok());
            if let Some(number) = number {
                segments.push(Segment::load(number, &path)?);
            }
        }
        segments.sort_by_key(|segment| segment.number);
        let next_number = segments.last().map_or(0, |segment| segment.number + 1);
        let (name, segments) = (name.into(), segments.into());
        Ok(Some(Self { dir, name, created_us, segments, writer: None, next_number, lost: 0 }))
    }

    pub(super) fn info(&self) -> GroupInfo {
        GroupInfo { name: self.name.clone(), created_us: self.created_us, bytes: self.bytes() }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The newest stamp of the oldest segment.
    pub(super) fn oldest_us(&self) -> Option<u64> {
        self.segments.front().map(|segment| segment.newest_us)
    }

    /// How many entries were lost since the last call.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    pub(super) fn is_open(&self) -> bool {
        self.writer.is_some()
    }

    /// Adds an entry to the growing segment, or to a new one numbered at least `number`; says whether it
    /// opened a file.
    pub(super) fn append(
        &mut self,
        stamp_us: u64,
        bytes: &[u8],
        segment_bytes: u64,
        number: u32,
    ) -> io::Result<(Position, bool)> {
        let length = (frame::HEAD_BYTES + bytes.len()) as u64;
        if self.segments.back().is_some_and(|segment| segment.bytes + length > segment_bytes) {
            self.finish()?;
        }
        let opens = self.writer.is_none();
        if opens && !self.reopen()? {
            self.begin(number)?;
        }
        let segment = self.segments.back_mut().expect("there is one that grows");
        let writer = self.writer.as_mut().expect("it is open");
        let position = Position::of(segment.number, usize::try_from(segment.bytes).unwrap_or(usize::MAX));
        frame::push(&mut writer.pending, stamp_us, bytes);
        writer.pending_entries += 1;
        segment.bytes += length;
        let bounds = Bounds::with(segment.bounds, stamp_us);
        (segment.bounds, segment.newest_us) = (Some(bounds), bounds.last_us);
        if writer.pending.len() >= PENDING_BYTES {
            let _ = self.flush();
        }
        Ok((position, opens))
    }

    /// Hands what waits to the operating system. What a full disk does not take is lost.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let entries = writer.pending_entries;
        let Err(error) = writer.flush(&self.dir) else { return Ok(()) };
        let segment = self.segments.back_mut().expect("an open writer has a segment");
        segment.bytes = writer.written;
        self.lost += entries;
        Err(error)
    }

    /// Flushes and closes the growing segment; it can be opened again.
    pub(super) fn close(&mut self) {
        let _ = self.flush();
        self.writer = None;
    }

    /// Ends the growing segment.
    fn finish(&mut self) -> io::Result<()> {
        if self.writer.is_none() && !self.reopen()? {
            return Ok(());
        }
        let _ = self.flush();
        let writer = self.writer.take().expect("it is open");
        let segment = self.segments.back_mut().expect("an open writer has a segment");
        segment.finished = true;
        if let Some(bounds) = segment.bounds {
            writer.file.write_all_at(&frame::footer(bounds), writer.written)?;
            segment.bytes += FOOTER_BYTES as u64;
        }
        Ok(())
    }

    /// Opens the unfinished newest segment, without the torn entry at its end; `false` where there is none.
    fn reopen(&mut self) -> io::Result<bool> {
        let Some(segment) = self.segments.back_mut().filter(|segment| !segment.finished) else {
            return Ok(false);
        };
        let path = path(&self.dir, segment.number);
        let file = OpenOptions::new().write(true).open(&path)?;
        // Without bounds, an earlier process wrote it; nobody knows yet where its sound entries end.
        if segment.bounds.is_none() {
            let bytes = fs::read(&path)?;
            let mut frames = Frames::of(&bytes, segment.number);
            let stamps = frames.by_ref().map(|entry| entry.stamp_us);
            segment.bounds = stamps.fold(None, |bounds, stamp_us| Some(Bounds::with(bounds, stamp_us)));
            segment.bytes = frames.end() as u64;
            if frames.end() < bytes.len() {
                tracing::warn!(group = self.name, "cut a log entry that a crash left half-written");
                file.set_len(segment.bytes)?;
            }
        }
        let end = segment.bytes;
        self.writer = Some(Writer { file, written: end, pending: Vec::new(), pending_entries: 0 });
        Ok(true)
    }

    fn begin(&mut self, number: u32) -> io::Result<()> {
        require_room(&self.dir)?;
        let number = number.max(self.next_number);
        let path = path(&self.dir, number);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        self.writer = Some(Writer { file, written: 0, pending: Vec::new(), pending_entries: 0 });
        self.next_number = number + 1;
        self.segments.push_back(Segment { number, bytes: 0, bounds: None, newest_us: 0, finished: false });
        Ok(())
    }

    /// Removes the oldest segment.
    pub(super) fn drop_oldest(&mut self) -> io::Result<()> {
        let Some(segment) = self.segments.pop_front() else { return Ok(()) };
        if self.segments.is_empty() {
            self.writer = None;
        }
        fs::remove_file(path(&self.dir, segment.number))
    }

    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(&self.dir)
    }

    /// The segments that may hold stamps from `from_us` until before `to_us`, oldest first.
    pub(super) fn parts(&mut self, from_us: u64, to_us: u64) -> Vec<Part> {
        let _ = self.flush();
        let overlaps = |b: &Bounds| b.last_us >= from_us && b.first_us < to_us;
        let wanted = self.segments.iter().filter(|segment| segment.bounds.as_ref().is_none_or(overlaps));
        let part = |segment: &Segment| {
            let unknown = Bounds { first_us: 0, last_us: u64::MAX };
            let Bounds { first_us, last_us } = segment.bounds.unwrap_or(unknown);
            Part {
                first_us,
                last_us,
                path: path(&self.dir, segment.number),
                number: segment.number,
                finished: segment.finished,
            }
        };
        wanted.map(part).collect()
    }
}

impl Segment {
    fn load(number: u32, path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let bytes = metadata.len();
        let mut footer = [0; FOOTER_BYTES];
        let bounds = match bytes.checked_sub(FOOTER_BYTES as u64) {
            Some(at) => file.read_exact_at(&mut footer, at).map(|()| frame::parse_footer(&footer))?,
            None => None,
        };
        let changed_us = u64::try_from(metadata.mtime()).unwrap_or(0) * 1_000_000;
        let newest_us = bounds.map_or(changed_us, |bounds| bounds.last_us);
        Ok(Self { number, bytes, bounds, newest_us, finished: bounds.is_some() })
    }
}

impl Writer {
    fn flush(&mut self, dir: &Path) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let done = require_room(dir).and_then(|()| self.file.write_all_at(&self.pending, self.written));
        match done {
            Ok(()) => self.written += self.pending.len() as u64,
            // The next entries go where these began; a reader shall not find half of one there.
            Err(_) => drop(self.file.set_len(self.written)),
        }
        self.pending.clear();
        self.pending_entries = 0;
        done
    }
}

fn require_room(dir: &Path) -> io::Result<()> {
    if free_bytes(dir)? < LOSSY_RESERVE_BYTES {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:010}.seg"))
}
