//! What this machine lets us do, found by doing it: the launcher takes up its place, makes a sandbox that looks around
//! in itself, and gives up one thing after another where the kernel refuses it.

use super::maker::{Ends, Made, Maker};
use crate::channel;
use crate::inside::ProcView;
use crate::kernel;
use crate::probe::View;
use crate::protocol::{Boot, SandboxRequest, decode, encode};
use crate::step::Failure;
use crate::{Layer, Layers, Protections};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::net::sockopt;
use rustix::process::{Signal, WaitId, WaitIdOptions};
use rustix::thread::UnshareFlags;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// How long the probing sandbox may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait for a control group to become empty, in milliseconds.
const BURIAL_MS: u64 = 1_000;

/// Takes up the launcher's place and looks around. Without a maker, no sandbox can be made here, and the protections
/// say why.
pub(super) fn survey() -> (Option<Maker>, Protections) {
    match take_place().and_then(|distinct| Maker::new(distinct, parent())) {
        Ok(mut maker) => match settle(&mut maker) {
            Ok(view) => {
                let protections = protections(&maker, &view);
                (Some(maker), protections)
            }
            Err(failure) => {
                maker.close();
                (None, nothing(&failure))
            }
        },
        Err(error) => (None, nothing(&Failure::new("launcher", &error))),
    }
}

/// Enters mount and network namespaces of its own, for which an ordinary user needs a user namespace of its own. The
/// network has nothing in it: the launcher shall speak to nobody but the server. Returns whether it may map any user of
/// the machine.
fn take_place() -> io::Result<bool> {
    let root = rustix::process::geteuid().is_root();
    if root {
        rustix::thread::set_thread_groups(&[])?;
        kernel::keep_capabilities_across_users()?;
    }
    let own = UnshareFlags::NEWNS | UnshareFlags::NEWNET;
    let unshared = unshare(own);
    let privileged = unshared.is_ok();
    if let Err(error) = unshared {
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        unshare(UnshareFlags::NEWUSER | own).map_err(|_| error)?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    }
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    Ok(root && privileged)
}

fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    // SAFETY: these namespaces change what names mean from now on; no memory and no descriptor is unshared.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}

fn parent() -> i32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get())
}

/// Makes sandboxes until one succeeds, doing without what the kernel refuses.
fn settle(maker: &mut Maker) -> Result<View, Failure> {
    loop {
        match probe(maker) {
            Ok(view) => return Ok(view),
            Err(failure) if do_without(maker, &failure) => {}
            Err(failure) => return Err(failure),
        }
    }
}

/// Gives up what failed; `false` when nothing can be done without it.
fn do_without(maker: &mut Maker, failure: &Failure) -> bool {
    match failure.step.as_str() {
        "proc" if maker.proc_view == ProcView::OwnProcesses && failure.errno == libc::EINVAL => {
            maker.proc_view = ProcView::System;
        }
        "proc" if maker.proc_view != ProcView::Absent => maker.proc_view = ProcView::Absent,
        "identity-map" if maker.identities.distinct() => maker.share_user(),
        "cgroup" | "cgroup-enter" if maker.cgroups.name() != "none" => {
            maker.without_cgroups(&failure.source())
        }
        "landlock" if maker.landlock_version > 0 => maker.landlock_version = 0,
        _ => return false,
    }
    true
}

fn probe(maker: &mut Maker) -> Result<View, Failure> {
    let plumbing = || -> io::Result<_> {
        let (near, far) = channel::pair()?;
        sockopt::set_socket_timeout(&near, sockopt::Timeout::Recv, Some(PATIENCE))?;
        channel::send(&near, &encode(&Boot::Probe)?, &[])?;
        let (reader, writer) = io::pipe()?;
        let ends =
            Ends { boot: far, stdout: writer.try_clone()?.into(), stderr: writer.into(), control: None };
        Ok((near, reader, ends))
    };
    let (near, _reader, ends) = plumbing().map_err(|error| Failure::new("survey", &error))?;
    let request = SandboxRequest {
        binds: Vec::new(),
        tmp_bytes: 1 << 20,
        memory_bytes: 64 << 20,
        cpu_millis: 1000,
        pids: 16,
        listen: vec![9001],
        control: false,
        layers: Layers::default(),
    };
    let made = maker.make(&request, &ends)?;
    drop(ends);
    let answer = channel::receive(&near, true);
    bury(maker, &made);
    match answer {
        Ok(Some(message)) => decode::<View>(&message.bytes)
            .map_err(|error| decode(&message.bytes).unwrap_or_else(|_| Failure::new("survey", &error))),
        Ok(None) => Err(Failure::new("survey", &io::ErrorKind::BrokenPipe.into())),
        Err(error) => Err(Failure::new("survey", &error)),
    }
}

