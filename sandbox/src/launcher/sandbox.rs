//! A living sandbox, as the server holds it.

use super::line::Line;
use crate::channel::{self, Message};
use crate::gauge::{Gauge, Meter};
use crate::protocol::{Furniture, Order, Report, decode, encode};
use crate::{Exit, SandboxError};
use model::Usage;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, OnceLock, PoisonError};

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
    line: Line,
    gauge: Gauge,
    end: OnceLock<End>,
    drift: OnceLock<String>,
    /// What the launcher has said besides, until somebody asks.
    answers: Mutex<VecDeque<Report>>,
    /// Wakes those who wait for the end.
    told: tokio::sync::Notify,
    /// Held for as long as receiving without waiting takes.
    hearing: Mutex<()>,
}

#[derive(Debug, Clone, Copy)]
struct End {
    exit: Exit,
    oom_killed: bool,
    usage: Usage,
}

/// The server's ends of a sandbox's streams.
pub(super) struct Pipes {
    control: Option<UnixStream>,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Pipes {
    /// And the sandbox's ends: standard output, standard error, control.
    pub(super) fn make(control: bool) -> io::Result<(Self, Vec<OwnedFd>)> {
        let (stdout, far_stdout) = io::pipe()?;
        let (stderr, far_stderr) = io::pipe()?;
        let mut far: Vec<OwnedFd> = vec![far_stdout.into(), far_stderr.into()];
        let control = if control {
            let (near, far_control) = UnixStream::pair()?;
            far.push(far_control.into());
            Some(near)
        } else {
            None
        };
        Ok((Self { control, stdout: stdout.into(), stderr: stderr.into() }, far))
    }
}

impl Pipes {
    /// Writes what the program shall find. Nobody reads yet: what does not fit fails.
    pub(super) fn greet(&self, greeting: &[u8]) -> io::Result<()> {
        let Some(mut control) = self.control.as_ref().filter(|_| !greeting.is_empty()) else { return Ok(()) };
        control.set_nonblocking(true)?;
        control.write_all(greeting)?;
        control.set_nonblocking(false)
    }
}

impl Sandbox {
    pub(super) fn new(
        id: String,
        line: Line,
        pipes: Pipes,
        (meters, pid): (Vec<Meter>, i32),
        mut fds: Vec<OwnedFd>,
    ) -> Result<Self, SandboxError> {
        if fds.len() < meters.len() {
            return Err(io::Error::other("descriptors are missing").into());
        }
        let listeners = fds.split_off(meters.len()).into_iter().map(TcpListener::from).collect();
        let counts = meters.iter().any(|meter| matches!(meter, Meter::CpuTotalNs | Meter::CpuStat));
        let gauge = Gauge::new(meters.into_iter().zip(fds).collect(), (!counts).then_some(pid));
        let Pipes { control, stdout, stderr } = pipes;
        let (end, drift, told) = (OnceLock::new(), OnceLock::new(), tokio::sync::Notify::new());
        let (hearing, answers) = (Mutex::default(), Mutex::default());
        Ok(Self { control, stdout, stderr, listeners, id, line, gauge, end, drift, answers, told, hearing })
    }

    /// The spec's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What all its processes have used until now; after the end, what they used in all. A few microseconds.
    pub fn usage(&self) -> Usage {
        let end = self.end.get().map(|end| end.usage);
        // After the end its process number may be somebody else's.
        let now = if end.is_some() { self.gauge.last() } else { self.gauge.read() };
        let end = end.unwrap_or_default();
        Usage {
            user_us: now.user_us.max(end.user_us),
            system_us: now.system_us.max(end.system_us),
            peak_bytes: now.peak_bytes.max(end.peak_bytes),
        }
    }

    /// Whether the memory limit ended it, or a process in it.
    pub fn oom_killed(&self) -> bool {
        self.end.get().map_or_else(|| self.gauge.oom_killed(), |end| end.oom_killed)
    }

    /// What of its limits was not as it had been set, where it was ended for that ([`crate::Launcher::read_back`]).
    pub fn drift(&self) -> Option<&str> {
        self.drift.get().map(String::as_str)
    }

    /// Whether it is known to have ended.
    pub fn has_ended(&self) -> bool {
        let _ = self.listen(self.line.socket());
        self.end.get().is_some()
    }

    /// Waits until the program has ended and everything else inside is gone too. Any number of callers may wait.
    pub async fn exited(&self) -> Exit {
        loop {
            // No lock is held while waiting: a waiter that nobody polls any more must not stop the others.
            let told = self.told.notified();
            if let Some(end) = self.end.get() {
                return end.exit;
            }
            tokio::select! {
                _ = self.line.take(|socket| self.listen(socket)) => {}
                () = told => {}
            }
        }
    }

    /// Makes a sandbox that waits for its work ready for it: its files, its limits.
    ///
    /// # Errors
    /// [`SandboxError::Setup`] names the step. The sandbox is of no use then.
    pub(super) async fn furnish(&self, furniture: Furniture) -> Result<(), SandboxError> {
        self.order(&Order::Furnish(furniture))?;
        match self.answer().await {
            Some(Report::Furnished) => Ok(()),
            Some(Report::Failed(failure)) => Err(failure.into()),
            _ => Err(SandboxError::LauncherGone),
        }
    }

    /// What the launcher says next; `None` when it says no more.
    pub(super) async fn answer(&self) -> Option<Report> {
        loop {
            let told = self.told.notified();
            if let Some(report) = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                return Some(report);
            }
            if self.end.get().is_some() {
                return None;
            }
            tokio::select! {
                _ = self.line.take(|socket| self.listen(socket)) => {}
                () = told => {}
            }
        }
    }

    /// Lets nothing in it use the processor, or lets it again. What is sent to it meanwhile waits.
    pub fn freeze(&self, still: bool) {
        let _ = self.order(&Order::Freeze(still));
    }

    fn order(&self, order: &Order) -> io::Result<()> {
        self.line.send(&encode(order)?)
    }

    /// Takes a report off the line. In one go with noting it: who hears next that the line has ended must find the
    /// end noted.
    fn listen(&self, socket: &OwnedFd) -> io::Result<()> {
        let _one_at_a_time = self.hearing.lock().unwrap_or_else(PoisonError::into_inner);
        match channel::receive(socket, false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            report => self.note(report.ok().flatten().as_ref()),
        }
        Ok(())
    }

    fn note(&self, report: Option<&Message>) {
        let end = match report.map(|message| decode(&message.bytes)) {
            Some(Ok(Report::Ended { exit, oom_killed, usage })) => End { exit, oom_killed, usage },
            // Its end follows.
            Some(Ok(Report::Drifted { why })) => return drop(self.drift.set(why)),
            Some(Ok(report)) => {
                self.answers.lock().unwrap_or_else(PoisonError::into_inner).push_back(report);
                return self.told.notify_waiters();
            }
            Some(Err(_)) => return,
            // The launcher is gone, and every sandbox dies with it.
            None => {
                let exit = Exit::Signal(libc::SIGKILL);
                End { exit, oom_killed: self.gauge.oom_killed(), usage: self.gauge.read() }
            }
        };
        let _ = self.end.set(end);
        self.told.notify_waiters();
    }

    /// Kills everything inside; returns when all are gone and nothing is left on the host. Idempotent.
    pub async fn kill(&self) {
        let _ = self.order(&Order::Kill);
        self.exited().await;
    }
}
