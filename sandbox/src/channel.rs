//! Messages with descriptors over a connected pair of sequenced-packet sockets.

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::Pid;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Most descriptors in one message; the kernel's own limit is 253.
pub(crate) const MAX_FDS: usize = 64;

/// Largest message, in bytes. Below the kernel's default socket buffer.
pub(crate) const MAX_BYTES: usize = 160 * 1024;

/// What is kept of a message by [`receive_from`].
pub(crate) const SHORT_BYTES: usize = 1024;

/// What was received.
#[derive(Debug)]
pub(crate) struct Message {
    /// Never empty.
    pub(crate) bytes: Vec<u8>,
    /// In the order in which they were sent; closed at exec.
    pub(crate) fds: Vec<OwnedFd>,
}

/// Two connected ends, closed at exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message, never waiting.
///
/// # Errors
/// `WouldBlock` when the other end does not keep up, `BrokenPipe` when it is gone.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if bytes.is_empty() || bytes.len() > MAX_BYTES || fds.len() > MAX_FDS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags)?;
    Ok(())
}

/// Receives one message; `None` when the other end is gone. Waits for it if `wait`.
///
/// # Errors
/// `WouldBlock` when there is none and `wait` is false; `InvalidData` when it was cut off.
pub(crate) fn receive(socket: impl AsFd, wait: bool) -> io::Result<Option<Message>> {
    match receive_even_cut(socket, wait)? {
        Some((_, true)) => Err(io::ErrorKind::InvalidData.into()),
        message => Ok(message.map(|(message, _)| message)),
    }
}

/// As [`receive`], and whether the message was cut off: larger than any we send, or without room for all of its
/// descriptors.
pub(crate) fn receive_even_cut(socket: impl AsFd, wait: bool) -> io::Result<Option<(Message, bool)>> {
    let waiting = if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
    let (_, length) = loop {
        match rustix::net::recv(&socket, &mut [0; 0][..], waiting | RecvFlags::PEEK | RecvFlags::TRUNC) {
            // Said once, by an end that was closed with something unread; what it has sent before that is still there.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            other => break other?,
        }
    };
    let mut bytes = vec![0; length.min(MAX_BYTES)];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let got = loop {
        match rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            other => break other?,
        }
    };
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    Ok(Some((Message { bytes, fds }, got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC))))
}

/// Receives one message without descriptors, at most [`SHORT_BYTES`] of it, and who has sent it; `None` when the other end is gone. The socket must ask
/// the kernel for credentials (`SO_PASSCRED`).
///
/// # Errors
/// `WouldBlock` when there is none.
pub(crate) fn receive_from(socket: impl AsFd) -> io::Result<Option<(Vec<u8>, Option<Pid>)>> {
    let mut bytes = vec![0; SHORT_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let got = loop {
        match rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            other => break other?,
        }
    };
    let sender = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid),
        _ => None,
    });
    bytes.truncate(got.bytes);
    Ok((got.bytes > 0).then_some((bytes, sender)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn carries_bytes_and_descriptors() {
        let (a, b) = pair().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        send(&a, b"hello", &[reader.as_fd()]).unwrap();
        let message = receive(&b, true).unwrap().unwrap();
        assert_eq!((message.bytes.as_slice(), message.fds.len()), (b"hello".as_slice(), 1));
        writer.write_all(b"x").unwrap();
        let mut one = [0];
        rustix::io::read(&message.fds[0], &mut one).unwrap();
        assert_eq!(one, *b"x");
    }

    #[test]
    fn says_when_there_is_nothing_or_nobody() {
        let (a, b) = pair().unwrap();
        assert_eq!(receive(&b, false).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(a);
        assert!(receive(&b, false).unwrap().is_none());
        assert_eq!(send(&b, b"x", &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn last_words_of_an_end_that_did_not_listen_are_heard() {
        let (a, b) = pair().unwrap();
        send(&a, b"unread", &[]).unwrap();
        send(&b, b"farewell", &[]).unwrap();
        drop(b);
        assert_eq!(receive(&a, false).unwrap().unwrap().bytes, b"farewell");
        assert!(receive(&a, false).unwrap().is_none());
    }

    #[test]
    fn refuses_what_is_too_large() {
        let (a, _b) = pair().unwrap();
        for bytes in [vec![], vec![0; MAX_BYTES + 1]] {
            assert_eq!(send(&a, &bytes, &[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        send(&a, &vec![0; MAX_BYTES], &[]).unwrap();
    }
}
