//! One thing that the launcher has started and must see to its end.

use super::Source;
use super::lodging::{Lodger, Quarters};
use super::maker::{Made, Maker, Place};
use super::template::Template;
use super::tenant::Tenant;
use crate::channel;
use crate::gauge::Gauge;
use crate::processes;
use crate::protocol::{Order, Report, decode, encode};
use crate::step::Failure;
use crate::{Exit, Unpacking};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How long to wait for a control group to become empty, in milliseconds.
const BURIAL_MS: u64 = 1_000;

/// How often processes that were born meanwhile are looked for. The limit of processes bounds them.
const FREEZE_ROUNDS: usize = 16;

/// A request in progress.
pub(super) struct Member {
    pub(super) connection: Option<OwnedFd>,
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
    pub(super) role: Role,
    /// Whether its files and limits are still to come, once its program runs.
    pub(super) waits: bool,
    /// What it is entered by, once it is built.
    pub(super) quarters: Quarters,
    /// Why its program never lived; the first reason counts.
    failure: Option<Failure>,
    /// The process whose memory is looked at, with all below it.
    root: i32,
}

/// What lives in a sandbox.
pub(super) enum Role {
    /// Nothing yet. `owner` is the template whose child will, where it is one; `lodger` who waits until it is built.
    Vacant { owner: Option<u64>, lodger: Option<Box<Lodger>> },
    /// A program that its first process started.
    Program,
    /// A program that is forked into others.
    Template(Box<Template>),
    /// A template's child.
    Tenant(Box<Tenant>),
}

