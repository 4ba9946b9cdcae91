//! Who is known inside a template. It runs as its own user of the host, whom the shared root's `/etc` does not name, and
//! libraries that ask for their user's home would fail.

use crate::base::{USER, attach, new_filesystem, people};
use crate::identity::Identity;
use crate::kernel::{self, ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY};
use rustix::fs::{Mode, OFlags, fchmod, openat};
use rustix::mount::{FsMountFlags, MountAttrFlags, OpenTreeFlags, UnmountFlags, fsmount, open_tree, unmount};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// An empty directory of the root, where the files stand for a moment: only what is mounted somewhere can be bound.
const WORKSHOP: &str = "/run";

/// Puts files that name the template's user over those of the root.
pub(super) fn introduce(root: &OwnedFd, stand: &str, identity: Identity) -> io::Result<()> {
    let options = [("size", "64k"), ("nr_inodes", "8"), ("mode", "0755")];
    let filesystem = new_filesystem("tmpfs", &options, &[])?;
    let workshop = fsmount(filesystem, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    attach(workshop.as_fd(), root.as_fd(), Path::new(WORKSHOP))?;
    let (passwd, group) = people(USER, identity.user, identity.group);
    for (name, text) in [("passwd", passwd), ("group", group)] {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(&workshop, name, flags, Mode::from_raw_mode(0o644))?;
        fchmod(&file, Mode::from_raw_mode(0o644))?;
        rustix::io::write(&file, text.as_bytes())?;
        drop(file);
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let bound = open_tree(&workshop, name, flags)?;
        let sealed = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;
        kernel::set_mount_attributes(bound.as_fd(), sealed, false)?;
        attach(bound.as_fd(), root.as_fd(), &Path::new("/etc").join(name))?;
    }
    Ok(unmount(format!("{stand}{WORKSHOP}"), UnmountFlags::DETACH)?)
}
