//! Where a package is unpacked to: a directory under a provisional name, locked while it is written, renamed
//! when it is whole.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::fs::{Gid, Uid};
use rustix::fs::{fchmod, fchown, flock, fstat, fsync, mkdirat, openat, renameat_with, statat};

use super::UnpackError;

const MARK: &str = ".partial-";
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// A destination under its provisional name. Dropping it removes all that was written.
#[derive(Debug)]
pub(super) struct Place {
    parent: OwnedFd,
    parent_path: PathBuf,
    name: OsString,
    partial: OsString,
    /// Holds the lock.
    directory: OwnedFd,
    renamed: bool,
}

impl Place {
    /// Makes the provisional directory next to `destination`, and removes those that a killed launcher left
    /// there.
    pub(super) fn make(destination: &Path) -> Result<Place, UnpackError> {
        let failed = |error: io::Error| UnpackError::machine("making the destination", &error);
        let (Some(parent_path), Some(name)) = (destination.parent(), destination.file_name()) else {
            return Err(UnpackError::Failed("the destination is not a name in a directory".to_owned()));
        };
        let parent = rustix::fs::open(parent_path, DIRECTORY, Mode::empty()).map_err(|e| failed(e.into()))?;
        if statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(UnpackError::Exists);
        }
        sweep(&parent, parent_path);
        let (partial, directory) = make_locked(&parent, name).map_err(failed)?;
        let place = Place {
            parent,
            parent_path: parent_path.to_owned(),
            name: name.to_owned(),
            partial,
            directory,
            renamed: false,
        };
        let owner = place.owner().map_err(failed)?;
        fchown(&place.directory, Some(owner.0), Some(owner.1)).map_err(|e| failed(e.into()))?;
        Ok(place)
    }

    /// Whom the directory around the destination belongs to.
    pub(super) fn owner(&self) -> io::Result<(Uid, Gid)> {
        let stat = fstat(&self.parent)?;
        Ok((Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid)))
    }

    /// A descriptor of the provisional directory that does not share the lock.
    pub(super) fn open(&self) -> io::Result<OwnedFd> {
        Ok(openat(&self.directory, ".", DIRECTORY, Mode::empty())?)
    }

    /// Gives the tree its name, in one step and for good.
    pub(super) fn rename(mut self) -> Result<(), UnpackError> {
        let failed = |error: rustix::io::Errno| match error {
            rustix::io::Errno::EXIST => UnpackError::Exists,
            error => UnpackError::machine("renaming the package into place", &error.into()),
        };
        fchmod(&self.directory, Mode::from_raw_mode(0o755)).map_err(failed)?;
        fsync(&self.directory).map_err(failed)?;
        renameat_with(&self.parent, &self.partial, &self.parent, &self.name, RenameFlags::NOREPLACE)
            .map_err(failed)?;
        self.renamed = true;
        fsync(&self.parent).map_err(failed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.renamed {
            // What cannot be removed now is left for a later sweep.
            let _ = std::fs::remove_dir_all(self.parent_path.join(&self.partial));
        }
    }
}

/// Removes the provisional directories around a destination that nobody holds any more.
pub(super) fn sweep_around(destination: &Path) {
    if let Some(parent_path) = destination.parent()
        && let Ok(parent) = rustix::fs::open(parent_path, DIRECTORY, Mode::empty())
    {
        sweep(&parent, parent_path);
    }
}

fn make_locked(parent: &OwnedFd, name: &OsStr) -> io::Result<(OsString, OwnedFd)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut partial = name.to_owned();
        partial.push(format!("{MARK}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        match mkdirat(parent, &partial, Mode::RWXU) {
            Err(rustix::io::Errno::EXIST) => continue,
            made => made?,
        }
        let locked = openat(parent, &partial, DIRECTORY, Mode::empty()).and_then(|directory| {
            flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
            Ok((fstat(&directory)?.st_nlink, directory))
        });
        match locked {
            Ok((links, directory)) if links > 0 => return Ok((partial, directory)),
            // Another launcher's sweep came between making and locking.
            Ok(_) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes provisional directories that nobody holds. What cannot be removed now is left for the next time.
fn sweep(parent: &OwnedFd, parent_path: &Path) {
    let Ok(entries) = std::fs::read_dir(parent_path) else { return };
    for name in entries.flatten().map(|entry| entry.file_name()) {
        if !name.to_string_lossy().contains(MARK) {
            continue;
        }
        let Ok(directory) = openat(parent, &name, DIRECTORY, Mode::empty()) else { continue };
        if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = std::fs::remove_dir_all(parent_path.join(&name));
        }
    }
}
