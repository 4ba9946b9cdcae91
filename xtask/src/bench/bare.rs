//! The floor: an interpreter spawned with the handler behind a socket, and nothing between.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A handler process that is spoken to directly.
pub(crate) struct Bare {
    child: Child,
    channel: UnixStream,
}

impl Bare {
    /// Spawns `command` in `folder` (which holds the handler) with the channel as its standard input.
    pub(crate) fn spawn(mut command: Command, folder: &Path) -> io::Result<Self> {
        let (channel, theirs) = UnixStream::pair()?;
        let child = command
            .current_dir(folder)
            .env("PYTHONPATH", folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        Ok(Self { child, channel })
    }

    /// One event in, one answer out.
    pub(crate) fn call(&mut self, event: &[u8]) -> io::Result<Vec<u8>> {
        let length = u32::try_from(event.len()).map_err(io::Error::other)?;
        let mut frame = length.to_le_bytes().to_vec();
        frame.push(1);
        frame.extend_from_slice(event);
        self.channel.write_all(&frame)?;
        let mut head = [0; 5];
        self.channel.read_exact(&mut head)?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let mut answer = vec![0; length as usize];
        self.channel.read_exact(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
