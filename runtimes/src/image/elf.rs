//! What a program or library says of the libraries that it needs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
const MAX_SEGMENTS: usize = 256;
const MAX_DYNAMIC_BYTES: u64 = 1 << 20;
const MAX_NAME_BYTES: usize = 4096;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// A 64-bit, little-endian ELF file's wishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// The kind of machine it is for (`e_machine`).
    pub(super) machine: u16,
    /// The program that loads it, an absolute path.
    pub(super) interpreter: Option<String>,
    /// Names of libraries.
    pub(super) needed: Vec<String>,
    /// Where it wants them looked for first, `:` between folders.
    pub(super) paths: Vec<String>,
}

/// Reads them; `None` where the file is no ELF file that this machine could run.
pub(super) fn wishes(path: &Path) -> io::Result<Option<Wishes>> {
    let file = File::open(path)?;
    let mut head = [0; HEADER_BYTES];
    match file.read_exact_at(&mut head, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    if head[..6] != *b"\x7fELF\x02\x01" {
        return Ok(None);
    }
    let segments = segments(&file, &head)?;
    let mut wishes = Wishes { machine: half(&head, 18), ..Wishes::default() };
    if let Some(found) = segments.iter().find(|segment| segment.kind == PT_INTERP) {
        wishes.interpreter = Some(text(&file, found.offset)?);
    }
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else {
        return Ok(Some(wishes));
    };
    let mut bytes = vec![0; usize::try_from(dynamic.bytes.min(MAX_DYNAMIC_BYTES)).unwrap_or(0)];
    file.read_exact_at(&mut bytes, dynamic.offset)?;
    let entries: Vec<(u64, u64)> = bytes
        .chunks_exact(16)
        .map(|entry| (word(entry, 0), word(entry, 8)))
        .take_while(|e| e.0 != 0)
        .collect();
    let strings = entries.iter().find(|entry| entry.0 == DT_STRTAB).and_then(|entry| at(&segments, entry.1));
    let Some(strings) = strings else { return Ok(Some(wishes)) };
    for (tag, value) in entries {
        let list = match tag {
            DT_NEEDED => &mut wishes.needed,
            DT_RPATH | DT_RUNPATH => &mut wishes.paths,
            _ => continue,
        };
        list.push(text(&file, strings.saturating_add(value))?);
    }
    Ok(Some(wishes))
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    bytes: u64,
}

fn segments(file: &File, head: &[u8]) -> io::Result<Vec<Segment>> {
    let (offset, count) = (word(head, 32), usize::from(half(head, 56)).min(MAX_SEGMENTS));
    let mut bytes = vec![0; count * SEGMENT_BYTES];
    file.read_exact_at(&mut bytes, offset)?;
    let segment = |bytes: &[u8]| Segment {
        kind: (word(bytes, 0) & u64::from(u32::MAX)) as u32,
        offset: word(bytes, 8),
        address: word(bytes, 16),
        bytes: word(bytes, 32),
    };
    Ok(bytes.chunks_exact(SEGMENT_BYTES).map(segment).collect())
}

/// Where in the file stands what is loaded at an address.
fn at(segments: &[Segment], address: u64) -> Option<u64> {
    let holds = |segment: &&Segment| {
        segment.kind == PT_LOAD
            && (segment.address..segment.address.saturating_add(segment.bytes)).contains(&address)
    };
    segments.iter().find(holds).map(|segment| address - segment.address + segment.offset)
}

/// A text that ends in NUL.
fn text(file: &File, offset: u64) -> io::Result<String> {
    let mut bytes = vec![0; MAX_NAME_BYTES];
    let mut got = 0;
    while got < bytes.len() {
        match file.read_at(&mut bytes[got..], offset.saturating_add(got as u64))? {
            0 => break,
            more => got += more,
        }
        if bytes[..got].contains(&0) {
            break;
        }
    }
    let end = bytes.iter().position(|byte| *byte == 0).ok_or(io::ErrorKind::InvalidData)?;
    String::from_utf8(bytes[..end].to_vec()).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_wishes_for_the_c_library() {
        let own = wishes(&std::env::current_exe().unwrap()).unwrap().expect("an ELF file");
        assert!(own.needed.iter().any(|name| name.starts_with("libc.")), "{own:?}");
        assert!(own.interpreter.is_some_and(|path| path.starts_with('/')));
    }

    #[test]
    fn what_is_no_program_wishes_for_nothing_and_what_is_cut_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut cut = vec![0; HEADER_BYTES];
        cut[..6].copy_from_slice(b"\x7fELF\x02\x01");
        cut[56] = 3;
        let cases: [(&[u8], bool); 4] =
            [(b"", true), (b"#!/bin/sh\n", true), (&[0x7f; HEADER_BYTES], true), (&cut, false)];
        for (bytes, plain) in cases {
            let path = folder.path().join("file");
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(wishes(&path).is_ok_and(|found| found.is_none()), plain, "{bytes:?}");
        }
    }
}
