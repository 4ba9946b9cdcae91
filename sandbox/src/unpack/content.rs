//! Entries' bytes: where they lie, and their unpacking in constant memory.

use std::io::{self, Write};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::UnpackError;
use super::archive::{Archive, Fields};
use super::directory::{Directory, Listed};
use super::tree::STORED;

const LOCAL: u32 = 0x0403_4b50;
const LOCAL_BYTES: u64 = 30;
const CHUNK_BYTES: usize = 64 * 1024;

/// Where each entry's data starts. Local headers must say what the directory says, and no two entries may
/// share bytes.
pub(super) fn locate(archive: &Archive, directory: &Directory) -> Result<Vec<u64>, UnpackError> {
    let starts: Result<Vec<u64>, UnpackError> =
        directory.entries.iter().map(|entry| data_start(archive, entry)).collect();
    let starts = starts?;
    let mut spans: Vec<(u64, u64, &Listed)> = Vec::with_capacity(starts.len());
    for (entry, start) in directory.entries.iter().zip(&starts) {
        let end = start.saturating_add(entry.compressed_bytes);
        if end > directory.offset {
            return Err(UnpackError::entry(&entry.name, "its data runs past the archive's entries"));
        }
        spans.push((entry.offset, end, entry));
    }
    spans.sort_by_key(|span| span.0);
    match spans.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        Some(pair) => Err(UnpackError::entry(&pair[1].2.name, "its data overlaps another entry's")),
        None => Ok(starts),
    }
}

fn data_start(archive: &Archive, entry: &Listed) -> Result<u64, UnpackError> {
    let contradicts = || UnpackError::entry(&entry.name, "its two headers contradict each other");
    let length = usize::try_from(LOCAL_BYTES).unwrap_or(0) + entry.name.len();
    if entry.offset.checked_add(length as u64).is_none_or(|end| end > archive.bytes()) {
        return Err(contradicts());
    }
    let mut header = vec![0; length];
    archive.read_at(entry.offset, &mut header)?;
    let extra = agreed_extra(Fields(&header), entry).ok_or_else(contradicts)?;
    Ok(entry.offset + length as u64 + u64::from(extra))
}

/// The length of the local extra field, if the rest of the header agrees with the directory. With the "sizes
/// follow" flag the sizes and the checksum may be zero; all ones leave the sizes to the extra field.
fn agreed_extra(mut fields: Fields<'_>, entry: &Listed) -> Option<u16> {
    const SIZES_FOLLOW: u16 = 1 << 3;
    let signed = fields.u32()? == LOCAL;
    fields.take(2)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.take(4)?;
    let crc = fields.u32()?;
    let (compressed, bytes) = (fields.u32()?, fields.u32()?);
    let (name, extra) = (fields.u16()?, fields.u16()?);
    let open = flags & SIZES_FOLLOW != 0;
    let same = |here: u32, there: u64| u64::from(here) == there || here == u32::MAX || (open && here == 0);
    let agrees = signed
        && method == entry.method
        && flags & 1 == 0
        && (crc == entry.crc || (open && crc == 0))
        && same(compressed, entry.compressed_bytes)
        && same(bytes, entry.bytes)
        && usize::from(name) == entry.name.len()
        && fields.0 == entry.name;
    agrees.then_some(extra)
}

/// Unpacks entries one after another, reusing its buffers.
pub(super) struct Unpacker<'a> {
    archive: &'a Archive,
    inflate: Decompress,
    packed: Vec<u8>,
    plain: Vec<u8>,
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(archive: &'a Archive) -> Self {
        let inflate = Decompress::new(false);
        Unpacker { archive, inflate, packed: vec![0; CHUNK_BYTES], plain: vec![0; CHUNK_BYTES] }
    }

    /// Writes an entry's content to `sink`: exactly as many bytes as the directory says, with its checksum,
    /// or an error.
    pub(super) fn unpack(
        &mut self,
        entry: &Listed,
        start: u64,
        sink: &mut dyn Write,
    ) -> Result<(), UnpackError> {
        let mut checked = Checked { entry, sink, crc: Crc::new(), bytes: 0 };
        if entry.method == STORED {
            self.copy(entry, start, &mut checked)?;
        } else {
            self.inflate(entry, start, &mut checked)?;
        }
        checked.finish()
    }

    fn copy(&mut self, entry: &Listed, start: u64, sink: &mut Checked<'_>) -> Result<(), UnpackError> {
        let mut done = 0;
        while done < entry.bytes {
            let count = chunk(entry.bytes - done);
            self.archive.read_at(start + done, &mut self.packed[..count])?;
            sink.take(&self.packed[..count])?;
            done += count as u64;
        }
        Ok(())
    }

    fn inflate(&mut self, entry: &Listed, start: u64, sink: &mut Checked<'_>) -> Result<(), UnpackError> {
        self.inflate.reset(false);
        let mut read = 0;
        let mut ended = entry.compressed_bytes == 0;
        while read < entry.compressed_bytes && !ended {
            let count = chunk(entry.compressed_bytes - read);
            self.archive.read_at(start + read, &mut self.packed[..count])?;
            read += count as u64;
            ended = self.inflate_chunk(count, sink)?;
        }
        if ended && self.inflate.total_in() == entry.compressed_bytes { Ok(()) } else { Err(damaged(entry)) }
    }

    /// Unpacks the first `count` packed bytes; true when the stream has ended.
    fn inflate_chunk(&mut self, count: usize, sink: &mut Checked<'_>) -> Result<bool, UnpackError> {
        let mut used = 0;
        loop {
            let (read_before, made_before) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(&self.packed[used..count], &mut self.plain, FlushDecompress::None)
                .map_err(|_| damaged(sink.entry))?;
            let made = usize::try_from(self.inflate.total_out() - made_before).unwrap_or(0);
            used += usize::try_from(self.inflate.total_in() - read_before).unwrap_or(0);
            sink.take(&self.plain[..made])?;
            if matches!(status, Status::StreamEnd) {
                return Ok(true);
            }
            let output_was_full = made == self.plain.len();
            if !output_was_full {
                return if used == count { Ok(false) } else { Err(damaged(sink.entry)) };
            }
        }
    }
}

fn damaged(entry: &Listed) -> UnpackError {
    UnpackError::entry(&entry.name, "its compressed data is damaged")
}

fn chunk(bytes_left: u64) -> usize {
    usize::try_from(bytes_left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES)
}

/// Counts and sums what goes by, and lets no more through than was announced.
struct Checked<'a> {
    entry: &'a Listed,
    sink: &'a mut dyn Write,
    crc: Crc,
    bytes: u64,
}

impl Checked<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), UnpackError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.entry.bytes {
            let why =
                format!("it unpacks to more than the {} bytes that the directory says", self.entry.bytes);
            return Err(UnpackError::entry(&self.entry.name, why));
        }
        self.crc.update(bytes);
        self.sink.write_all(bytes).map_err(|error: io::Error| UnpackError::machine("writing a file", &error))
    }

    fn finish(self) -> Result<(), UnpackError> {
        if self.bytes != self.entry.bytes {
            let why = format!("it unpacks to {} bytes, not to {}", self.bytes, self.entry.bytes);
            return Err(UnpackError::entry(&self.entry.name, why));
        }
        if self.crc.sum() != self.entry.crc {
            return Err(UnpackError::entry(&self.entry.name, "its checksum does not match"));
        }
        Ok(())
    }
}
