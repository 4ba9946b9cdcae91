//! How entries lie in a segment: `[u32 length][u32 check][u64 stamp][bytes]`, little-endian, and at the end of
//! a finished segment a footer with the range of its stamps.

use super::{Entry, Position};
use xxhash_rust::xxh3::xxh3_64;

/// Longest entry.
pub(super) const ENTRY_MAX_BYTES: usize = 1024 * 1024;
pub(super) const HEAD_BYTES: usize = 16;
pub(super) const FOOTER_BYTES: usize = 32;
const FOOTER_MAGIC: &[u8; 8] = b"\xff\xff\xff\xffDFS\x01";

/// The oldest and the newest stamp, in microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) first_us: u64,
    pub(super) last_us: u64,
}

impl Bounds {
    pub(super) fn with(bounds: Option<Self>, stamp_us: u64) -> Self {
        let Self { first_us, last_us } = bounds.unwrap_or(Self { first_us: stamp_us, last_us: stamp_us });
        Self { first_us: first_us.min(stamp_us), last_us: last_us.max(stamp_us) }
    }
}

pub(super) fn push(out: &mut Vec<u8>, stamp_us: u64, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("the caller keeps entries under 1 MiB");
    out.extend_from_slice(&length.to_le_bytes());
    let check_at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&stamp_us.to_le_bytes());
    out.extend_from_slice(bytes);
    let check = check(&out[check_at + 4..]);
    out[check_at..check_at + 4].copy_from_slice(&check);
}

fn check(stamp_and_bytes: &[u8]) -> [u8; 4] {
    let hash = xxh3_64(stamp_and_bytes).to_le_bytes();
    [hash[0], hash[1], hash[2], hash[3]]
}

pub(super) fn footer(bounds: Bounds) -> [u8; FOOTER_BYTES] {
    let mut footer = [0; FOOTER_BYTES];
    footer[..8].copy_from_slice(FOOTER_MAGIC);
    footer[8..16].copy_from_slice(&bounds.first_us.to_le_bytes());
    footer[16..24].copy_from_slice(&bounds.last_us.to_le_bytes());
    let check = xxh3_64(&footer[..24]).to_le_bytes();
    footer[24..].copy_from_slice(&check);
    footer
}

/// The bounds in the last bytes of a finished segment; `None` for an unfinished one.
pub(super) fn parse_footer(bytes: &[u8]) -> Option<Bounds> {
    let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let sound = bytes.starts_with(FOOTER_MAGIC) && number(24)? == xxh3_64(&bytes[..24]);
    sound.then_some(Bounds { first_us: number(8)?, last_us: number(16)? })
}

/// The entries of a segment, as far as they are sound.
pub(super) struct Frames<'a> {
    bytes: &'a [u8],
    number: u32,
    at: usize,
}

impl<'a> Frames<'a> {
    pub(super) fn of(bytes: &'a [u8], number: u32) -> Self {
        Self { bytes, number, at: 0 }
    }

    /// Where the sound entries end.
    pub(super) fn end(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let rest = &self.bytes[self.at..];
        let head = rest.first_chunk::<HEAD_BYTES>()?;
        let length = u32::from_le_bytes(head[..4].try_into().expect("4 bytes")) as usize;
        if length > ENTRY_MAX_BYTES {
            return None;
        }
        let body = rest.get(8..HEAD_BYTES + length)?;
        if check(body) != head[4..8] {
            return None;
        }
        let stamp_us = u64::from_le_bytes(body[..8].try_into().expect("8 bytes"));
        let position = Position::of(self.number, self.at);
        self.at += HEAD_BYTES + length;
        Some(Entry { position, stamp_us, bytes: &body[8..] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(entries: &[(u64, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        entries.iter().for_each(|(stamp, entry)| push(&mut bytes, *stamp, entry));
        bytes
    }

    #[test]
    fn entries_come_back_and_a_cut_loses_only_the_last() {
        let bytes = written(&[(5, b"one"), (3, b""), (9, b"three\n\0")]);
        let read =
            |bytes: &[u8]| Frames::of(bytes, 1).map(|e| (e.stamp_us, e.bytes.to_vec())).collect::<Vec<_>>();
        let whole = vec![(5, b"one".to_vec()), (3, vec![]), (9, b"three\n\0".to_vec())];
        assert_eq!(read(&bytes), whole);
        for cut in 1..=HEAD_BYTES + 7 {
            assert_eq!(read(&bytes[..bytes.len() - cut]), whole[..2], "{cut} bytes cut");
        }
        for flip in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[flip] ^= 0x40;
            let entries = read(&flipped);
            assert!(entries.len() < 3 && whole.starts_with(&entries), "byte {flip} flipped");
        }
    }

    #[test]
    fn a_footer_is_no_entry() {
        let bounds = Bounds { first_us: 3, last_us: 9 };
        let mut bytes = written(&[(3, b"x")]);
        let end = bytes.len();
        bytes.extend_from_slice(&footer(bounds));
        assert_eq!(parse_footer(&bytes[end..]), Some(bounds));
        assert_eq!(parse_footer(&bytes[end - 1..]), None);
        let mut frames = Frames::of(&bytes, 1);
        assert_eq!((frames.by_ref().count(), frames.end()), (1, end));
    }
}
