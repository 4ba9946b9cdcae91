//! Network namespaces: a loopback and nothing else.

use crate::kernel;
use rustix::fs::{Mode, OFlags, open};
use rustix::net::{
    AddressFamily, Ipv4Addr, SocketAddrV4, SocketFlags, SocketType, bind, listen, socket_with, sockopt,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Connections that may wait to be accepted on a listener inside.
const BACKLOG: i32 = 128;

/// The launcher's own network namespace, to which it returns.
pub(crate) struct Home(OwnedFd);

impl Home {
    /// Remembers the current one.
    pub(crate) fn here() -> io::Result<Self> {
        current().map(Self)
    }

    /// Makes a namespace with its loopback up.
    pub(crate) fn fresh(&self) -> io::Result<OwnedFd> {
        // SAFETY: a new network namespace changes what sockets made from now on see; no memory is involved.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
        self.then_return(|| {
            let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
            kernel::loopback_up(socket.as_fd())?;
            current()
        })
    }

    /// Works inside a namespace.
    pub(crate) fn within<T>(&self, network: &OwnedFd, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        enter(network)?;
        self.then_return(work)
    }

    /// Works, then returns, in the parent; a child that is forked meanwhile stays where it is.
    fn then_return<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let done = work();
        // Going on in a sandbox's network would mix it with the next one's.
        enter(&self.0).expect("the launcher may return to its own network namespace");
        done
    }
}

/// Listening sockets on the loopback of the current namespace.
pub(crate) fn listeners(ports: &[u16]) -> io::Result<Vec<OwnedFd>> {
    ports
        .iter()
        .map(|port| {
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            sockopt::set_socket_reuseaddr(&socket, true)?;
            bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, *port))?;
            listen(&socket, BACKLOG)?;
            Ok(socket)
        })
        .collect()
}

fn current() -> io::Result<OwnedFd> {
    Ok(open("/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

fn enter(network: &OwnedFd) -> io::Result<()> {
    Ok(move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?)
}
