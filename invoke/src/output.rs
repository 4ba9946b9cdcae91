//! The standard output and standard error of an instance: read as they come, and emptied at the end of a call.

use bytes::Bytes;
use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe::Receiver;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipe {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// The reading ends of both pipes.
#[derive(Debug)]
pub struct Output {
    pipes: [(Pipe, Option<Receiver>); 2],
}

const CHUNK_BYTES: usize = 16 * 1024;

/// The most that a pipe can hold (`/proc/sys/fs/pipe-max-size` of an unprivileged user): what was written before
/// an answer is among so many bytes.
const PIPE_BYTES: usize = 1024 * 1024;

impl Output {
    /// Takes the reading ends. Needs a tokio runtime.
    ///
    /// # Errors
    /// What the kernel said when they were made non-blocking or watched.
    pub fn new(stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Self> {
        Ok(Self { pipes: [(Pipe::Stdout, Some(watched(stdout)?)), (Pipe::Stderr, Some(watched(stderr)?))] })
    }

    /// The next piece. Cancel-safe; pending for ever once both ends are closed.
    pub(crate) async fn next(&mut self) -> (Pipe, Bytes) {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Pipe, Bytes)> {
        for (pipe, slot) in &mut self.pipes {
            let Some(receiver) = slot else { continue };
            match poll_read(receiver, cx) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => return Poll::Ready((*pipe, bytes)),
                Poll::Ready(_) => *slot = None,
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    /// Takes what is in the pipes at this moment, whether the reactor has noticed it or not.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(Pipe, &[u8])) {
        let mut space = [MaybeUninit::uninit(); CHUNK_BYTES];
        for (pipe, slot) in &mut self.pipes {
            let mut taken = 0;
            while let Some(receiver) = slot
                && taken < PIPE_BYTES
            {
                match rustix::io::read(&*receiver, &mut space[..]) {
                    Ok(([], _)) => *slot = None,
                    Ok((bytes, _)) => {
                        take(*pipe, bytes);
                        taken += bytes.len();
                    }
                    Err(Errno::INTR) => {}
                    Err(_) => break,
                }
            }
        }
    }
}

/// Empties a pipe of what was written until now, which is nobody's.
pub(crate) fn forget(pipe: &OwnedFd) -> io::Result<()> {
    rustix::io::ioctl_fionbio(pipe, true)?;
    let mut chunk = [0; 4096];
    loop {
        match rustix::io::read(pipe, &mut chunk) {
            Ok(0) | Err(Errno::AGAIN) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn watched(fd: OwnedFd) -> io::Result<Receiver> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    Receiver::from_owned_fd(fd)
}

/// Empty at the end of the stream.
fn poll_read(receiver: &mut Receiver, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    let mut space = [MaybeUninit::uninit(); CHUNK_BYTES];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(receiver).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn what_was_written_is_read_in_both_ways() {
        let ((out, mut to_out), (err, mut to_err)) = (io::pipe().unwrap(), io::pipe().unwrap());
        let mut output = Output::new(out.into(), err.into()).unwrap();
        to_err.write_all(b"oh").unwrap();
        assert_eq!(output.next().await, (Pipe::Stderr, Bytes::from_static(b"oh")));
        to_out.write_all(&[b'x'; 50_000]).unwrap();
        to_err.write_all(b"e").unwrap();
        let (mut stdout, mut stderr) = (0, 0);
        output.drain(|pipe, bytes| match pipe {
            Pipe::Stdout => stdout += bytes.len(),
            Pipe::Stderr => stderr += bytes.len(),
        });
        assert_eq!((stdout, stderr), (50_000, 1));
        output.drain(|_, bytes| panic!("{bytes:?}"));
        drop((to_out, to_err));
        output.drain(|_, bytes| panic!("{bytes:?}"));
        let never = tokio::time::timeout(std::time::Duration::from_millis(20), output.next());
        assert!(never.await.is_err(), "closed pipes say nothing more");
    }
}
