//! A sandbox's first process. It is a copy of the launcher in new namespaces: step by step it builds the sandbox around
//! itself. For a program it then forks the process that will become it, which says that the sandbox is built and waits
//! until it is known what for, which may be long after; the first process only waits for its end. When it ends itself,
//! the kernel kills whatever else is left inside.

mod bare;
mod landlock;
mod limits;
mod mounts;
mod people;
mod privileges;
mod program;
mod vacancy;

use crate::base::{GROUP_ID, HOST_NAME, USER_ID};
use crate::channel;
use crate::identity::Identity;
use crate::kernel;
use crate::protocol::{Arrival, Boot, CONTROL, SandboxRequest, decode, encode};
use crate::service::IGNORED_SIGNALS;
use crate::step::{Failure, Steps};
use rustix::process::{Gid, Signal, Uid};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

pub(crate) use bare::Bare;
pub(crate) use limits::{Ceiling, LARGEST_TMP_BYTES, largest_file, most_data};
pub(crate) use mounts::{ProcView, tmpfs_room};
pub(crate) use vacancy::{MOUNTS, NAMESPACES, NETWORK};

/// How the first process ends when the program never ran.
const NEVER_RAN: i32 = 70;

/// Everything the first process needs, prepared by the launcher before the fork.
pub(crate) struct Plan<'a> {
    pub(crate) request: &'a SandboxRequest,
    /// Files that put the writer into its control groups.
    pub(crate) tasks: &'a [OwnedFd],
    /// The root's mounts, and where in the launcher's namespace there is a place for them.
    pub(crate) root: Option<(&'a OwnedFd, &'static str)>,
    /// What of the root is readable, besides what the request binds.
    pub(crate) readable: &'a [PathBuf],
    /// In the order of the binds of `request`.
    pub(crate) binds: &'a [OwnedFd],
    pub(crate) birth: Birth,
    /// What a program finds as its standard input.
    pub(crate) null: BorrowedFd<'a>,
    /// Those of what starts as soon as its sandbox is built; other programs come with their own.
    pub(crate) streams: Option<Streams<'a>>,
    /// To the launcher: it says when to start, and what comes then; failures and the program's end are reported there.
    pub(crate) line: BorrowedFd<'a>,
    pub(crate) filter: &'a [libc::sock_filter],
    pub(crate) landlock_version: i32,
    pub(crate) proc_view: ProcView,
    /// A mount of `/proc` that leads to the counters of the namespace.
    pub(crate) counters: Option<BorrowedFd<'a>>,
    pub(crate) ceiling: Ceiling,
    /// Where things are instead, for [`Birth::Bare`].
    pub(crate) bare: Option<&'a Bare>,
}

/// What a program is started with.
#[derive(Clone, Copy)]
pub(crate) struct Streams<'a> {
    pub(crate) stdout: BorrowedFd<'a>,
    pub(crate) stderr: BorrowedFd<'a>,
    /// The program's descriptor 3.
    pub(crate) control: Option<BorrowedFd<'a>>,
    /// Carries [`Boot`] in and a [`Failure`] out.
    pub(crate) boot: BorrowedFd<'a>,
}

impl<'a> Streams<'a> {
    /// As descriptors come with a message.
    fn of(fds: &'a [OwnedFd]) -> io::Result<Self> {
        let [boot, stdout, stderr, control @ ..] = fds else { return Err(io::ErrorKind::InvalidData.into()) };
        let control = control.first().map(AsFd::as_fd);
        Ok(Self { stdout: stdout.as_fd(), stderr: stderr.as_fd(), control, boot: boot.as_fd() })
    }

    fn descriptors(self) -> impl Iterator<Item = RawFd> {
        [self.stdout, self.stderr, self.boot].into_iter().chain(self.control).map(|fd| fd.as_raw_fd())
    }
}

/// What the first process is the first of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Birth {
    /// A sandbox with a program.
    Program,
    /// A template, which has no user namespace and no process namespace of its own: it must own the sandboxes that
    /// its children join, and theirs must lie below its own.
    Template(Identity),
    /// A sandbox that a template's child joins. Its owner, on the host, is the template's identity.
    Vacant { owner: Identity },
    /// A program without any namespace of its own, as the launcher's user.
    Bare(Identity),
}

