//! How the launcher makes a sandbox.

use crate::base::{self, Base};
use crate::cgroup::{self, Entry, Group, Hierarchy};
use crate::gauge::{Gauge, Meter};
use crate::identity::{Identities, Identity};
use crate::inside::{self, Ceiling, Plan, ProcView};
use crate::kernel::{self, Forked};
use crate::netns::{self, Home};
use crate::protocol::SandboxRequest;
use crate::seccomp;
use crate::step::{Failure, Steps};
use rustix::process::{Signal, WaitId, WaitIdOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Control groups and networks made ahead, while nobody waits.
const READY: usize = 2;

/// Namespaces of every sandbox. Its network namespace is made ahead, its control group namespace by itself once it
/// stands in its group.
const NAMESPACES: i32 =
    libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// Makes sandboxes.
pub(super) struct Maker {
    pub(super) base: Base,
    pub(super) cgroups: Box<dyn Hierarchy>,
    pub(super) identities: Identities,
    pub(super) landlock_version: i32,
    pub(super) proc_view: ProcView,
    /// Limits that the kernel took and that do not read back as they were set: controller and what is wrong.
    pub(super) unkept: Vec<(&'static str, String)>,
    home: Home,
    filter: seccomp::Program,
    null: OwnedFd,
    ready: Vec<Ready>,
    serial: u64,
}

/// What a sandbox's first process is given by the server.
pub(super) struct Ends {
    pub(super) boot: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) control: Option<OwnedFd>,
}

/// A sandbox that was made.
pub(super) struct Made {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    /// Tells how the program ended.
    pub(super) line: OwnedFd,
    pub(super) place: Place,
    pub(super) gauge: Gauge,
    pub(super) listeners: Vec<OwnedFd>,
}

/// What a sandbox holds of the host and gives back.
pub(super) struct Place {
    pub(super) group: Box<dyn Group>,
    pub(super) identity: Identity,
}

struct Ready {
    group: Box<dyn Group>,
    network: OwnedFd,
}

impl Maker {
    /// `server` may be moved between control groups together with this process.
    pub(super) fn new(distinct_users: bool, server: i32) -> io::Result<Self> {
        let own = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        Ok(Self {
            base: Base::build()?,
            cgroups: cgroup::find(&[own, server]),
            identities: if distinct_users { Identities::reserved() } else { Identities::own() },
            landlock_version: kernel::landlock_version(),
            proc_view: ProcView::OwnProcesses,
            unkept: Vec::new(),
            home: Home::here()?,
            filter: seccomp::compile(
                seccomp::Policy::function(seccomp::Network::Loopback),
                seccomp::Arch::NATIVE,
            ),
            null: rustix::fs::open(
                "/dev/null",
                rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
                rustix::fs::Mode::empty(),
            )?,
            ready: Vec::new(),
            serial: 0,
        })
    }

    /// Whether the kernel bounds a sandbox's memory as a whole.
    pub(super) fn bounds_memory(&self) -> bool {
        self.unlimited().iter().all(|(controller, _)| *controller != "memory")
    }

    /// Which of `memory`, `cpu`, `pids` no control group limits, and why.
    pub(super) fn unlimited(&self) -> Vec<(&'static str, String)> {
        self.cgroups.missing().into_iter().chain(self.unkept.clone()).collect()
    }

    /// Maps every sandbox to the launcher's own user from now on.
    pub(super) fn share_user(&mut self) {
        self.identities = Identities::own();
    }

    /// Does without control groups from now on.
    pub(super) fn without_cgroups(&mut self, why: &io::Error) {
        self.close();
        self.cgroups = cgroup::none(why.to_string());
    }

    /// Makes one more control group and network ahead; `false` when there are enough.
    pub(super) fn prepare(&mut self) -> io::Result<bool> {
        if self.ready.len() >= READY {
            return Ok(false);
        }
        let network = self.home.fresh()?;
        let group = self.group()?;
        self.ready.push(Ready { group, network });
        Ok(true)
    }

    /// Makes a sandbox. Its program starts as soon as it is built; how that went is said on `ends.boot`.
    pub(super) fn make(&mut self, request: &SandboxRequest, ends: &Ends) -> Result<Made, Failure> {
        let steps = Steps(request.layers.fault.as_ref());
        let (mut group, network) = match self.ready.pop() {
            Some(Ready { group, network }) => (group, network),
            None => (steps.take("cgroup", || self.group())?, steps.take("network", || self.home.fresh())?),
        };
        let gauge_meters = group.take_meters();
        let identity = match steps.take("identity-map", || self.identities.take()) {
            Ok(identity) => identity,
            Err(failure) => {
                let _ = group.remove();
                return Err(failure);
            }
        };
        let mut place = Place { group, identity };
        match self.start(request, ends, &place, &network, steps) {
            Ok((started, listeners)) => {
                place.group.entered();
                let gauge = gauge(gauge_meters, started.pid, request.layers.cgroup);
                let Started { pid, pidfd, line } = started;
                Ok(Made { pid, pidfd, line, place, gauge, listeners })
            }
            Err(failure) => {
                self.give_back(&place);
                Err(failure)
            }
        }
    }

    /// Takes back what a sandbox held, once nothing of it lives. `false` when a control group is still busy.
    pub(super) fn give_back(&mut self, place: &Place) -> bool {
        if place.group.remove().is_err() {
            return false;
        }
        self.identities.give_back(place.identity);
        true
    }

    /// Removes everything this maker has on the host.
    pub(super) fn close(&mut self) {
        for ready in self.ready.drain(..) {
            let _ = ready.group.remove();
        }
        self.cgroups.remove();
    }

    fn group(&mut self) -> io::Result<Box<dyn Group>> {
        self.serial += 1;
        self.cgroups.make(&self.serial.to_string())
    }

    fn start(
        &mut self,
        request: &SandboxRequest,
        ends: &Ends,
        place: &Place,
        network: &OwnedFd,
        steps: Steps<'_>,
    ) -> Result<(Started, Vec<OwnedFd>), Failure> {
        let layers = &request.layers;
        steps.take("cgroup", || place.group.limit(&limits(request)))?;
        let listeners = steps.take("network", || match layers.network {
            true => self.home.within(network, || netns::listeners(&request.listen)),
            false => Ok(Vec::new()),
        })?;
        let root = steps.take("base", || match layers.root {
            true => self.root(request).map(Some),
            false => Ok(None),
        })?;
        let attributes = kernel::ATTR_RDONLY | kernel::ATTR_NOSUID | kernel::ATTR_NODEV;
        let binds = steps.take("bind", || match layers.root {
            true => request.binds.iter().map(|bind| base::detached(&bind.host, attributes)).collect(),
            false => Ok(Vec::new()),
        })?;
        let (line, far_line) = steps.take("clone", crate::channel::pair)?;
        let (tasks, birth): (&[OwnedFd], _) = match place.group.entry() {
            Entry::Tasks(tasks) if layers.cgroup => (tasks, None),
            Entry::Birth(folder) if layers.cgroup => (&[], Some(folder)),
            _ => (&[], None),
        };
        let plan = Plan {
            request,
            tasks,
            root: root.as_ref().map(|root| (root, self.base.stand())),
            readable: self.base.readable(),
            binds: &binds,
            stdio: [self.null.as_fd(), ends.stdout.as_fd(), ends.stderr.as_fd()],
            control: ends.control.as_ref().map(AsFd::as_fd),
            boot: ends.boot.as_fd(),
            line: far_line.as_fd(),
            filter: &self.filter,
            landlock_version: self.landlock_version,
            proc_view: self.proc_view,
            ceiling: if self.bounds_memory() { Ceiling::Group } else { Ceiling::Process },
        };
        let born = || place.identity.wear(|| fork(&plan, birth));
        let (pid, pidfd) = steps.take("clone", || match layers.network {
            true => self.home.within(network, born),
            false => born(),
        })?;
        drop(far_line);
        let started = Started { pid, pidfd, line };
        let mapped = steps.take("identity-map", || place.identity.map(pid));
        let chosen =
            || steps.take("oom-score", || std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000"));
        match mapped
            .and_then(|()| chosen())
            .and_then(|()| steps.take("start", || crate::channel::send(&started.line, b"go", &[])))
        {
            Ok(()) => Ok((started, listeners)),
            Err(failure) => {
                started.abandon();
                Err(failure)
            }
        }
    }

    fn root(&mut self, request: &SandboxRequest) -> io::Result<OwnedFd> {
        for bind in &request.binds {
            let folder = Path::new(&bind.host).metadata()?.is_dir();
            self.base.ensure(&bind.guest, folder)?;
        }
        self.base.copy()
    }
}

/// What a sandbox may use: what was asked for, and its own first process.
pub(super) fn limits(request: &SandboxRequest) -> cgroup::Limits {
    cgroup::Limits {
        memory_bytes: request.memory_bytes,
        cpu_millis: request.cpu_millis,
        cpu_weight: request.cpu_weight,
        pids: request.pids.saturating_add(1),
    }
}

/// A first process that was started.
struct Started {
    pid: i32,
    pidfd: OwnedFd,
    line: OwnedFd,
}

impl Started {
    /// Kills and buries a process that never came past its first step.
    fn abandon(self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

fn fork(plan: &Plan<'_>, birth: Option<std::os::fd::BorrowedFd<'_>>) -> io::Result<(i32, OwnedFd)> {
    // SAFETY: the launcher has one thread.
    match unsafe { kernel::fork(NAMESPACES as u64, birth) }? {
        Forked::Child => inside::live(plan),
        Forked::Parent { pid, pidfd } => Ok((pid.as_raw_nonzero().get(), pidfd)),
    }
}

fn gauge(meters: Vec<(Meter, OwnedFd)>, pid: i32, in_group: bool) -> Gauge {
    let meters = if in_group { meters } else { Vec::new() };
    let counts = meters.iter().any(|(meter, _)| matches!(meter, Meter::CpuTotalNs | Meter::CpuStat));
    Gauge::new(meters, (!counts).then_some(pid))
}
