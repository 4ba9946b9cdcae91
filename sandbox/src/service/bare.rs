//! Sandboxes without namespaces, for machines that let nobody make any: what is left are the filter, Landlock and limits per
//! process. Only whoever asks for it gets this.

use super::findings::{self, DELEGATE, NEWER_LANDLOCK, Switches, layer};
use super::lodging::Lodger;
use super::maker::{Ends, Made, Place, fork, gauge};
use super::member::{Inmate, Role, Work};
use super::survey::{self, Found};
use crate::cgroup::Group;
use crate::identity::{Identities, Identity};
use crate::inside::{Bare, Birth, Ceiling, Plan, ProcView};
use crate::probe::View;
use crate::protocol::{Furniture, SandboxRequest};
use crate::step::{Failure, Steps};
use crate::{Layers, Protections, base, channel, kernel, netns, seccomp};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Signal, WaitId, WaitIdOptions};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Below here each sandbox has a folder of its own for what it writes.
const SCRATCH: &str = "/tmp";

/// Landlock judges connections from this version on, and keeps signals in from the other on.
const JUDGES_CONNECTIONS: i32 = 4;
const KEEPS_SIGNALS: i32 = 6;

/// Makes them.
pub(super) struct BareMaker {
    identity: Identity,
    landlock_version: i32,
    filter: seccomp::Program,
    readable: Vec<PathBuf>,
    null: OwnedFd,
    serial: u64,
    /// Whether each has a session keyring of its own.
    keyring: bool,
}

/// Makes one that looks around.
pub(super) fn survey() -> Found {
    let found = BareMaker::new().map_err(|error| Failure::new("launcher", &error)).and_then(|mut maker| {
        let view = match maker.look() {
            // Containers refuse keyrings to everybody, and so does the filter.
            Err(failure) if failure.step == "keyring" => {
                maker.keyring = false;
                maker.look()?
            }
            other => other?,
        };
        let protections = maker.protections(&view);
        Ok((maker, protections))
    });
    match found {
        Ok((maker, protections)) if protections.level > 0 => (None, Some(maker), protections),
        Ok((_, protections)) => (None, None, protections),
        Err(failure) => (None, None, findings::nothing(&failure, &Switches::read())),
    }
}