impl Birth {
    /// The namespaces that the process is born into, besides that of its control group, which it makes once it
    /// stands there, and the network, which only a vacant sandbox must own.
    pub(crate) fn namespaces(self) -> u64 {
        let all = libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS;
        let flags = match self {
            Self::Program => all,
            Self::Template(_) => all & !(libc::CLONE_NEWUSER | libc::CLONE_NEWPID),
            Self::Vacant { .. } => all | libc::CLONE_NEWNET,
            Self::Bare(_) => 0,
        };
        u64::from(flags.cast_unsigned())
    }
    /// User and group inside.
    fn identity(self) -> (u32, u32) {
        match self {
            Self::Template(identity) | Self::Bare(identity) => (identity.user, identity.group),
            _ => (USER_ID, GROUP_ID),
        }
    }
}

/// The life of the first process.
pub(crate) fn live(plan: &Plan<'_>) -> ! {
    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| build(plan)));
    let panicked = |_| Err(Failure::new("program", &io::Error::other("a step panicked")));
    if let Err(failure) = lived.unwrap_or_else(panicked) {
        complain(plan.streams.map_or(plan.line, |streams| streams.boot), &failure);
    }
    kernel::exit_now(NEVER_RAN)
}

fn complain(to: BorrowedFd<'_>, failure: &Failure) {
    if let Ok(bytes) = encode(failure) {
        let _ = channel::send(to, &bytes, &[]);
    }
}

fn build(plan: &Plan<'_>) -> Result<(), Failure> {
    let layers = &plan.request.layers;
    let steps = Steps(layers.fault.as_ref());
    steps.take("descriptors", || close_all_but(descriptors(plan)).and_then(|()| occupy(plan.null)))?;
    steps.take("start", || wait_for_start(plan.line))?;
    steps.take("cgroup-enter", || enter_cgroups(plan.tasks))?;
    let bare = matches!(plan.birth, Birth::Bare(_));
    if !bare {
        steps.take("cgroup-namespace", || unshare(rustix::thread::UnshareFlags::NEWCGROUP))?;
    }
    steps.take("identity", || become_user(plan.birth.identity()))?;
    steps.take("session", new_session)?;
    if layers.keyring {
        steps.take("keyring", kernel::join_new_session_keyring)?;
    }
    if !bare {
        steps.take("hostname", || Ok(rustix::system::sethostname(HOST_NAME.as_bytes())?))?;
    }
    let namespaces = steps.take("namespaces", || match plan.birth {
        Birth::Template(_) | Birth::Bare(_) => Ok(Vec::new()),
        Birth::Program => vacancy::open_namespaces(&NAMESPACES[MOUNTS..=MOUNTS]),
        Birth::Vacant { .. } => vacancy::connect().and_then(|()| vacancy::open_namespaces(&NAMESPACES)),
    })?;
    if let Some((root, stand)) = plan.root {
        mounts::attach_all(plan, steps, root, stand)?;
        if let Birth::Template(identity) = plan.birth {
            steps.take("binds", || people::introduce(root, stand, identity))?;
        }
    }
    if layers.counters && !matches!(plan.birth, Birth::Template(_)) {
        // Preparing a mount counts as a mount namespace, and `/proc/sys` is not in the new root: so neither before
        // nor after this.
        steps.take("counters", || limits::lower_counters(plan.counters))?;
    }
    if let Some((root, _)) = plan.root {
        steps.take("pivot", || mounts::pivot(root))?;
    }
    steps.take("privileges", || privileges::drop_all(layers.capabilities))?;
    steps.take("parent-death", || die_with_launcher(plan.line))?;
    match plan.birth {
        Birth::Template(_) | Birth::Bare(_) => start(plan, steps, plan.streams, &arrival(plan)),
        Birth::Program => program::expect(plan, steps, namespaces),
        Birth::Vacant { .. } => {
            let rules = if landlock::wanted(plan) {
                Some(steps.take("landlock", || landlock::for_others(plan))?)
            } else {
                None
            };
            confine(plan, steps, &arrival(plan))?;
            steps.take("program", || vacancy::hand_out(plan.line, namespaces, rules))?;
            steps.take("program", || vacancy::keep(plan.line))
        }
    }
}

/// What is known from the start.
fn arrival(plan: &Plan<'_>) -> Arrival {
    let furniture = &plan.request.furniture;
    Arrival {
        guests: Vec::new(),
        tmp_bytes: furniture.tmp_bytes,
        memory_bytes: furniture.memory_bytes,
        pids: furniture.pids,
    }
}

