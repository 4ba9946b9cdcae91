//! Processes that are started before it is known what for.

use std::io;
use std::os::unix::net::UnixStream;
use tokio::io::AsyncReadExt;

/// What such a process says, once, when it has made itself ready: a frame without content.
const WAITS: [u8; 5] = [0, 0, 0, 0, 22];

/// Returns once the process at the other end of a control socket says that it waits for its Load frame. The socket is in
/// blocking mode before and after. Needs a tokio runtime.
///
/// # Errors
/// The process has ended, or says something else.
pub async fn waits(control: &UnixStream) -> io::Result<()> {
    control.set_nonblocking(true)?;
    let mut reader = tokio::net::UnixStream::from_std(control.try_clone()?)?;
    let mut said = WAITS;
    reader.read_exact(&mut said).await?;
    drop(reader);
    control.set_nonblocking(false)?;
    if said == WAITS { Ok(()) } else { Err(io::Error::other("it says something else than that it waits")) }
}
