//! One thing that the launcher has started and must see to its end.

use super::maker::{Made, Place};
use crate::channel;
use crate::gauge::Gauge;
use crate::protocol::{Report, decode, encode};
use crate::{Exit, Unpacking};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A request in progress.
pub(super) struct Member {
    connection: Option<OwnedFd>,
    pub(super) work: Work,
}

/// What is in progress.
pub(super) enum Work {
    Sandbox(Box<Inmate>),
    Command { pid: Pid, pidfd: OwnedFd },
    Unpack(Unpacking),
}

/// A sandbox as the launcher knows it.
pub(super) struct Inmate {
    pid: i32,
    pidfd: OwnedFd,
    line: OwnedFd,
    gauge: Gauge,
    pub(super) place: Place,
    /// Bytes, where the launcher and not the kernel bounds memory.
    memory_bytes: Option<u64>,
    out_of_memory: bool,
}

impl Inmate {
    pub(super) fn new(made: Made, memory_bytes: Option<u64>) -> Self {
        let Made { pid, pidfd, line, place, gauge, listeners: _ } = made;
        Self { pid, pidfd, line, gauge, place, memory_bytes, out_of_memory: false }
    }

    fn kill(&self) {
        self.place.group.kill();
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Ends it for memory.
    pub(super) fn kill_for_memory(&mut self) {
        self.out_of_memory = true;
        self.kill();
    }

    /// Looks at its memory where the kernel does not.
    pub(super) fn check_memory(&mut self) {
        let Some(limit) = self.memory_bytes else { return };
        let _ = self.gauge.read();
        if crate::processes::below(self.pid).anonymous_bytes > limit {
            self.kill_for_memory();
        }
    }

    fn ended(&mut self) -> Report {
        let usage = self.gauge.read();
        let _ = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
        let said = channel::receive(&self.line, false).ok().flatten();
        let exit =
            said.and_then(|message| decode(&message.bytes).ok()).unwrap_or(Exit::Signal(libc::SIGKILL));
        let oom_killed = self.out_of_memory || self.gauge.oom_killed();
        Report::Ended { exit, oom_killed, usage }
    }
}

impl Member {
    pub(super) fn new(connection: OwnedFd, work: Work) -> Self {
        Self { connection: Some(connection), work }
    }

    pub(super) fn connection(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(AsFd::as_fd)
    }

    /// Becomes readable when the work has ended.
    pub(super) fn end(&self) -> BorrowedFd<'_> {
        match &self.work {
            Work::Sandbox(inmate) => inmate.pidfd.as_fd(),
            Work::Command { pidfd, .. } => pidfd.as_fd(),
            Work::Unpack(unpacking) => unpacking.done(),
        }
    }

    /// Becomes readable when the kernel has killed a process for memory.
    pub(super) fn oom_event(&self) -> Option<BorrowedFd<'_>> {
        match &self.work {
            Work::Sandbox(inmate) => inmate.place.group.oom_event(),
            _ => None,
        }
    }

    /// The server asks to kill, or is gone. Returns whether the connection is of no more use.
    pub(super) fn heard(&mut self) -> bool {
        let gone = match self.connection().map(|connection| channel::receive(connection, false)) {
            Some(Err(error)) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
            Some(Ok(Some(_))) => false,
            _ => true,
        };
        self.kill();
        gone
    }

    /// Nobody listens any more.
    pub(super) fn hang_up(&mut self) -> Option<OwnedFd> {
        self.connection.take()
    }

    /// Kills it; its end is still to come.
    pub(super) fn kill(&self) {
        match &self.work {
            Work::Sandbox(inmate) => inmate.kill(),
            Work::Command { pid, pidfd } => {
                let _ = rustix::process::kill_process_group(*pid, Signal::KILL);
                let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
            }
            // Dropping it ends it.
            Work::Unpack(_) => {}
        }
    }

    /// Buries it: what there is to report of its end.
    pub(super) fn bury(self) -> (Burial, Report) {
        let connection = self.connection;
        match self.work {
            Work::Sandbox(mut inmate) => {
                let report = inmate.ended();
                (Burial { connection, place: Some(inmate.place) }, report)
            }
            Work::Command { pid, pidfd } => {
                let status = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                let status = status.ok().flatten();
                let exit = match status.as_ref().and_then(|status| status.exit_status()) {
                    Some(code) => Exit::Code(code),
                    None => Exit::Signal(
                        status.and_then(|status| status.terminating_signal()).unwrap_or(libc::SIGKILL),
                    ),
                };
                let report = Report::Ended { exit, oom_killed: false, usage: model::Usage::default() };
                (Burial { connection, place: None }, report)
            }
            Work::Unpack(unpacking) => {
                (Burial { connection, place: None }, Report::Unpacked(unpacking.finish()))
            }
        }
    }
}

/// What is left to do for a member that has ended.
pub(super) struct Burial {
    connection: Option<OwnedFd>,
    pub(super) place: Option<Place>,
}

impl Burial {
    /// The last word on it.
    pub(super) fn report(&self, report: &Report) {
        if let Some(connection) = &self.connection {
            tell(connection.as_fd(), report, &[]);
        }
    }
}

/// Reports to the server; that it does not listen any more will be noticed elsewhere.
pub(super) fn tell(connection: BorrowedFd<'_>, report: &Report, fds: &[BorrowedFd<'_>]) {
    if let Ok(bytes) = encode(report) {
        let _ = channel::send(connection, &bytes, fds);
    }
}