/// The last of what holds this process and all that it starts.
fn confine(plan: &Plan<'_>, steps: Steps<'_>, arrival: &Arrival) -> Result<(), Failure> {
    if plan.request.layers.rlimits {
        steps.take("rlimits", || limits::set_common().and_then(|()| limits::set(plan, arrival)))?;
    }
    if landlock::wanted(plan) {
        steps.take("landlock", || landlock::restrict(plan))?;
    }
    filter(plan, steps)
}

fn filter(plan: &Plan<'_>, steps: Steps<'_>) -> Result<(), Failure> {
    if plan.request.layers.seccomp {
        steps.take("seccomp", || crate::seccomp::install(plan.filter))?;
    }
    Ok(())
}

/// Becomes the program; returns only if that failed.
fn start(
    plan: &Plan<'_>,
    steps: Steps<'_>,
    streams: Option<Streams<'_>>,
    arrival: &Arrival,
) -> Result<(), Failure> {
    let streams = steps.take("program", || streams.ok_or(io::ErrorKind::InvalidInput.into()))?;
    let boot = steps.take("program", || receive_boot(streams.boot))?;
    confine(plan, steps, arrival)?;
    if plan.bare.is_some() {
        // Those that lose their parents become the program's own, so that they are known as its own.
        let adopting = || Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?);
        steps.take("program", adopting)?;
    }
    program::become_it(plan, steps, streams, boot)
}

/// The launcher says so once it has mapped our user.
fn wait_for_start(line: BorrowedFd<'_>) -> io::Result<()> {
    match channel::receive(line, true)? {
        Some(_) => Ok(()),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// Those that building needs. The launcher holds descriptors of every sandbox, and this is a copy of it.
fn descriptors(plan: &Plan<'_>) -> Vec<RawFd> {
    let mut kept = vec![plan.null.as_raw_fd(), plan.line.as_raw_fd()];
    kept.extend(plan.streams.into_iter().flat_map(Streams::descriptors));
    kept.extend(plan.tasks.iter().map(AsRawFd::as_raw_fd));
    kept.extend(plan.binds.iter().map(AsRawFd::as_raw_fd));
    kept.extend(plan.root.iter().map(|(root, _)| root.as_raw_fd()));
    kept.extend(plan.counters.map(|proc| proc.as_raw_fd()));
    kept
}

fn close_all_but(mut kept: Vec<RawFd>) -> io::Result<()> {
    kept.sort_unstable();
    kept.dedup();
    let mut first = 0;
    for fd in kept {
        if fd > first {
            kernel::close_from(first, fd - 1, false)?;
        }
        first = fd + 1;
    }
    kernel::close_from(first, RawFd::MAX, false)
}

/// Takes the places that the program's own streams will have, so that nothing that is opened meanwhile lies there.
fn occupy(null: BorrowedFd<'_>) -> io::Result<()> {
    (0..=CONTROL).try_for_each(|number| kernel::duplicate_to(null, number))
}

fn enter_cgroups(tasks: &[OwnedFd]) -> io::Result<()> {
    for file in tasks {
        rustix::io::write(file, b"0")?;
    }
    Ok(())
}

fn unshare(namespaces: rustix::thread::UnshareFlags) -> io::Result<()> {
    // SAFETY: new namespaces change what names mean from now on; no memory and no descriptor is shared or unshared.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}

/// Leaves the launcher's user. Capabilities stay: neither user is our own user namespace's root, and the launcher keeps
/// its own whatever the user.
fn become_user((user, group): (u32, u32)) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    rustix::thread::set_thread_res_gid(group, group, group)?;
    Ok(rustix::thread::set_thread_res_uid(user, user, user)?)
}

fn new_session() -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // The launcher left all others at their default, and blocks none.
    kernel::default_signals(&IGNORED_SIGNALS);
    Ok(())
}

fn receive_boot(boot: BorrowedFd<'_>) -> io::Result<Boot> {
    match channel::receive(boot, false)? {
        Some(message) => decode(&message.bytes),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// If the launcher was gone before we asked to die with it, its end of the line is closed.
fn die_with_launcher(line: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    match channel::receive(line, false) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// Opens nothing outside `folder`; used for the working directory.
fn enter_folder(folder: &str) -> io::Result<()> {
    let fd = rustix::fs::open(
        Path::new(folder),
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    Ok(rustix::process::fchdir(fd.as_fd())?)
}
