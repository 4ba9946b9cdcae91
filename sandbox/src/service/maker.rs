//! How the launcher makes a sandbox.

use super::counters::Counters;
use crate::Bind;
use crate::base::Base;
use crate::cgroup::{self, Entry, Group, Hierarchy};
use crate::gauge::{Gauge, Meter};
use crate::identity::{Identities, Identity};
use crate::inside::{self, Birth, Ceiling, Plan, ProcView, Streams};
use crate::kernel::{self, Forked};
use crate::netns::Home;
use crate::protocol::{Furniture, SandboxRequest};
use crate::seccomp;
use crate::step::{Failure, Steps};
use rustix::process::{Signal, WaitId, WaitIdOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Control groups and networks made ahead, while nobody waits.
const READY: usize = 2;

/// Makes sandboxes.
pub(super) struct Maker {
    pub(super) base: Base,
    pub(super) cgroups: Box<dyn Hierarchy>,
    pub(super) identities: Identities,
    pub(super) landlock_version: i32,
    pub(super) proc_view: ProcView,
    counters: Counters,
    /// Limits that the kernel took and that do not read back as they were set: controller and what is wrong.
    pub(super) unkept: Vec<(&'static str, String)>,
    pub(super) home: Home,
    /// The launcher's own mount namespace.
    pub(super) mounts: OwnedFd,
    /// What functions may call, and what their templates may.
    pub(super) filter: seccomp::Program,
    template_filter: seccomp::Program,
    null: OwnedFd,
    groups: Vec<Box<dyn Group>>,
    networks: Vec<OwnedFd>,
    serial: u64,
}

/// What a program is given by the server.
pub(super) struct Ends {
    pub(super) boot: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) control: Option<OwnedFd>,
}

impl Ends {
    pub(super) fn streams(&self) -> Option<Streams<'_>> {
        let Self { boot, stdout, stderr, control } = self;
        let (stdout, stderr, control) = (stdout.as_fd(), stderr.as_fd(), control.as_ref().map(AsFd::as_fd));
        Some(Streams { stdout, stderr, control, boot: boot.as_ref()?.as_fd() })
    }

    /// In the order of [`crate::protocol::Arrival`].
    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let first = self.boot.iter().chain([&self.stdout, &self.stderr]).chain(&self.control);
        first.map(AsFd::as_fd).collect()
    }
}

/// A sandbox that was made.
pub(super) struct Made {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    /// Tells when it is built, and how the program ended.
    pub(super) line: OwnedFd,
    pub(super) place: Place,
    pub(super) gauge: Gauge,
    /// Its network, where the launcher has made it.
    pub(super) network: Option<OwnedFd>,
}

/// What a sandbox holds of the host and gives back.
pub(super) struct Place {
    pub(super) group: Box<dyn Group>,
    pub(super) identity: Identity,
}

