//! The launcher process: one thread, one loop. It makes what it is asked to, sees to its end whatever it made, and
//! ends with the server.

mod command;
mod findings;
mod maker;
mod member;
mod survey;

use crate::channel;
use crate::kernel;
use crate::protocol::{CONTROL, Hello, Report, Request, SandboxRequest, decode, encode};
use crate::step::Failure;
use maker::{Ends, Maker};
use member::{Burial, Inmate, Member, Work, tell};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// Signals that do not end the launcher: the server decides when to end, and a terminal or a service manager tells it.
pub(crate) const IGNORED_SIGNALS: [i32; 5] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE];

/// How often memory is looked at where the kernel does not bound it.
const MEMORY_WATCH_MS: i64 = 100;

/// How soon a busy control group is tried again, and how often.
const BURIAL_RETRY_MS: i64 = 2;
const BURIAL_TRIES: u32 = 500;

/// Token of the control socket; those of members are `key * SOURCES + source`.
const CONTROL_TOKEN: u64 = u64::MAX;
const SOURCES: u64 = 3;

/// What an event is about.
#[derive(Clone, Copy)]
enum Source {
    Connection = 0,
    End = 1,
    OutOfMemory = 2,
}

/// The life of the launcher process.
pub(crate) fn serve() -> io::Result<()> {
    // SAFETY: the server passes the control socket as this descriptor; nothing else in this process knows it.
    let control = unsafe { OwnedFd::from_raw_fd(CONTROL) };
    rustix::io::fcntl_setfd(&control, rustix::io::FdFlags::CLOEXEC)?;
    kernel::reset_signals()?;
    IGNORED_SIGNALS.into_iter().for_each(kernel::ignore_signal);
    let (maker, protections) = survey::survey();
    let hello = encode(&Hello { protections: protections.clone() })?;
    channel::send(&control, &hello, &[])?;
    let mut service = Service::new(control, maker)?;
    let served = service.run();
    service.close();
    served
}

struct Service {
    control: OwnedFd,
    epoll: OwnedFd,
    maker: Option<Maker>,
    members: HashMap<u64, Member>,
    next: u64,
    /// Ended, but for a busy control group.
    burials: Vec<(Burial, Report, u32)>,
}