impl Inmate {
    pub(super) fn new(made: Made, memory_bytes: Option<u64>, role: Role) -> Self {
        let Made { pid, pidfd, line, place, gauge, network } = made;
        let (quarters, failure, root) = (Quarters::new(network), None, pid);
        Self {
            pid,
            pidfd,
            line,
            gauge,
            place,
            memory_bytes,
            out_of_memory: false,
            role,
            waits: false,
            quarters,
            failure,
            root,
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Where its first process speaks.
    pub(super) fn line(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }

    /// What runs in it besides its first process.
    pub(super) fn programs(&self) -> Vec<Pid> {
        match &self.role {
            Role::Tenant(tenant) => tenant.pid().into_iter().collect(),
            _ => processes::tree(self.pid).into_iter().skip(1).filter_map(Pid::from_raw).collect(),
        }
    }

    /// What it uses is to be read at this process, where there is no control group.
    pub(super) fn follow(&mut self, process: i32) {
        self.root = process;
        self.gauge.follow(process);
    }

    /// The limit of its memory, where the launcher looks at it.
    pub(super) fn limit(&self) -> Option<u64> {
        self.memory_bytes
    }

    /// Its memory has another limit, where the launcher looks at it.
    pub(super) fn watch_memory(&mut self, bytes: u64) {
        self.memory_bytes = self.memory_bytes.map(|_| bytes);
    }

    /// Tells the server that it exists.
    pub(super) fn say_made(&self, listeners: &[OwnedFd], pid: i32, connection: Option<&OwnedFd>) {
        let (meters, fds): (Vec<_>, Vec<_>) =
            self.gauge.meters().iter().map(|(meter, fd)| (*meter, fd.as_fd())).unzip();
        let fds: Vec<_> = fds.into_iter().chain(listeners.iter().map(AsFd::as_fd)).collect();
        if let Some(connection) = connection {
            tell(connection.as_fd(), &Report::Made { meters, pid }, &fds);
        }
    }

    /// Notes why its program never lived.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    fn kill(&self) {
        self.place.group.kill();
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Stops its processes, or lets them go on. Version 1 control groups have a freezer that keeps frozen processes from
    /// being killed, so signals stand in for it there as they do without control groups.
    fn freeze(&self, still: bool) {
        if self.place.group.freeze(still) {
            return;
        }
        let signal = if still { Signal::STOP } else { Signal::CONT };
        let first = Some(self.pid).filter(|_| !self.place.group.is_bare());
        let mut told: Vec<i32> = first.into_iter().collect();
        for _ in 0..FREEZE_ROUNDS {
            let all = [self.pid, self.root].into_iter().flat_map(crate::processes::tree);
            let new: Vec<i32> = all.filter(|process| !told.contains(process)).collect();
            if new.is_empty() {
                return;
            }
            for process in new.iter().copied().filter_map(Pid::from_raw) {
                let _ = rustix::process::kill_process(process, signal);
            }
            told.extend(new);
        }
    }

    /// Ends it, waiting until nothing of it is left.
    pub(super) fn bury(mut self, maker: &mut Maker) {
        self.kill();
        let _ = self.ended();
        for _ in 0..BURIAL_MS {
            if maker.give_back(&self.place) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
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
        if processes::below(self.root).anonymous_bytes > limit && processes::shared_bytes(self.root) > limit {
            self.kill_for_memory();
        }
    }

    fn ended(&mut self) -> Report {
        let usage = self.gauge.read();
        let status = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
        if let Some(failure) = self.failure.take() {
            return Report::Failed(failure);
        }
        let exit = match &self.role {
            // Without a first process that speaks for it, its own end counts.
            Role::Program if self.place.group.is_bare() => exit(status.ok().flatten().as_ref()),
            Role::Program => {
                let said = channel::receive(&self.line, false).ok().flatten();
                said.and_then(|message| decode(&message.bytes).ok()).unwrap_or(Exit::Signal(libc::SIGKILL))
            }
            Role::Vacant { .. } | Role::Template(_) => Exit::Signal(libc::SIGKILL),
            Role::Tenant(tenant) => tenant.exit(),
        };
        let oom_killed = self.out_of_memory || self.gauge.oom_killed();
        Report::Ended { exit, oom_killed, usage }
    }
}

impl Member {
    pub(super) fn new(connection: OwnedFd, work: Work) -> Self {
        Self { connection: Some(connection), work }
    }

    /// Nobody has asked for it yet.
    pub(super) fn unclaimed(work: Work) -> Self {
        Self { connection: None, work }
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

    /// What the server orders; `None` when it is gone, or orders what nobody understands. `Some(None)`: nothing.
    #[allow(clippy::option_option, reason = "nothing was said, or nobody is there")]
    pub(super) fn heard(&mut self) -> Option<Option<Order>> {
        match self.connection().map(|connection| channel::receive(connection, false)) {
            Some(Err(error)) if error.kind() == std::io::ErrorKind::WouldBlock => Some(None),
            Some(Ok(Some(message))) => decode(&message.bytes).ok().map(Some),
            _ => None,
        }
    }

    /// Where else it may say something, and what about.
    pub(super) fn voices(&self) -> Vec<(Source, BorrowedFd<'_>)> {
        let Work::Sandbox(inmate) = &self.work else { return Vec::new() };
        match &inmate.role {
            Role::Program => Vec::new(),
            Role::Vacant { .. } => vec![(Source::Line, inmate.line())],
            Role::Template(template) => vec![(Source::Line, template.channel())],
            Role::Tenant(tenant) => vec![(Source::Entry, tenant.entry())],
        }
    }

    /// Processes of it that are children of the launcher, and whose end somebody waits for.
    pub(super) fn processes(&self) -> Vec<i32> {
        match &self.work {
            Work::Sandbox(inmate) => {
                let tenant = match &inmate.role {
                    Role::Tenant(tenant) => tenant.pid().map(|pid| pid.as_raw_nonzero().get()),
                    _ => None,
                };
                std::iter::once(inmate.pid).chain(tenant).collect()
            }
            Work::Command { pid, .. } => vec![pid.as_raw_nonzero().get()],
            Work::Unpack(unpacking) => vec![unpacking.pid()],
        }
    }

    /// Whether it is forked into others.
    pub(super) fn is_template(&self) -> bool {
        matches!(&self.work, Work::Sandbox(inmate) if matches!(inmate.role, Role::Template(_)))
    }

    /// Whether it is ending before its program was known.
    pub(super) fn is_failing(&self) -> bool {
        match &self.work {
            Work::Sandbox(inmate) => inmate.failure.is_some() && matches!(inmate.role, Role::Tenant(_)),
            _ => false,
        }
    }

    /// Nobody listens any more.
    pub(super) fn hang_up(&mut self) -> Option<OwnedFd> {
        self.connection.take()
    }

    /// Stops everything in it, or lets it go on.
    pub(super) fn freeze(&self, still: bool) {
        if let Work::Sandbox(inmate) = &self.work {
            inmate.freeze(still);
        }
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
                let exit = exit(status.ok().flatten().as_ref());
                let report = Report::Ended { exit, oom_killed: false, usage: model::Usage::default() };
                (Burial { connection, place: None }, report)
            }
            Work::Unpack(unpacking) => {
                (Burial { connection, place: None }, Report::Unpacked(unpacking.finish()))
            }
        }
    }
}

/// How a process has ended, as the kernel tells.
fn exit(status: Option<&WaitIdStatus>) -> Exit {
    match status.and_then(WaitIdStatus::exit_status) {
        Some(code) => Exit::Code(code),
        None => Exit::Signal(status.and_then(WaitIdStatus::terminating_signal).unwrap_or(libc::SIGKILL)),
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