impl BareMaker {
    fn new() -> io::Result<Self> {
        sweep();
        let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self {
            identity: Identities::own().take()?,
            landlock_version: kernel::landlock_version(),
            filter: seccomp::compile(seccomp::Policy::bare(), seccomp::Arch::NATIVE),
            readable: base::of_the_host(),
            null,
            serial: 0,
            keyring: true,
        })
    }

    /// What one of them sees of itself.
    fn look(&mut self) -> Result<View, Failure> {
        let failed = |error: io::Error| Failure::new("survey", &error);
        let (near, lodger) = survey::prober().map_err(failed)?;
        let (made, _listeners) = self.make(&lodger)?;
        drop(lodger);
        let answer = channel::receive(&near, true);
        let _ = rustix::process::pidfd_send_signal(&made.pidfd, Signal::KILL);
        let _ = rustix::process::waitid(WaitId::PidFd(made.pidfd.as_fd()), WaitIdOptions::EXITED);
        let _ = made.place.group.remove();
        survey::seen(answer.map_err(failed)?)
    }

    /// Makes a sandbox, whose program starts at once; how that went is said where it is given its work.
    pub(super) fn lodge(&mut self, lodger: &Lodger, connection: BorrowedFd<'_>) -> Result<Work, Failure> {
        let (made, listeners) = self.make(lodger)?;
        let request = &lodger.request;
        let watched = request.layers.cgroup.then_some(request.furniture.memory_bytes);
        let inmate = Inmate::new(made, watched, Role::Program);
        inmate.say_made(&listeners, inmate.pid(), connection.try_clone_to_owned().ok().as_ref());
        Ok(Work::Sandbox(Box::new(inmate)))
    }

    fn make(&mut self, Lodger { request, ends }: &Lodger) -> Result<(Made, Vec<OwnedFd>), Failure> {
        let steps = Steps(request.layers.fault.as_ref());
        if request.waits {
            let why = io::Error::other("without namespaces no program gets its files later");
            return Err(Failure::new("bind", &why));
        }
        self.serial += 1;
        let scratch = scratch_of(std::process::id()).join(self.serial.to_string());
        steps.take("tmp", || DirBuilder::new().recursive(true).mode(0o700).create(&scratch))?;
        let place = Place { group: Box::new(Scratch(scratch.clone())), identity: self.identity };
        match self.start(request, ends, scratch, steps) {
            Ok((pid, pidfd, line, listeners)) => {
                let gauge = gauge(Vec::new(), pid, false);
                Ok((Made { pid, pidfd, line, place, gauge, network: None }, listeners))
            }
            Err(failure) => {
                let _ = place.group.remove();
                Err(failure)
            }
        }
    }

    fn start(
        &self,
        request: &SandboxRequest,
        ends: &Ends,
        scratch: PathBuf,
        steps: Steps<'_>,
    ) -> Result<(i32, OwnedFd, OwnedFd, Vec<OwnedFd>), Failure> {
        let (listeners, ports) = steps.take("network", || listeners(&request.listen))?;
        let places =
            request.furniture.binds.iter().map(|bind| (bind.guest.clone(), bind.host.clone())).collect();
        let bare = Bare { places, ports, scratch };
        let (line, far_line) = steps.take("clone", channel::pair)?;
        // The limit counts all processes of the user.
        let pids = request.furniture.pids.saturating_add(processes_of(self.identity.user));
        let request = SandboxRequest {
            furniture: Furniture { pids, ..request.furniture.clone() },
            layers: Layers { counters: false, keyring: self.keyring, ..request.layers.clone() },
            ..request.clone()
        };
        let plan = Plan {
            request: &request,
            tasks: &[],
            root: None,
            readable: &self.readable,
            binds: &[],
            birth: Birth::Bare(self.identity),
            null: self.null.as_fd(),
            streams: ends.streams(),
            line: far_line.as_fd(),
            filter: &self.filter,
            landlock_version: self.landlock_version,
            counters: None,
            proc_view: ProcView::Absent,
            ceiling: Ceiling::Process,
            bare: Some(&bare),
        };
        let (pid, pidfd) = steps.take("clone", || fork(&plan, None))?;
        drop(far_line);
        let started = fs::write(format!("/proc/{pid}/oom_score_adj"), "1000")
            .and_then(|()| channel::send(&line, b"go", &[]));
        if let Err(error) = started {
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            let _ = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            return Err(Failure::new("start", &error));
        }
        Ok((pid, pidfd, line, listeners))
    }

    fn protections(&self, view: &View) -> Protections {
        let fix = Switches::read().fix_of_choice();
        let version = self.landlock_version;
        let off = |name, why| layer(name, false, why, fix);
        let mut layers = vec![
            off(
                "namespaces",
                "functions share this machine's network and process numbers; only Landlock keeps them off",
            ),
            off(
                "own root file system",
                "functions see names and sizes of all files, and read this machine's /usr",
            ),
            off(Protections::OWN_IMAGE, "without namespaces there is no root of one's own"),
            off("own user per sandbox", "all functions are the user that runs the platform"),
        ];
        layers.extend(findings::of_the_process(view));
        layers.extend([
            layer(
                "landlock",
                version >= KEEPS_SIGNALS,
                if version < JUDGES_CONNECTIONS {
                    "the kernel's Landlock does not judge connections, or there is none"
                } else {
                    "the kernel's Landlock does not keep signals in: functions can end each other"
                },
                NEWER_LANDLOCK,
            ),
            layer(
                "memory limit",
                false,
                "memory is looked at ten times a second, and limited per process",
                DELEGATE,
            ),
            layer("cpu limit", false, "nothing bounds it", DELEGATE),
            layer("process limit", false, "it counts all processes of the user", DELEGATE),
        ]);
        let sound = view.no_capabilities && view.no_new_privileges && view.filtered;
        let level = u8::from(sound && !view.can_unshare && version >= JUDGES_CONNECTIONS);
        Protections { level, layers }
    }
}

/// Which port stands for which.
type Ports = Vec<(u16, u16)>;

/// Listening sockets on free ports.
fn listeners(ports: &[u16]) -> io::Result<(Vec<OwnedFd>, Ports)> {
    let sockets = netns::listeners(&vec![0; ports.len()])?;
    let real = sockets.iter().map(|socket| {
        let address = std::net::SocketAddr::try_from(rustix::net::getsockname(socket)?)?;
        Ok(address.port())
    });
    let real = real.collect::<io::Result<Vec<u16>>>()?;
    Ok((sockets, ports.iter().copied().zip(real).collect()))
}

fn processes_of(user: u32) -> u32 {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = numbers.filter(|entry| {
        let is_process = entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
        is_process && entry.metadata().is_ok_and(|about| about.uid() == user)
    });
    own.flat_map(|entry| fs::read_dir(entry.path().join("task")).into_iter().flatten())
        .count()
        .try_into()
        .unwrap_or(0)
}

fn scratch_of(launcher: u32) -> PathBuf {
    Path::new(SCRATCH).join(format!("dayfly-scratch-{launcher}"))
}

/// Removes what launchers of this user that no longer live have left.
fn sweep() {
    let own = rustix::process::getuid().as_raw();
    for entry in fs::read_dir(SCRATCH).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix("dayfly-scratch-")) else { continue };
        let gone = pid == std::process::id().to_string() || !Path::new("/proc").join(pid).exists();
        if gone && entry.metadata().is_ok_and(|about| about.is_dir() && about.uid() == own) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// What it wrote goes with it. It is in no control group.
struct Scratch(PathBuf);

impl Group for Scratch {
    fn is_bare(&self) -> bool {
        true
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                // The last one takes the folder of all with it.
                let _ = self.0.parent().map(fs::remove_dir);
                Ok(())
            }
        }
    }
}