impl Maker {
    /// `server` may be moved between control groups together with this process.
    pub(super) fn new(distinct_users: bool, server: i32) -> io::Result<Self> {
        let filter = |policy| seccomp::compile(policy, seccomp::Arch::NATIVE);
        let own = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        Ok(Self {
            base: Base::build(None)?,
            cgroups: cgroup::find(&[own, server]),
            identities: if distinct_users { Identities::reserved() } else { Identities::own() },
            landlock_version: kernel::landlock_version(),
            proc_view: ProcView::OwnProcesses,
            counters: Counters::default(),
            unkept: Vec::new(),
            home: Home::here()?,
            mounts: rustix::fs::open(
                "/proc/self/ns/mnt",
                rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
                rustix::fs::Mode::empty(),
            )?,
            filter: filter(seccomp::Policy::function(seccomp::Network::Loopback)),
            template_filter: filter(seccomp::Policy::template()),
            null: rustix::fs::open(
                "/dev/null",
                rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
                rustix::fs::Mode::empty(),
            )?,
            groups: Vec::new(),
            networks: Vec::new(),
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

    /// Makes sandboxes of this root image from now on. After an error, none can be made.
    pub(super) fn rebase(&mut self, image: &Path) -> io::Result<()> {
        self.base.dismantle()?;
        self.base = Base::build(Some(image))?;
        Ok(())
    }

    /// Does without control groups from now on.
    pub(super) fn without_cgroups(&mut self, why: &io::Error) {
        self.close();
        self.cgroups = cgroup::none(why.to_string());
    }

    /// Makes one more control group and network ahead; `false` when there are enough.
    pub(super) fn prepare(&mut self) -> io::Result<bool> {
        let (groups, networks) = (self.groups.len() < READY, self.networks.len() < READY);
        if networks {
            self.networks.push(self.home.fresh()?);
        }
        if groups {
            let group = self.group()?;
            self.groups.push(group);
        }
        Ok(groups || networks)
    }

    /// Makes an empty sandbox for a program.
    pub(super) fn make(&mut self, request: &SandboxRequest) -> Result<Made, Failure> {
        self.make_as(request, None, |_| Birth::Program)
    }

    /// Makes an empty sandbox for a child of the template with this identity.
    pub(super) fn make_vacant(&mut self, request: &SandboxRequest, owner: Identity) -> Result<Made, Failure> {
        self.make_as(request, None, |_| Birth::Vacant { owner })
    }

    /// Makes a template: a program that may fork itself into sandboxes which it owns. It starts as soon as its sandbox is
    /// built; how that went is said on `ends.boot`.
    pub(super) fn make_template(
        &mut self,
        request: &SandboxRequest,
        ends: &Ends,
    ) -> Result<(Made, Identity), Failure> {
        let mut made = self.make_as(request, Some(ends), Birth::Template)?;
        made.place.group.entered();
        let identity = made.place.identity;
        Ok((made, identity))
    }

    fn make_as(
        &mut self,
        request: &SandboxRequest,
        ends: Option<&Ends>,
        birth: impl FnOnce(Identity) -> Birth,
    ) -> Result<Made, Failure> {
        let steps = Steps(request.layers.fault.as_ref());
        let mut group = match self.groups.pop() {
            Some(group) => group,
            None => steps.take("cgroup", || self.group())?,
        };
        let gauge_meters = group.take_meters();
        let identity = match steps.take("identity-map", || self.identities.take()) {
            Ok(identity) => identity,
            Err(failure) => {
                let _ = group.remove();
                return Err(failure);
            }
        };
        let place = Place { group, identity };
        match self.start(request, ends.and_then(Ends::streams), &place, birth(identity), steps) {
            Ok((Started { pid, pidfd, line }, network)) => {
                let gauge = gauge(gauge_meters, pid, request.layers.cgroup);
                Ok(Made { pid, pidfd, line, place, gauge, network })
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
        for group in self.groups.drain(..) {
            let _ = group.remove();
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
        streams: Option<Streams<'_>>,
        place: &Place,
        birth: Birth,
        steps: Steps<'_>,
    ) -> Result<(Started, Option<OwnedFd>), Failure> {
        let layers = &request.layers;
        let template = matches!(birth, Birth::Template(_));
        // If it is not known yet what it will be for, it may well need what others did.
        steps.take("cgroup", || place.group.limit(&limits(&request.furniture)))?;
        let network = steps.take("network", || self.network(layers.network, birth))?;
        let root = steps.take("base", || match layers.root {
            true => self.base.copy().map(Some),
            false => Ok(None),
        })?;
        let binds = steps.take("bind", || match layers.root {
            true => request.furniture.binds.iter().map(|bind| self.place(bind)).collect(),
            false => Ok(Vec::new()),
        })?;
        let (line, far_line) = steps.take("clone", crate::channel::pair)?;
        self.counters.renew();
        let (tasks, group): (&[OwnedFd], _) = match place.group.entry() {
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
            birth,
            null: self.null.as_fd(),
            streams,
            line: far_line.as_fd(),
            filter: if template { &self.template_filter } else { &self.filter },
            landlock_version: self.landlock_version,
            proc_view: self.proc_view_of(birth),
            counters: self.counters.proc(),
            ceiling: if self.bounds_memory() { Ceiling::Group } else { Ceiling::Process },
            bare: None,
        };
        let parent = match birth {
            Birth::Vacant { owner } => owner,
            _ => place.identity,
        };
        let born = || match birth {
            // It must be root for as long as it builds.
            Birth::Template(_) => fork(&plan, group),
            _ => parent.wear(|| fork(&plan, group)),
        };
        let (pid, pidfd) = steps.take("clone", || match &network {
            Some(network) => self.home.within(network, born),
            None => born(),
        })?;
        drop(far_line);
        let started = Started { pid, pidfd, line };
        let mapped = steps.take("identity-map", || if template { Ok(()) } else { place.identity.map(pid) });
        let chosen =
            || steps.take("oom-score", || std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000"));
        match mapped
            .and_then(|()| chosen())
            .and_then(|()| steps.take("start", || crate::channel::send(&started.line, b"go", &[])))
        {
            Ok(()) => Ok((started, network)),
            Err(failure) => {
                started.abandon();
                Err(failure)
            }
        }
    }

    /// A network namespace made ahead, or now. A vacant sandbox makes its own, which it must own.
    fn network(&mut self, own: bool, birth: Birth) -> io::Result<Option<OwnedFd>> {
        if !own || matches!(birth, Birth::Vacant { .. }) {
            return Ok(None);
        }
        self.networks.pop().map_or_else(|| self.home.fresh(), Ok).map(Some)
    }

    /// A template stands in the launcher's own process namespace. Its `/proc` shows a user's processes, so only one who
    /// has none may have it.
    fn proc_view_of(&self, birth: Birth) -> ProcView {
        match birth {
            Birth::Template(_) if !self.identities.distinct() => ProcView::Absent,
            _ => self.proc_view,
        }
    }

    /// What a bind shows, not attached anywhere, and something to mount it on.
    pub(super) fn place(&mut self, bind: &Bind) -> io::Result<OwnedFd> {
        let folder = bind.host.metadata()?.is_dir();
        self.base.ensure(&bind.guest, folder)?;
        self.base.bind(bind)
    }
}

/// What a sandbox may use: what was asked for, and its own first process.
pub(super) fn limits(furniture: &Furniture) -> cgroup::Limits {
    let Furniture { memory_bytes, cpu_millis, cpu_weight, pids, .. } = *furniture;
    cgroup::Limits { memory_bytes, cpu_millis, cpu_weight, pids: pids.saturating_add(1) }
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

pub(super) fn fork(
    plan: &Plan<'_>,
    birth: Option<std::os::fd::BorrowedFd<'_>>,
) -> io::Result<(i32, OwnedFd)> {
    // SAFETY: the launcher has one thread.
    match unsafe { kernel::fork(plan.birth.namespaces(), birth) }? {
        Forked::Child => inside::live(plan),
        Forked::Parent { pid, pidfd } => Ok((pid.as_raw_nonzero().get(), pidfd)),
    }
}

pub(super) fn gauge(meters: Vec<(Meter, OwnedFd)>, pid: i32, in_group: bool) -> Gauge {
    let meters = if in_group { meters } else { Vec::new() };
    let counts = meters.iter().any(|(meter, _)| matches!(meter, Meter::CpuTotalNs | Meter::CpuStat));
    Gauge::new(meters, (!counts).then_some(pid))
}
