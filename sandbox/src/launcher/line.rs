//! A channel on which an asynchronous task waits.

use crate::channel::{self, Message};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[derive(Debug)]
pub(super) struct Line(AsyncFd<OwnedFd>);

impl Line {
    /// Needs a runtime around it.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        // SAFETY: the descriptor is owned, stays the same, and is closed only with the registration.
        let registered = unsafe { AsyncFd::register(socket) };
        registered.map(Self).map_err(io::Error::from)
    }

    /// The next message; `None` when the other end is gone. Cancelling loses nothing.
    pub(super) async fn receive(&self) -> io::Result<Option<Message>> {
        self.take(|socket| channel::receive(socket, false)).await
    }

    /// Calls `take` when there may be something to receive, until it answers with anything but `WouldBlock`.
    pub(super) async fn take<T>(&self, take: impl FnMut(&OwnedFd) -> io::Result<T>) -> io::Result<T> {
        self.0.async_io(Interest::READABLE, take).await
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        self.0.get_ref()
    }

    /// Sends a message if there is room for it.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        channel::send(self.0.get_ref(), bytes, &[])
    }

    /// Returns when there may be room to send.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.0.writable().await.map(|_| ())
    }
}