impl Service {
    fn new(control: OwnedFd, maker: Option<Maker>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &control, epoll::EventData::new_u64(CONTROL_TOKEN), epoll::EventFlags::IN)?;
        Ok(Self { control, epoll, maker, members: HashMap::new(), next: 0, burials: Vec::new() })
    }

    /// Serves until the server is gone.
    fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(64);
        let mut preparing = true;
        loop {
            let wait_ms = if preparing { Some(0) } else { self.patience_ms() };
            if !self.wait(&mut events, wait_ms)? && preparing {
                preparing = self.maker.as_mut().is_some_and(|maker| maker.prepare().unwrap_or(false));
            }
            for event in events.drain(..) {
                if event.data.u64() != CONTROL_TOKEN {
                    self.notice(event.data.u64());
                } else if !self.accept()? {
                    return Ok(());
                } else {
                    preparing = true;
                }
            }
            self.retry_burials();
            if wait_ms == Some(MEMORY_WATCH_MS) {
                self.watch_memory();
            }
        }
    }

    /// How long to wait for events; for ever when nothing is due.
    fn patience_ms(&self) -> Option<i64> {
        if !self.burials.is_empty() {
            return Some(BURIAL_RETRY_MS);
        }
        let watching =
            self.maker.as_ref().is_some_and(|maker| !maker.bounds_memory()) && !self.members.is_empty();
        watching.then_some(MEMORY_WATCH_MS)
    }

    fn wait(&self, events: &mut Vec<epoll::Event>, wait_ms: Option<i64>) -> io::Result<bool> {
        let timeout = wait_ms.map(|ms| Timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 });
        match epoll::wait(&self.epoll, spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(!events.is_empty()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes one request; `false` when the server is gone.
    fn accept(&mut self) -> io::Result<bool> {
        let (message, cut) = match channel::receive_even_cut(&self.control, false) {
            Ok(Some(received)) => received,
            Ok(None) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        let mut fds = message.fds.into_iter();
        let Some(connection) = fds.next() else { return Ok(true) };
        let work = match decode(&message.bytes) {
            // Most likely there are no more descriptors to be had.
            _ if cut => Err(Report::Failed(Failure::new("request", &rustix::io::Errno::MFILE.into()))),
            Ok(request) => self.begin(request, connection.as_fd(), fds),
            Err(error) => Err(Report::Failed(Failure::new("request", &error))),
        };
        match work {
            Ok(work) => self.admit(Member::new(connection, work)),
            Err(report) => tell(connection.as_fd(), &report, &[]),
        }
        Ok(true)
    }

    fn begin(
        &mut self,
        request: Request,
        connection: BorrowedFd<'_>,
        mut fds: impl Iterator<Item = OwnedFd>,
    ) -> Result<Work, Report> {
        let failed = |step, error: &io::Error| Report::Failed(Failure::new(step, error));
        let mut fd = || fds.next().ok_or_else(|| failed("request", &io::ErrorKind::InvalidInput.into()));
        match request {
            Request::Sandbox(request) => {
                let (boot, stdout, stderr) = (fd()?, fd()?, fd()?);
                let control = if request.control { Some(fd()?) } else { None };
                self.sandbox(&request, &Ends { boot, stdout, stderr, control }, connection)
                    .map_err(Report::Failed)
            }
            Request::Command { argv, env } => {
                let stdio = [fd()?, fd()?, fd()?];
                command::start(&argv, &env, connection, [&stdio[0], &stdio[1], &stdio[2]])
                    .map(|(pid, pidfd)| Work::Command { pid, pidfd })
                    .map_err(|error| failed("clone", &error))
            }
            Request::Unpack { dest, limits } => crate::Unpacking::start(&fd()?.into(), &dest, &limits)
                .map(Work::Unpack)
                .map_err(|error| Report::Unpacked(Err(error))),
        }
    }

    fn sandbox(
        &mut self,
        request: &SandboxRequest,
        ends: &Ends,
        connection: BorrowedFd<'_>,
    ) -> Result<Work, Failure> {
        let unsupported = || Failure::new("survey", &io::ErrorKind::Unsupported.into());
        let maker = self.maker.as_mut().ok_or_else(unsupported)?;
        let made = maker.make(request, ends)?;
        let (meters, fds): (Vec<_>, Vec<_>) =
            made.gauge.meters().iter().map(|(meter, fd)| (*meter, fd.as_fd())).unzip();
        let fds: Vec<_> = fds.into_iter().chain(made.listeners.iter().map(AsFd::as_fd)).collect();
        tell(connection, &Report::Made { meters, pid: made.pid }, &fds);
        let watched = (!maker.bounds_memory() && request.layers.cgroup).then_some(request.memory_bytes);
        Ok(Work::Sandbox(Box::new(Inmate::new(made, watched))))
    }

    fn admit(&mut self, member: Member) {
        let key = self.next;
        self.next += 1;
        let watched = self.watch(key, &member);
        if watched.is_err() {
            member.kill();
        }
        self.members.insert(key, member);
        if watched.is_err() {
            self.bury(key);
        }
    }

    fn watch(&self, key: u64, member: &Member) -> io::Result<()> {
        let sources = [
            (Source::Connection, member.connection()),
            (Source::End, Some(member.end())),
            (Source::OutOfMemory, member.oom_event()),
        ];
        for (source, fd) in sources {
            let Some(fd) = fd else { continue };
            let token = epoll::EventData::new_u64(key * SOURCES + source as u64);
            epoll::add(&self.epoll, fd, token, epoll::EventFlags::IN)?;
        }
        Ok(())
    }

    fn notice(&mut self, token: u64) {
        let (key, source) = (token / SOURCES, token % SOURCES);
        let Some(member) = self.members.get_mut(&key) else { return };
        if source == Source::End as u64 {
            self.bury(key);
        } else if source == Source::OutOfMemory as u64 {
            let event = member.oom_event().and_then(|event| event.try_clone_to_owned().ok());
            if let Some(event) = event {
                let _ = rustix::io::read(event, &mut [0; 8]);
            }
            if let Work::Sandbox(inmate) = &mut member.work {
                inmate.kill_for_memory();
            }
        } else if member.heard() {
            match &member.work {
                // Nobody wants it any more; dropping it ends it.
                Work::Unpack(_) => drop(self.dismiss(key)),
                _ => {
                    if let Some(connection) = member.hang_up() {
                        let _ = epoll::delete(&self.epoll, &connection);
                    }
                }
            }
        }
    }

    /// Takes a member off the list and hears no more of it.
    fn dismiss(&mut self, key: u64) -> Option<Member> {
        let member = self.members.remove(&key)?;
        // Copies of these descriptors in children would keep them registered.
        for fd in [Some(member.end()), member.connection(), member.oom_event()].into_iter().flatten() {
            let _ = epoll::delete(&self.epoll, fd);
        }
        Some(member)
    }

    fn bury(&mut self, key: u64) {
        let Some(member) = self.dismiss(key) else { return };
        let (burial, report) = member.bury();
        self.burials.push((burial, report, 0));
    }

    fn retry_burials(&mut self) {
        let maker = &mut self.maker;
        self.burials.retain_mut(|(burial, report, tries)| {
            *tries += 1;
            let clean = match (&burial.place, maker.as_mut()) {
                (Some(place), Some(maker)) => maker.give_back(place),
                _ => true,
            };
            if !clean && *tries < BURIAL_TRIES {
                return true;
            }
            burial.report(report);
            false
        });
    }

    fn watch_memory(&mut self) {
        for member in self.members.values_mut() {
            if let Work::Sandbox(inmate) = &mut member.work {
                inmate.check_memory();
            }
        }
    }

    /// Ends everything, waiting for it.
    fn close(&mut self) {
        self.members.retain(|_, member| !matches!(member.work, Work::Unpack(_)));
        let keys: Vec<u64> = self.members.keys().copied().collect();
        for member in self.members.values() {
            member.kill();
        }
        for key in keys {
            self.bury(key);
        }
        let mut events = Vec::with_capacity(64);
        while !self.burials.is_empty() {
            self.retry_burials();
            if self.wait(&mut events, Some(BURIAL_RETRY_MS)).is_err() {
                break;
            }
            events.clear();
        }
        if let Some(maker) = &mut self.maker {
            maker.close();
        }
    }
}
