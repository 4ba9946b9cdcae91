//! Unpacking of function packages in a jailed child: a package appears at its destination whole, by one rename, or not at all.
//!
//! The parent makes a provisional directory and forks; the child shuts itself in (`jail`), judges the archive by its directory
//! (`directory`, `tree`, `content`, `links`), writes it (`extract`) and answers over a pipe; the parent renames. What the child
//! says is bounded and believed only as to the result: it could put no file outside the destination.

mod archive;
mod child;
mod content;
mod directory;
mod error;
mod extract;
mod jail;
mod links;
mod place;
mod tree;

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use crate::seccomp::{Arch, Policy, compile};
use archive::Archive;
use child::{Child, Ended};
use jail::{Jail, Layers};
use place::Place;

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
    child: Child,
    answer: PipeReader,
    place: Place,
}

impl Unpacking {
    /// Forks the jailed child. Nothing exists at `dest` until [`Unpacking::finish`]. Files will belong to the owner of the
    /// directory around `dest`.
    ///
    /// # Errors
    /// `Exists` when something is at `dest`; `TooLarge` by the size of the archive; `Failed` when the child cannot be made.
    pub fn start(zip: &File, dest: &Path, limits: &UnpackLimits) -> Result<Unpacking, UnpackError> {
        let failed = |error: io::Error| UnpackError::machine("starting to unpack", &error);
        let bytes = archive_bytes(zip, limits)?;
        let place = Place::make(dest)?;
        let jail = Jail {
            layers: Layers::ALL,
            filter: compile(Policy::unpacker(), Arch::NATIVE),
            file_bytes: limits.unzipped_bytes,
            memory_bytes: memory_bytes().map_err(failed)?,
            owner: place.owner().map_err(failed)?,
        };
        let archive = Archive::new(zip.try_clone().map_err(failed)?, bytes);
        let destination = place.open().map_err(failed)?;
        let (answer, to_parent) = io::pipe().map_err(failed)?;
        let keep = [archive.fd(), destination.as_raw_fd(), to_parent.as_raw_fd()];
        let child = Child::fork(keep, || {
            let result = jail
                .enter(destination)
                .map_err(|error| UnpackError::machine("confining the unpacker", &error))
                .and_then(|root| extract::extract(&archive, root.as_fd(), limits));
            tell(to_parent, &result);
        });
        Ok(Unpacking { child: child.map_err(failed)?, answer, place })
    }

    /// Becomes readable when the child has ended, so that [`Unpacking::finish`] will not block for long.
    pub fn done(&self) -> BorrowedFd<'_> {
        self.answer.as_fd()
    }

    /// Waits for the child and renames the tree into place.
    ///
    /// # Errors
    /// Whatever the child reported; nothing is left behind then.
    pub fn finish(self) -> Result<Unpacked, UnpackError> {
        const LONGEST_ANSWER_BYTES: u64 = 16 * 1024;
        let mut answer = Vec::new();
        let read = self.answer.take(LONGEST_ANSWER_BYTES).read_to_end(&mut answer);
        let ended = self.child.end();
        read.map_err(|error| UnpackError::machine("hearing from the unpacker", &error))?;
        if answer.is_empty() {
            return Err(died(ended));
        }
        let result: Result<Unpacked, UnpackError> = serde_json::from_slice(&answer)
            .map_err(|error| UnpackError::Failed(format!("the unpacker spoke nonsense: {error}")))?;
        let unpacked = result?;
        self.place.rename()?;
        Ok(unpacked)
    }
}

/// Unpacks and waits: [`Unpacking::start`], then [`Unpacking::finish`].
///
/// # Errors
/// As those two.
pub fn unpack(zip: &File, dest: &Path, limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
    Unpacking::start(zip, dest, limits)?.finish()
}

/// The archive's size, if it is a file within the limit.
fn archive_bytes(zip: &File, limits: &UnpackLimits) -> Result<u64, UnpackError> {
    let facts = zip.metadata().map_err(|error| UnpackError::machine("looking at the archive", &error))?;
    if !facts.is_file() {
        return Err(UnpackError::archive("it is not a file"));
    }
    if facts.len() > limits.zip_bytes {
        return Err(UnpackError::too_large("zip-bytes", limits.zip_bytes, facts.len()));
    }
    Ok(facts.len())
}

/// Address space for the child: what this process has, since a fork keeps it, and what unpacking needs.
fn memory_bytes() -> io::Result<u64> {
    const NEEDED_BYTES: u64 = 512 * 1024 * 1024;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let size_kib = status.lines().find_map(|line| {
        line.strip_prefix("VmSize:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    let size_kib = size_kib.ok_or_else(|| io::Error::other("/proc/self/status has no VmSize"))?;
    Ok(size_kib * 1024 + NEEDED_BYTES)
}

/// Sends the result. When that fails the parent hears nothing, which it takes for a failure.
fn tell(mut parent: PipeWriter, result: &Result<Unpacked, UnpackError>) {
    if let Ok(answer) = serde_json::to_vec(result) {
        let _ = parent.write_all(&answer);
    }
}

/// Why a child ended without an answer.
fn died(ended: Ended) -> UnpackError {
    match ended {
        Ended::Signal(libc::SIGXCPU) => {
            let why = format!("it takes more than the {} seconds of processor time allowed to unpack", jail::CPU_SECONDS);
            UnpackError::archive(why)
        }
        Ended::Signal(signal) => UnpackError::Failed(format!("the unpacker was ended by signal {signal}")),
        Ended::Code(code) => UnpackError::Failed(format!("the unpacker ended with status {code} and no answer")),
        Ended::Unknown => UnpackError::Failed("the unpacker ended without an answer".to_owned()),
    }
}
