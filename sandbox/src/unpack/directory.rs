//! An archive's directory, read strictly (PKWARE APPNOTE 6.3.10, sections 4.3.12 to 4.3.16 and 4.5.3): where
//! two readers could understand two things, it is refused. `zip`'s own reader is not used since it merges
//! entries of one name and looks for other end records when the last one is damaged.

use super::archive::{Archive, Fields};
use super::{UnpackError, UnpackLimits};

const END: u32 = 0x0605_4b50;
const END_BYTES: u64 = 22;
const END_64: u32 = 0x0606_4b50;
const END_64_BYTES: u64 = 56;
const LOCATOR_64: u32 = 0x0706_4b50;
const LOCATOR_64_BYTES: u64 = 20;
const HEADER: u32 = 0x0201_4b50;

/// One entry as the directory lists it.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) compressed_bytes: u64,
    pub(super) bytes: u64,
    /// Where its local header starts.
    pub(super) offset: u64,
    /// Type and permissions, if it was packed on Unix.
    pub(super) mode: Option<u32>,
    /// It carries PKWARE's Unix field with data: a link or a device.
    pub(super) special: bool,
}

/// A directory and where it starts.
pub(super) struct Directory {
    pub(super) entries: Vec<Listed>,
    pub(super) offset: u64,
}

/// Reads the directory.
pub(super) fn read(archive: &Archive, limits: &UnpackLimits) -> Result<Directory, UnpackError> {
    let end = find_end(archive)?;
    if end.entries > limits.entries {
        return Err(UnpackError::too_large("zip-entries", limits.entries, end.entries));
    }
    let most_bytes = most_directory_bytes(limits.entries);
    if end.bytes > most_bytes {
        let why = format!("its directory takes {} bytes, more than the {most_bytes} allowed", end.bytes);
        return Err(UnpackError::archive(why));
    }
    let mut bytes = vec![0; usize::try_from(end.bytes).unwrap_or(usize::MAX)];
    archive.read_at(end.offset, &mut bytes)?;
    let mut fields = Fields(&bytes);
    let mut entries = Vec::new();
    for _ in 0..end.entries {
        let entry = header(&mut fields).ok_or_else(|| UnpackError::archive("its directory is damaged"))?;
        entries.push(entry);
    }
    if !fields.0.is_empty() {
        return Err(UnpackError::archive("its directory lists more than its end record says"));
    }
    Ok(Directory { entries, offset: end.offset })
}

/// What an honest directory of so many entries may take; it is held in memory.
fn most_directory_bytes(entries: u64) -> u64 {
    const PER_ENTRY: u64 = 1024;
    const AT_LEAST: u64 = 64 * 1024;
    entries.saturating_mul(PER_ENTRY).clamp(AT_LEAST, 128 * 1024 * 1024)
}

/// Where the directory is, as the end records say.
#[derive(Debug, PartialEq, Eq)]
struct End {
    entries: u64,
    bytes: u64,
    offset: u64,
}

fn find_end(archive: &Archive) -> Result<End, UnpackError> {
    const LONGEST_COMMENT: u64 = 0xffff;
    let not_a_zip = || UnpackError::archive("it is not a zip archive");
    let start = archive.bytes().saturating_sub(END_BYTES + LONGEST_COMMENT);
    let mut tail = vec![0; usize::try_from(archive.bytes() - start).unwrap_or(0)];
    archive.read_at(start, &mut tail)?;
    let fits = |at: &usize| {
        let mut fields = Fields(&tail[*at..]);
        fields.u32() == Some(END)
            && fields.take(16).is_some()
            && fields.u16().is_some_and(|comment| usize::from(comment) == fields.0.len())
    };
    let at = (0..tail.len()).rev().find(fits).ok_or_else(not_a_zip)?;
    let at_offset = start + at as u64;
    let end =
        plain_end(Fields(&tail[at + 4..])).ok_or_else(|| UnpackError::archive("it spans several disks"))?;
    let (end, directory_ends) = match end_64(archive, at_offset)? {
        Some((end_64, offset)) => (agree(&end, end_64)?, offset),
        None => (end, at_offset),
    };
    if end.offset.checked_add(end.bytes) != Some(directory_ends) {
        return Err(UnpackError::archive("its directory is not where its end record says"));
    }
    Ok(end)
}

fn plain_end(mut fields: Fields<'_>) -> Option<End> {
    let (disk, directory_disk) = (fields.u16()?, fields.u16()?);
    let (here, entries) = (fields.u16()?, fields.u16()?);
    let (bytes, offset) = (fields.u32()?, fields.u32()?);
    let one_disk = [0, 0xffff].contains(&disk) && directory_disk == disk && here == entries;
    one_disk.then_some(End { entries: entries.into(), bytes: bytes.into(), offset: offset.into() })
}

