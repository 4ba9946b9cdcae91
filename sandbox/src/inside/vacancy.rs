//! A sandbox without a program. Descriptors of its namespaces are handed out; then a process of its own waits to become a
//! program, or a template's child joins it.

use super::close_all_but;
use crate::channel::{self, Message};
use crate::kernel;
use rustix::fs::{Mode, OFlags, open};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// In the order in which a child joins them.
pub(crate) const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup"];

/// Where the mount and the network namespace stand among them.
pub(crate) const MOUNTS: usize = 1;
pub(crate) const NETWORK: usize = 5;

/// What an empty sandbox says when it is built, before its descriptors.
const BUILT: &[u8] = b"built";

/// Brings the loopback of a network of its own up.
pub(super) fn connect() -> io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    kernel::loopback_up(socket.as_fd())
}

/// Opens namespaces, while `/proc` is still the launcher's.
pub(super) fn open_namespaces(names: &[&str]) -> io::Result<Vec<OwnedFd>> {
    let namespace = |name: &&str| {
        let path = format!("/proc/self/ns/{name}");
        Ok(open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    };
    names.iter().map(namespace).collect()
}

/// Hands the namespaces, and the Landlock rules where there are any, to the launcher.
pub(super) fn hand_out(
    line: BorrowedFd<'_>,
    namespaces: Vec<OwnedFd>,
    rules: Option<OwnedFd>,
) -> io::Result<()> {
    let fds: Vec<_> = namespaces.iter().chain(&rules).map(AsFd::as_fd).collect();
    channel::send(line, BUILT, &fds)
}

/// Waits for what a program comes with. Ends if none comes, and the sandbox with it.
pub(super) fn receive(line: BorrowedFd<'_>) -> io::Result<Message> {
    match channel::receive(line, true)? {
        Some(message) => Ok(message),
        None => kernel::exit_now(0),
    }
}

/// Lives until the launcher hangs up; returns only if that failed.
pub(super) fn keep(line: BorrowedFd<'_>) -> io::Result<()> {
    // Whoever dies in here without a parent vanishes at once.
    kernel::ignore_signal(libc::SIGCHLD);
    close_all_but(vec![line.as_raw_fd()])?;
    while let Ok(Some(_)) = channel::receive(line, true) {}
    kernel::exit_now(0)
}
