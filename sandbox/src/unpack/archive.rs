//! The bytes of an archive, and fields within them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::UnpackError;

/// An archive that is read by position.
pub(super) struct Archive {
    file: File,
    bytes: u64,
}

impl Archive {
    pub(super) fn new(file: File, bytes: u64) -> Self {
        Archive { file, bytes }
    }

    /// Its size, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Fills `buffer` from `offset`.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), UnpackError> {
        self.file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => UnpackError::archive("it is cut short"),
            _ => UnpackError::machine("reading the archive", &error),
        })
    }
}

/// Little-endian fields, taken from the front. `None` when the bytes end too early.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}
