//! A sandbox without a program: its first process hands out descriptors of its namespaces, so that a template's child
//! can join them, and from then on only lets the dead be buried. One whose program waits for its work hands out that of
//! its mounts.

use crate::channel;
use crate::kernel;
use rustix::fs::{Mode, OFlags, open};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// In the order in which a child joins them.
pub(crate) const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup"];

/// Where the mount and the network namespace stand among them.
pub(crate) const MOUNTS: usize = 1;
pub(crate) const NETWORK: usize = 5;

/// Brings the loopback up and opens the namespaces, while `/proc` is still the launcher's.
pub(super) fn prepare() -> io::Result<Vec<OwnedFd>> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    kernel::loopback_up(socket.as_fd())?;
    NAMESPACES.into_iter().map(namespace).collect()
}

fn namespace(name: &str) -> io::Result<OwnedFd> {
    Ok(open(format!("/proc/self/ns/{name}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Lets the launcher mount things here later, while `/proc` is still its own.
pub(super) fn hand_out_mounts(line: BorrowedFd<'_>) -> io::Result<()> {
    channel::send(line, b"waits", &[namespace(NAMESPACES[MOUNTS])?.as_fd()])
}

/// Hands the namespaces, and the Landlock rules where there are any, to the launcher and lives until it hangs up;
/// returns only if that failed.
pub(super) fn keep(line: BorrowedFd<'_>, namespaces: &[OwnedFd], rules: Option<OwnedFd>) -> io::Result<()> {
    // Whoever dies in here without a parent vanishes at once.
    kernel::ignore_signal(libc::SIGCHLD);
    let fds: Vec<_> = namespaces.iter().chain(&rules).map(AsFd::as_fd).collect();
    channel::send(line, b"built", &fds)?;
    let number = line.as_raw_fd();
    kernel::close_from(0, number - 1, false)?;
    kernel::close_from(number + 1, RawFd::MAX, false)?;
    while let Ok(Some(_)) = channel::receive(line, true) {}
    kernel::exit_now(0)
}
