//! Unpacking of function packages in a jailed child.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

mod error;

pub use error::UnpackError;

/// Bounds of one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UnpackLimits {
    /// Size of the archive, in bytes.
    pub zip_bytes: u64,
    /// Size of all files when unpacked, in bytes.
    pub unzipped_bytes: u64,
    /// Files and directories, those that are only implied by a path included.
    pub entries: u64,
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unpacked {
    /// Size of all files, in bytes.
    pub bytes: u64,
    /// Files, links and directories made.
    pub entries: u64,
}

/// An unpacking under way in a child process. Dropping it kills the child and removes what it wrote.
#[derive(Debug)]
pub struct Unpacking {
    result: std::io::PipeReader,
}

impl Unpacking {
    /// Forks the jailed child. Nothing exists at `dest` until [`Unpacking::finish`].
    ///
    /// # Errors
    /// `Exists` when something is at `dest`; `TooLarge` by the size of the archive; `Failed` when the child cannot be made.
    pub fn start(zip: &File, dest: &Path, limits: &UnpackLimits) -> Result<Unpacking, UnpackError> {
        let _ = (zip, dest, limits);
        Err(UnpackError::Failed("not written yet".to_owned()))
    }

    /// Becomes readable when the child has ended, so that [`Unpacking::finish`] will not block.
    pub fn done(&self) -> BorrowedFd<'_> {
        self.result.as_fd()
    }

    /// Waits for the child and renames the tree into place.
    ///
    /// # Errors
    /// Whatever the child reported; nothing is left behind then.
    pub fn finish(self) -> Result<Unpacked, UnpackError> {
        Err(UnpackError::Failed("not written yet".to_owned()))
    }
}

/// Unpacks and waits: [`Unpacking::start`], then [`Unpacking::finish`].
///
/// # Errors
/// As those two.
pub fn unpack(zip: &File, dest: &Path, limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
    Unpacking::start(zip, dest, limits)?.finish()
}
