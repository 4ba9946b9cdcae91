//! Small, trusted commands of the host.

use super::Launcher;
use super::line::Line;
use crate::channel;
use crate::protocol::{Report, Request, decode};
use crate::{Exit, SandboxError};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// What a pipe holds: the most that can be written before anyone reads.
const MAX_INPUT: usize = 64 << 10;

/// A command to run on the host.
#[derive(Debug, Clone, Default)]
pub struct Command {
    /// Program (absolute path) and arguments.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// How long it may run.
    pub timeout: Duration,
    /// What it reads from its standard input; at most 64 KiB.
    pub stdin: Vec<u8>,
    /// Most bytes kept of its standard output and of its standard error, each; the rest is read and dropped.
    pub max_output: usize,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub status: Exit,
    /// What it wrote to standard output, cut at `max_output`.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, cut at `max_output`.
    pub stderr: Vec<u8>,
}

pub(super) async fn run(launcher: &Launcher, command: Command) -> Result<Ran, SandboxError> {
    let Command { argv, env, timeout, stdin, max_output } = command;
    if stdin.len() > MAX_INPUT || !argv.first().is_some_and(|program| program.starts_with('/')) {
        return Err(SandboxError::Invalid(
            "a command needs an absolute path and at most 64 KiB of input".to_owned(),
        ));
    }
    let (connection, far_connection) = channel::pair()?;
    let (far_stdin, mut input) = io::pipe()?;
    let (stdout, far_stdout) = io::pipe()?;
    let (stderr, far_stderr) = io::pipe()?;
    input.write_all(&stdin)?;
    drop(input);
    let fds = [far_connection.as_fd(), far_stdin.as_fd(), far_stdout.as_fd(), far_stderr.as_fd()];
    launcher.send(&Request::Command { argv, env }, &fds).await?;
    drop((far_connection, far_stdin, far_stdout, far_stderr));

    // Dropping the line when time is up kills the command.
    let line = Line::new(connection)?;
    let ran = async {
        let (stdout, stderr, status) =
            tokio::join!(read(stdout.into(), max_output), read(stderr.into(), max_output), end(&line));
        Ok(Ran { status: status?, stdout: stdout?, stderr: stderr? })
    };
    let after_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    tokio::time::timeout(timeout, ran).await.unwrap_or(Err(SandboxError::TimedOut { after_ms }))
}

/// Reads to the end, keeping the first `most` bytes.
async fn read(pipe: OwnedFd, most: usize) -> io::Result<Vec<u8>> {
    let mut pipe = pipe::Receiver::from_owned_fd(pipe)?;
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 8 << 10]);
    loop {
        match pipe.read(&mut buffer).await? {
            0 => return Ok(kept),
            length => kept.extend_from_slice(&buffer[..length.min(most - kept.len())]),
        }
    }
}

async fn end(line: &Line) -> Result<Exit, SandboxError> {
    let message = line.receive().await?.ok_or(SandboxError::LauncherGone)?;
    match decode(&message.bytes)? {
        Report::Ended { exit, .. } => Ok(exit),
        Report::Failed(failure) => Err(failure.into()),
        report => Err(io::Error::other(format!("unexpected report {report:?}")).into()),
    }
}