/// The zip64 end record and where it starts, if a locator stands before the plain one.
fn end_64(archive: &Archive, end_offset: u64) -> Result<Option<(End, u64)>, UnpackError> {
    let Some(locator_offset) = end_offset.checked_sub(LOCATOR_64_BYTES) else { return Ok(None) };
    let mut locator = [0; LOCATOR_64_BYTES as usize];
    archive.read_at(locator_offset, &mut locator)?;
    let mut fields = Fields(&locator);
    if fields.u32() != Some(LOCATOR_64) {
        return Ok(None);
    }
    let damaged = || UnpackError::archive("its zip64 end record is damaged");
    let (disk, offset, disks) = (fields.u32(), fields.u64().ok_or_else(damaged)?, fields.u32());
    if disk != Some(0)
        || !matches!(disks, Some(0 | 1))
        || offset > locator_offset.saturating_sub(END_64_BYTES)
    {
        return Err(damaged());
    }
    let mut record = [0; END_64_BYTES as usize];
    archive.read_at(offset, &mut record)?;
    let end = record_64(Fields(&record), locator_offset - offset).ok_or_else(damaged)?;
    Ok(Some((end, offset)))
}

fn record_64(mut fields: Fields<'_>, record_bytes: u64) -> Option<End> {
    const NOT_COUNTED: u64 = 12;
    let signed = fields.u32()? == END_64;
    let reaches = fields.u64()?.checked_add(NOT_COUNTED) == Some(record_bytes);
    fields.take(4)?;
    let one_disk = fields.u32()? == 0 && fields.u32()? == 0;
    let (here, entries) = (fields.u64()?, fields.u64()?);
    let end = End { entries, bytes: fields.u64()?, offset: fields.u64()? };
    (signed && reaches && one_disk && here == entries).then_some(end)
}

/// Both end records must say the same, except where the plain one leaves it to the other by all ones.
fn agree(plain: &End, wide: End) -> Result<End, UnpackError> {
    let same = |plain: u64, wide: u64, left_open: u64| plain == left_open || plain == wide;
    let agree = same(plain.entries, wide.entries, 0xffff)
        && same(plain.bytes, wide.bytes, 0xffff_ffff)
        && same(plain.offset, wide.offset, 0xffff_ffff);
    if agree { Ok(wide) } else { Err(UnpackError::archive("its two end records contradict each other")) }
}

fn header(fields: &mut Fields<'_>) -> Option<Listed> {
    const UNIX: u16 = 3;
    const MACOS: u16 = 19;
    if fields.u32()? != HEADER {
        return None;
    }
    let packed_on = fields.u16()? >> 8;
    fields.take(2)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.take(4)?;
    let crc = fields.u32()?;
    let (compressed, bytes) = (fields.u32()?, fields.u32()?);
    let (name, extra, comment) = (fields.u16()?, fields.u16()?, fields.u16()?);
    let disk = fields.u16()?;
    fields.take(2)?;
    let attributes = fields.u32()?;
    let offset = fields.u32()?;
    let name = fields.take(name.into())?.to_vec();
    let extra = Extra::parse(fields.take(extra.into())?)?;
    fields.take(comment.into())?;
    let mut wide = Fields(extra.wide.unwrap_or_default());
    let mut widen =
        |value: u32| if value == u32::MAX && extra.wide.is_some() { wide.u64() } else { Some(value.into()) };
    let (bytes, compressed_bytes, offset) = (widen(bytes)?, widen(compressed)?, widen(offset)?);
    let mode = matches!(packed_on, UNIX | MACOS).then_some(attributes >> 16);
    let entry =
        Listed { name, flags, method, crc, compressed_bytes, bytes, offset, mode, special: extra.special };
    [0, 0xffff].contains(&disk).then_some(entry)
}

/// The extra fields that change an entry's meaning.
struct Extra<'a> {
    /// Sizes and offset of 64 bits.
    wide: Option<&'a [u8]>,
    special: bool,
}

impl<'a> Extra<'a> {
    /// `None` if the fields run past their end or the sizes are given twice. Up to three bytes of padding are
    /// let pass.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        const WIDE: u16 = 0x0001;
        const PKWARE_UNIX: u16 = 0x000d;
        const PKWARE_UNIX_TIMES_AND_OWNER_BYTES: usize = 12;
        let mut fields = Fields(bytes);
        let mut extra = Extra { wide: None, special: false };
        while fields.0.len() >= 4 {
            let (id, length) = (fields.u16()?, fields.u16()?);
            let data = fields.take(length.into())?;
            match id {
                WIDE if extra.wide.is_some() => return None,
                WIDE => extra.wide = Some(data),
                PKWARE_UNIX => extra.special |= data.len() > PKWARE_UNIX_TIMES_AND_OWNER_BYTES,
                _ => {}
            }
        }
        Some(extra)
    }
}
