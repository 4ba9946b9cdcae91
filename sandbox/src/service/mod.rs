//! The launcher process: one thread, one loop. It makes what it is asked to, sees to its end whatever it made, and
//! ends with the server.

mod bare;
mod calm;
mod command;
mod counters;
mod drift;
mod findings;
mod furnish;
mod lodging;
mod maker;
mod member;
mod survey;
mod template;
mod tenancy;
mod tenant;

use crate::channel;
use crate::kernel;
use crate::processes;
use crate::protocol::{CONTROL, Hello, Order, Report, Request, decode, encode};
use crate::step::Failure;
use calm::Calm;
use lodging::{Housing, Lodger};
use maker::{Ends, Maker};
use member::{Burial, Member, Role, Work, tell};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

/// Signals that do not end the launcher: the server decides when to end, and a terminal or a service manager tells it.
pub(crate) const IGNORED_SIGNALS: [i32; 5] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE];

/// How often memory is looked at where the kernel does not bound it.
const MEMORY_WATCH_MS: i64 = 100;

/// How soon a busy control group is tried again, and how often.
const BURIAL_RETRY_MS: i64 = 2;
const BURIAL_TRIES: u32 = 500;

/// Tokens of the control socket and of the time to make things ahead; those of members are `key * SOURCES + source`.
const CONTROL_TOKEN: u64 = u64::MAX;
const CALM_TOKEN: u64 = u64::MAX - 1;
const SOURCES: u64 = 6;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Connection = 0,
    End = 1,
    OutOfMemory = 2,
    /// What a template or an empty sandbox says.
    Line = 3,
    /// What a template's child says.
    Entry = 4,
    /// The end of a template's child.
    Program = 5,
}