fn bury(maker: &mut Maker, made: &Made) {
    let _ = rustix::process::pidfd_send_signal(&made.pidfd, Signal::KILL);
    let _ = rustix::process::waitid(WaitId::PidFd(made.pidfd.as_fd()), WaitIdOptions::EXITED);
    for _ in 0..BURIAL_MS {
        if maker.give_back(&made.place) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn protections(maker: &Maker, view: &View) -> Protections {
    let mut layers = vec![
        layer(
            "namespaces",
            !view.can_unshare,
            "the probe could make a namespace inside",
            "report this as a bug",
        ),
        layer(
            "own root file system",
            !view.root_writable && !view.host_visible,
            "the probe could write to the root or see the host",
            "report this as a bug",
        ),
        layer(
            "own user per sandbox",
            maker.identities.distinct(),
            "without root all sandboxes are the same host user, the one that runs the platform",
            "run the platform as root; it gives up its privileges after starting its launcher",
        ),
        layer("no capabilities", view.no_capabilities, "the probe had a capability", "report this as a bug"),
        layer(
            "no new privileges",
            view.no_new_privileges,
            "the kernel refused it",
            "use Linux 5.13 or newer",
        ),
        layer(
            "seccomp",
            view.filtered,
            "no system call filter is installed",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
        landlock(maker.landlock_version),
        layer(
            "restricted /proc",
            maker.proc_view == ProcView::OwnProcesses,
            match maker.proc_view {
                ProcView::Absent => "the kernel refuses to mount /proc here, so sandboxes have none",
                _ => "the kernel cannot hide the system's files in /proc",
            },
            "use Linux 5.8 or newer; in a container, one whose /proc is not masked",
        ),
    ];
    layers.extend(limits(&maker.cgroups.missing()));
    let sound = |name: &str| layers.iter().any(|layer| layer.name == name && layer.on);
    let basic = ["namespaces", "own root file system", "no capabilities", "no new privileges"];
    let level = if layers.iter().all(|layer| layer.on) {
        3
    } else if basic.into_iter().all(sound) {
        2
    } else {
        1
    };
    Protections { level, layers }
}

/// What control groups limit, and what else does where they cannot.
fn limits(missing: &[(&str, String)]) -> impl Iterator<Item = Layer> {
    let controllers = [
        (
            "memory",
            "memory limit",
            "; instead memory is looked at ten times a second, and limited per process",
        ),
        ("cpu", "cpu limit", ""),
        ("pids", "process limit", "; instead processes are counted per user"),
    ];
    controllers.into_iter().map(|(controller, name, instead)| {
        let why = missing.iter().find(|(missing, _)| *missing == controller);
        layer(
            name,
            why.is_none(),
            &why.map_or(String::new(), |(_, why)| format!("{why}{instead}")),
            "run the platform as root, or as a systemd service with Delegate=yes",
        )
    })
}

fn landlock(version: i32) -> Layer {
    const SCOPES_SINCE: i32 = 6;
    let fix = "use Linux 6.12 or newer with CONFIG_SECURITY_LANDLOCK, and landlock in the lsm= boot option";
    let mut layer = layer("landlock", version > 0, "the kernel has no Landlock", fix);
    if (1..SCOPES_SINCE).contains(&version) {
        let weaker = "this kernel's Landlock does not scope signals and abstract sockets; namespaces do";
        (layer.why_missing, layer.how_to_fix) = (Some(weaker.to_owned()), Some(fix.to_owned()));
    }
    layer
}

/// No sandbox can be made.
fn nothing(failure: &Failure) -> Protections {
    let why = format!("a sandbox cannot be made: {} failed: {}", failure.step, failure.source());
    let fix = "run as root, or allow user namespaces: sysctl user.max_user_namespaces=65536 \
               kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0";
    Protections { level: 0, layers: vec![layer("namespaces", false, &why, fix)] }
}

fn layer(name: &str, on: bool, why: &str, fix: &str) -> Layer {
    let unless_on = |text: &str| (!on).then(|| text.to_owned());
    Layer { name: name.to_owned(), on, why_missing: unless_on(why), how_to_fix: unless_on(fix) }
}
