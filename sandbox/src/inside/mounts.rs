//! The sandbox's own file system: the shared read-only root, what the spec binds, and three fresh ones.

use super::Plan;
use crate::base::{attach, new_filesystem};
use crate::step::{Failure, Steps};
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags, fsmount, mount_change,
    move_mount, unmount,
};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Size of `/dev/shm`, in bytes, where the sandbox's memory allows for it.
const SHM_BYTES: u64 = 64 << 20;

/// One file in `/tmp` per so many of its bytes.
const BYTES_PER_INODE: u64 = 8 << 10;

/// What of `/proc` the kernel lets us show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcView {
    /// Own processes, nothing of the system, not even that there are others.
    OwnProcesses,
    /// Own processes and the system's files that a user may read.
    System,
    /// No `/proc`: the kernel refuses to mount it in a container whose own is masked.
    Absent,
}

/// Puts everything in its place below the new root.
pub(super) fn attach_all(
    plan: &Plan<'_>,
    steps: Steps<'_>,
    root: &OwnedFd,
    stand: &str,
) -> Result<(), Failure> {
    let furniture = &plan.request.furniture;
    steps.take("root", || {
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        Ok(move_mount(root, c"", CWD, stand, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
    })?;
    steps.take("binds", || {
        plan.binds
            .iter()
            .zip(&furniture.binds)
            .try_for_each(|(tree, bind)| attach(tree.as_fd(), root.as_fd(), &bind.guest))
    })?;
    steps.take("tmp", || tmpfs(root, "/tmp", furniture.tmp_bytes, MountAttrFlags::empty()))?;
    steps.take("shm", || {
        let bytes = SHM_BYTES.min(furniture.memory_bytes / 2);
        tmpfs(root, "/dev/shm", bytes, MountAttrFlags::MOUNT_ATTR_NOEXEC)
    })?;
    steps.take("proc", || proc(root, plan.proc_view))
}

/// Makes it the root, leaving nothing of the old one.
pub(super) fn pivot(root: &OwnedFd) -> io::Result<()> {
    rustix::process::fchdir(root)?;
    rustix::process::pivot_root(".", ".")?;
    // The old root now lies on top of the new one; taking it off leaves no way back.
    unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

/// Options of a file system in memory that may hold so many bytes. A size of 0 would mean no limit.
pub(crate) fn tmpfs_room(bytes: u64) -> [(&'static str, u64); 2] {
    [("size", bytes.max(4096)), ("nr_inodes", (bytes / BYTES_PER_INODE).clamp(1024, 1 << 18))]
}

fn tmpfs(root: &OwnedFd, at: &str, bytes: u64, attributes: MountAttrFlags) -> io::Result<()> {
    let room = tmpfs_room(bytes).map(|(name, value)| (name, value.to_string()));
    let [size, inodes] = [0, 1].map(|at| (room[at].0, room[at].1.as_str()));
    let options = [size, inodes, ("mode", "1777")];
    let filesystem = new_filesystem("tmpfs", &options, &[])?;
    let attributes = attributes | MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mount = fsmount(filesystem, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    attach(mount.as_fd(), root.as_fd(), Path::new(at))
}

fn proc(root: &OwnedFd, view: ProcView) -> io::Result<()> {
    let options: &[(&str, &str)] = match view {
        ProcView::OwnProcesses => &[("hidepid", "invisible"), ("subset", "pid")],
        ProcView::System => &[("hidepid", "invisible")],
        ProcView::Absent => return Ok(()),
    };
    let filesystem = new_filesystem("proc", options, &[])?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = fsmount(filesystem, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    attach(mount.as_fd(), root.as_fd(), Path::new("/proc"))
}