/// This process's children.
fn children() -> Vec<i32> {
    let own = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn epoll_add(epoll: &OwnedFd, fd: BorrowedFd<'_>, key: u64, source: Source) -> io::Result<()> {
    Ok(epoll::add(epoll, fd, token(key, source), epoll::EventFlags::IN)?)
}

fn token(key: u64, source: Source) -> epoll::EventData {
    epoll::EventData::new_u64(key * SOURCES + source as u64)
}

fn unsupported() -> Failure {
    Failure::new("survey", &io::ErrorKind::Unsupported.into())
}

/// The life of the launcher process.
pub(crate) fn serve() -> io::Result<()> {
    // SAFETY: the server passes the control socket as this descriptor; nothing else in this process knows it.
    let control = unsafe { OwnedFd::from_raw_fd(CONTROL) };
    rustix::io::fcntl_setfd(&control, rustix::io::FdFlags::CLOEXEC)?;
    kernel::reset_signals()?;
    IGNORED_SIGNALS.into_iter().for_each(kernel::ignore_signal);
    // A template's children lose their parent at birth; the launcher takes its place.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let minimal = std::env::args_os().any(|argument| argument == crate::MINIMAL);
    let (maker, bare, protections) = if minimal { bare::survey() } else { survey::survey() };
    let hello = encode(&Hello { protections: protections.clone() })?;
    channel::send(&control, &hello, &[])?;
    let mut service = Service::new(control, maker)?;
    service.bare = bare;
    let served = service.run();
    service.close();
    served
}

struct Service {
    control: OwnedFd,
    epoll: OwnedFd,
    maker: Option<Maker>,
    /// Stands in for it where sandboxes shall have no namespaces.
    bare: Option<bare::BareMaker>,
    members: HashMap<u64, Member>,
    next: u64,
    /// Ended, but for a busy control group.
    burials: Vec<(Burial, Report, u32)>,
    /// Whether there may be dead children that no member knows of.
    strays: bool,
    calm: Calm,
    /// Empty sandboxes made ahead, built or not, that nobody has yet: for programs, and for the children of templates.
    vacancies: HashMap<Option<u64>, Vec<u64>>,
    /// What is made ahead, and for whom: as in `vacancies`.
    housings: BTreeMap<Option<u64>, Housing>,
}

/// What a request has begun.
enum Begun {
    New(Work),
    /// A program for a sandbox that is there.
    Lodged(u64),
}

impl Service {
    fn new(control: OwnedFd, maker: Option<Maker>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let calm = Calm::new()?;
        for (fd, token) in [(control.as_fd(), CONTROL_TOKEN), (calm.as_fd(), CALM_TOKEN)] {
            epoll::add(&epoll, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?;
        }
        calm.put_off();
        Ok(Self {
            control,
            epoll,
            maker,
            bare: None,
            members: HashMap::new(),
            next: 0,
            burials: Vec::new(),
            strays: false,
            calm,
            vacancies: HashMap::new(),
            housings: BTreeMap::from([(None, Housing::for_programs())]),
        })
    }

    /// Serves until the server is gone.
    fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(64);
        loop {
            self.wait(&mut events, self.patience_ms())?;
            for event in events.drain(..) {
                match event.data.u64() {
                    CONTROL_TOKEN => {
                        if !self.accept()? {
                            return Ok(());
                        }
                        self.calm.put_off();
                    }
                    CALM_TOKEN => {
                        if self.calm.has_come() && self.prepare() {
                            self.calm.go_on();
                        }
                    }
                    member => self.notice(member),
                }
            }
            self.retry_burials();
            if self.watches_memory() {
                self.watch_memory();
            }
        }
    }

    /// Makes one more thing ahead; `false` when there is enough.
    fn prepare(&mut self) -> bool {
        let Some(maker) = &mut self.maker else { return false };
        maker.prepare().unwrap_or(false) || self.build_ahead()
    }

    /// How long to wait for events; for ever when nothing is due.
    fn patience_ms(&self) -> Option<i64> {
        if self.strays || !self.burials.is_empty() {
            return Some(BURIAL_RETRY_MS);
        }
        self.watches_memory().then_some(MEMORY_WATCH_MS)
    }

    /// Whether the kernel leaves it to the launcher to bound memory.
    fn watches_memory(&self) -> bool {
        let unbounded =
            self.bare.is_some() || self.maker.as_ref().is_some_and(|maker| !maker.bounds_memory());
        unbounded && !self.members.is_empty()
    }

    fn wait(&self, events: &mut Vec<epoll::Event>, wait_ms: Option<i64>) -> io::Result<()> {
        let timeout = wait_ms.map(|ms| Timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 });
        match epoll::wait(&self.epoll, spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
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
            Ok(Begun::New(work)) => drop(self.admit(Member::new(connection, work))),
            Ok(Begun::Lodged(key)) => self.connect(key, connection),
            Err(report) => tell(connection.as_fd(), &report, &[]),
        }
        Ok(true)
    }

    fn begin(
        &mut self,
        request: Request,
        connection: BorrowedFd<'_>,
        mut fds: impl Iterator<Item = OwnedFd>,
    ) -> Result<Begun, Report> {
        let failed = |step, error: &io::Error| Report::Failed(Failure::new(step, error));
        let mut fd = || fds.next().ok_or_else(|| failed("request", &io::ErrorKind::InvalidInput.into()));
        match request {
            Request::Sandbox(request) => {
                let (boot, stdout, stderr) = (Some(fd()?), fd()?, fd()?);
                let control = if request.control { Some(fd()?) } else { None };
                let ends = Ends { boot, stdout, stderr, control };
                let lodger = Lodger { request, ends };
                match &mut self.bare {
                    Some(bare) => bare.lodge(&lodger, connection).map(Begun::New),
                    None => self.lodge(None, lodger),
                }
                .map_err(Report::Failed)
            }
            Request::Template { request, housing, ahead } => {
                let ends = Ends { boot: Some(fd()?), stdout: fd()?, stderr: fd()?, control: None };
                let housing = Housing { furniture: housing, ahead };
                let made = self.template(&request, housing, ends, connection);
                made.map(Begun::New).map_err(Report::Failed)
            }
            Request::Fork { template, request } => {
                let ends = Ends { boot: None, stdout: fd()?, stderr: fd()?, control: Some(fd()?) };
                self.lodge(Some(template), Lodger { request, ends }).map_err(Report::Failed)
            }
            Request::Command { argv, env } => {
                let stdio = [fd()?, fd()?, fd()?];
                command::start(&argv, &env, connection, [&stdio[0], &stdio[1], &stdio[2]])
                    .map(|(pid, pidfd)| Begun::New(Work::Command { pid, pidfd }))
                    .map_err(|error| failed("clone", &error))
            }
            Request::ReadBack { from } => Err(self.read_back(from)),
            Request::Root { image } => Err(self.rebase(&image)),
            Request::Unpack { dest, limits } => crate::Unpacking::start(&fd()?.into(), &dest, &limits)
                .map(|unpacking| Begun::New(Work::Unpack(unpacking)))
                .map_err(|error| Report::Unpacked(Err(error))),
        }
    }

    /// Later sandboxes are made of a root image.
    fn rebase(&mut self, image: &Path) -> Report {
        let Some(maker) = &mut self.maker else { return Report::Failed(unsupported()) };
        let rooted = survey::rebase(maker, image).map_or_else(Report::Failed, Report::Rooted);
        self.evict();
        rooted
    }

    /// Somebody has got a sandbox that was built ahead.
    fn connect(&mut self, key: u64, connection: OwnedFd) {
        let Some(member) = self.members.get_mut(&key) else { return };
        match epoll_add(&self.epoll, connection.as_fd(), key, Source::Connection) {
            Ok(()) => {
                member.connection = Some(connection);
                self.move_in(key);
            }
            Err(_) => member.kill(),
        }
    }

    fn admit(&mut self, member: Member) -> u64 {
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
        key
    }

    fn watch(&self, key: u64, member: &Member) -> io::Result<()> {
        let sources = [
            (Source::Connection, member.connection()),
            (Source::End, Some(member.end())),
            (Source::OutOfMemory, member.oom_event()),
        ];
        let sources = sources.into_iter().filter_map(|(source, fd)| Some((source, fd?)));
        for (source, fd) in sources.chain(member.voices()) {
            epoll_add(&self.epoll, fd, key, source)?;
        }
        Ok(())
    }

    /// Hears no more of one source of a member.
    fn forget(&self, key: u64, source: Source) {
        let Some(member) = self.members.get(&key) else { return };
        let program = match &member.work {
            Work::Sandbox(inmate) => match &inmate.role {
                Role::Tenant(tenant) => tenant.program().map(|fd| (Source::Program, fd)),
                _ => None,
            },
            _ => None,
        };
        for (_, fd) in member.voices().into_iter().chain(program).filter(|(voice, _)| *voice == source) {
            let _ = epoll::delete(&self.epoll, fd);
        }
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
        } else if source == Source::Line as u64 {
            if member.is_template() { self.hear_template(key) } else { self.hear_vacant(key) }
        } else if source == Source::Entry as u64 {
            self.hear_entry(key);
        } else if source == Source::Program as u64 {
            self.hear_program(key);
        } else {
            match member.heard() {
                Some(None) => {}
                Some(Some(Order::Kill)) => member.kill(),
                Some(Some(Order::Freeze(still))) => member.freeze(still),
                Some(Some(Order::Furnish(furniture))) => self.furnish(key, &furniture),
                None => self.abandon(key),
            }
        }
    }

    /// The server does not want a member any more.
    fn abandon(&mut self, key: u64) {
        let Some(member) = self.members.get_mut(&key) else { return };
        member.kill();
        match &member.work {
            // Dropping it ends it.
            Work::Unpack(_) => drop(self.dismiss(key)),
            _ => {
                if let Some(connection) = member.hang_up() {
                    let _ = epoll::delete(&self.epoll, &connection);
                }
            }
        }
    }

    /// Takes a member off the list and hears no more of it.
    fn dismiss(&mut self, key: u64) -> Option<Member> {
        let member = self.members.remove(&key)?;
        // Copies of these descriptors in children would keep them registered.
        let voices = member.voices().into_iter().map(|(_, fd)| Some(fd));
        let fds = [Some(member.end()), member.connection(), member.oom_event()].into_iter().chain(voices);
        for fd in fds.flatten() {
            let _ = epoll::delete(&self.epoll, fd);
        }
        Some(member)
    }

    fn bury(&mut self, key: u64) {
        self.forget(key, Source::Program);
        self.vacate(key);
        let Some(member) = self.dismiss(key) else { return };
        self.strays |= member.is_template() || self.bare.is_some();
        let (burial, report) = member.bury();
        self.burials.push((burial, report, 0));
    }

    fn retry_burials(&mut self) {
        if self.strays || !self.burials.is_empty() {
            self.bury_strays();
        }
        let maker = &mut self.maker;
        self.burials.retain_mut(|(burial, report, tries)| {
            *tries += 1;
            let clean = match (&burial.place, maker.as_mut()) {
                (Some(place), Some(maker)) => {
                    maker.give_back(place) || {
                        place.group.kill();
                        false
                    }
                }
                (Some(place), None) => place.group.remove().is_ok(),
                _ => true,
            };
            if !clean && *tries < BURIAL_TRIES {
                return true;
            }
            burial.report(report);
            false
        });
    }

    /// Buries children of the launcher that no member knows of: those of templates that ended too early to say who
    /// they are, for whom the end of their sandbox waits, and what a template's code has left behind, which it kills.
    fn bury_strays(&mut self) {
        let known: Vec<i32> = self.members.values().flat_map(Member::processes).collect();
        let strays: Vec<i32> = children().into_iter().filter(|child| !known.contains(child)).collect();
        for child in strays.iter().copied().filter_map(Pid::from_raw) {
            if !processes::is_nested(child) {
                let _ = rustix::process::kill_process(child, Signal::KILL);
            }
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            let _ = rustix::process::waitid(WaitId::Pid(child), options);
        }
        self.strays = !strays.is_empty() || self.members.values().any(Member::is_failing);
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
        let _ = epoll::delete(&self.epoll, &self.control);
        for member in self.members.values() {
            member.kill();
        }
        // In the order in which they end: a sandbox ends only when the programs in it are buried.
        let mut events = Vec::with_capacity(64);
        let mut rounds = 0..BURIAL_TRIES;
        while (!self.members.is_empty() || !self.burials.is_empty()) && rounds.next().is_some() {
            if self.wait(&mut events, Some(BURIAL_RETRY_MS)).is_err() {
                break;
            }
            for event in events.drain(..) {
                self.notice(event.data.u64());
            }
            self.retry_burials();
        }
        if let Some(maker) = &mut self.maker {
            maker.close();
        }
    }
}
