//! A writer of zip archives that writes what it is told, true or not.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

pub const UNIX: u8 = 3;
pub const DOS: u8 = 0;

/// One entry: an honest one by [`file`], [`link`] or [`dir`], then changed into what a test wants.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub packed: Vec<u8>,
    pub bytes: u32,
    pub compressed_bytes: u32,
    pub crc: u32,
    pub method: u16,
    pub flags: u16,
    pub host: u8,
    pub mode: u32,
    /// In the directory only.
    pub extra: Vec<u8>,
    pub comment: Vec<u8>,
    pub local: Local,
    /// Share the place of the entry with this number instead of having one's own.
    pub placed_as: Option<usize>,
    /// Added to the place that the directory names.
    pub shift: i64,
}

/// Where the local header differs from the directory.
#[derive(Clone, Default)]
pub struct Local {
    pub name: Option<Vec<u8>>,
    pub method: Option<u16>,
    pub crc: Option<u32>,
    pub bytes: Option<u32>,
    pub compressed_bytes: Option<u32>,
    pub signature: Option<u32>,
}

pub fn entry(name: impl AsRef<[u8]>, mode: u32, content: &[u8]) -> Entry {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
    packer.write_all(content).unwrap();
    let packed = packer.finish().unwrap();
    Entry {
        name: name.as_ref().to_vec(),
        bytes: content.len() as u32,
        compressed_bytes: packed.len() as u32,
        packed,
        crc: crc.sum(),
        method: 8,
        flags: 0,
        host: UNIX,
        mode,
        extra: Vec::new(),
        comment: Vec::new(),
        local: Local::default(),
        placed_as: None,
        shift: 0,
    }
}

pub fn file(name: impl AsRef<[u8]>, content: &str) -> Entry {
    entry(name, 0o100_644, content.as_bytes())
}

pub fn link(name: &str, target: impl AsRef<[u8]>) -> Entry {
    entry(name, 0o120_777, target.as_ref())
}

pub fn dir(name: &str) -> Entry {
    Entry { packed: Vec::new(), compressed_bytes: 0, method: 0, ..entry(name, 0o040_755, b"") }
}

impl Entry {
    pub fn with(mut self, change: impl FnOnce(&mut Entry)) -> Entry {
        change(&mut self);
        self
    }

    pub fn stored(mut self, content: &[u8]) -> Entry {
        self.method = 0;
        self.packed = content.to_vec();
        self.compressed_bytes = content.len() as u32;
        self
    }

    fn local_header(&self) -> Vec<u8> {
        let name = self.local.name.as_ref().unwrap_or(&self.name);
        let mut out = Vec::new();
        push_u32(&mut out, self.local.signature.unwrap_or(0x0403_4b50));
        push_u16(&mut out, 20);
        push_u16(&mut out, self.flags);
        push_u16(&mut out, self.local.method.unwrap_or(self.method));
        push_u32(&mut out, 0);
        push_u32(&mut out, self.local.crc.unwrap_or(self.crc));
        push_u32(&mut out, self.local.compressed_bytes.unwrap_or(self.compressed_bytes));
        push_u32(&mut out, self.local.bytes.unwrap_or(self.bytes));
        push_u16(&mut out, name.len() as u16);
        push_u16(&mut out, 0);
        out.extend(name);
        out
    }

    fn header(&self, offset: u32) -> Vec<u8> {
        let mut out = Vec::new();
        push_u32(&mut out, 0x0201_4b50);
        push_u16(&mut out, u16::from(self.host) << 8 | 20);
        push_u16(&mut out, 20);
        push_u16(&mut out, self.flags);
        push_u16(&mut out, self.method);
        push_u32(&mut out, 0);
        push_u32(&mut out, self.crc);
        push_u32(&mut out, self.compressed_bytes);
        push_u32(&mut out, self.bytes);
        push_u16(&mut out, self.name.len() as u16);
        push_u16(&mut out, self.extra.len() as u16);
        push_u16(&mut out, self.comment.len() as u16);
        push_u16(&mut out, 0);
        push_u16(&mut out, 0);
        push_u32(&mut out, self.mode << 16);
        push_u32(&mut out, offset);
        out.extend(&self.name);
        out.extend(&self.extra);
        out.extend(&self.comment);
        out
    }
}

/// What the end records say, where it is not the truth.
#[derive(Clone, Default)]
pub struct End {
    pub entries: Option<u16>,
    pub disk: u16,
    pub shift: i64,
    pub comment: Vec<u8>,
    pub before: Vec<u8>,
    pub wide: Option<Wide>,
}

/// A zip64 end record.
#[derive(Clone, Default)]
pub struct Wide {
    pub entries: Option<u64>,
    pub offset: Option<u64>,
    pub length: Option<u64>,
    pub locator: Option<u64>,
}

pub fn zip(entries: &[Entry]) -> Vec<u8> {
    zip_with(entries, &End::default())
}

pub fn zip_with(entries: &[Entry], end: &End) -> Vec<u8> {
    let mut out = end.before.clone();
    let mut directory = Vec::new();
    let mut places: Vec<usize> = Vec::new();
    for entry in entries {
        let place = entry.placed_as.map_or(out.len(), |other| places[other]);
        places.push(place);
        if entry.placed_as.is_none() {
            out.extend(entry.local_header());
            out.extend(&entry.packed);
        }
        directory.extend(entry.header((place as i64 - end.before.len() as i64 + entry.shift) as u32));
    }
    let offset = (out.len() as i64 - end.before.len() as i64 + end.shift) as u64;
    let bytes = directory.len() as u64;
    out.extend(directory);
    if let Some(wide) = &end.wide {
        let place = out.len() as u64;
        push_wide(&mut out, wide, entries.len() as u64, bytes, offset, place);
    }
    push_u32(&mut out, 0x0605_4b50);
    push_u16(&mut out, end.disk);
    push_u16(&mut out, end.disk);
    push_u16(&mut out, end.entries.unwrap_or(entries.len() as u16));
    push_u16(&mut out, end.entries.unwrap_or(entries.len() as u16));
    push_u32(&mut out, bytes as u32);
    push_u32(&mut out, offset as u32);
    push_u16(&mut out, end.comment.len() as u16);
    out.extend(&end.comment);
    out
}

fn push_wide(out: &mut Vec<u8>, wide: &Wide, entries: u64, bytes: u64, offset: u64, place: u64) {
    push_u32(out, 0x0606_4b50);
    push_u64(out, wide.length.unwrap_or(44));
    push_u16(out, 45);
    push_u16(out, 45);
    push_u32(out, 0);
    push_u32(out, 0);
    push_u64(out, wide.entries.unwrap_or(entries));
    push_u64(out, wide.entries.unwrap_or(entries));
    push_u64(out, bytes);
    push_u64(out, wide.offset.unwrap_or(offset));
    push_u32(out, 0x0706_4b50);
    push_u32(out, 0);
    push_u64(out, wide.locator.unwrap_or(place));
    push_u32(out, 1);
}

/// An extra field.
pub fn extra(id: u16, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_u16(&mut out, id);
    push_u16(&mut out, data.len() as u16);
    out.extend(data);
    out
}

fn push_u16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_le_bytes());
}

fn push_u32(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_le_bytes());
}

fn push_u64(out: &mut Vec<u8>, value: u64) {
    out.extend(value.to_le_bytes());
}
