//! A folder of the host whose mount does not tell where it lies.
//!
//! For a plain bind `/proc/self/mountinfo` shows the path of the folder inside its file system, whatever the mount is
//! called, and no mount option, no Landlock rule and no filter can take that one file away from a program that may read
//! its own `/proc`. An overlay has a root of its own: what is shown is `/`, and layers by the names they were given.

use crate::base::new_filesystem;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, MountAttrFlags, fsmount};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The lower layer: a read-only overlay takes two. Below the shared root, and empty.
const NOTHING: &str = "run";

/// The folder as a read-only mount that is not attached anywhere. `root` is the shared root of all sandboxes.
pub(crate) fn veiled(folder: &Path, root: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(CWD, folder, flags, Mode::empty())?;
    rustix::process::fchdir(root)?;
    let made = overlay(folder.as_fd());
    rustix::process::chdir("/")?;
    made
}

fn overlay(folder: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let layers = format!("/proc/self/fd/{}:{NOTHING}", folder.as_raw_fd());
    let filesystem = new_filesystem("overlay", &[("source", "package"), ("lowerdir", &layers)], &[])?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(fsmount(filesystem, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}
