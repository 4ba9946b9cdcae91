//! Unpacking of function packages in a jailed child: a package appears at its destination whole, by one
//! rename, or not at all.
//!
//! The launcher forks a `job`, which makes a provisional directory and forks the child. The child shuts
//! itself in (`jail`), judges the archive by its directory (`directory`, `tree`, `content`, `links`), and
//! writes it (`extract`). The job renames. A child that a package has taken over can do no more than fill the
//! destination with nonsense; those who read a package's tree have to expect that of any package.

mod archive;
mod child;
mod content;
mod directory;
mod error;
mod extract;
mod jail;
mod job;
mod links;
mod place;
mod tree;

use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use child::Child;

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
    /// Gone when it was waited for.
    job: Option<(Child, PipeReader)>,
    dest: PathBuf,
}

impl Unpacking {
    /// The job's process.
    pub(crate) fn pid(&self) -> i32 {
        self.job.as_ref().map_or(0, |(child, _)| child.id())
    }

    /// Forks the job. Nothing exists at `dest` before it is complete. Files will belong to the owner of the
    /// directory around `dest`. The calling thread must live until the job has ended: the job dies with it.
    ///
    /// # Errors
    /// `TooLarge` by the size of the archive; `Failed` when the job cannot be started. Everything else is for
    /// [`Unpacking::finish`] to say.
    pub fn start(zip: &File, dest: &Path, limits: &UnpackLimits) -> Result<Unpacking, UnpackError> {
        let failed = |error: io::Error| UnpackError::machine("starting to unpack", &error);
        let bytes = archive_bytes(zip, limits)?;
        let zip = zip.try_clone().map_err(failed)?;
        let job = Child::fork(&[zip.as_raw_fd()], |answer| {
            job::tell(answer, &job::run(zip, bytes, dest, limits));
        });
        Ok(Unpacking { job: Some(job.map_err(failed)?), dest: dest.to_owned() })
    }

    /// Becomes readable when the job has ended, so that [`Unpacking::finish`] will not block.
    pub fn done(&self) -> BorrowedFd<'_> {
        let (_, answer) = self.job.as_ref().expect("only `finish` and `drop` take it");
        answer.as_fd()
    }

    /// Waits for the job.
    ///
    /// # Errors
    /// `Exists` when something is at `dest`, else whatever is wrong with the package or the machine; nothing
    /// is left behind then.
    pub fn finish(mut self) -> Result<Unpacked, UnpackError> {
        let (child, answer) = self.job.take().expect("only `finish` and `drop` take it");
        job::hear(child, answer)
    }
}

impl Drop for Unpacking {
    fn drop(&mut self) {
        if let Some((child, _)) = self.job.take() {
            child.end();
            place::sweep_around(&self.dest);
        }
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
