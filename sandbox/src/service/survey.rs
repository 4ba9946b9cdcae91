//! What this machine lets us do, found by doing it: the launcher takes up its place, makes a sandbox that looks around
//! in itself, and gives up one thing after another where the kernel refuses it.

use super::findings;
use super::lodging::{self, Lodger};
use super::maker::{Ends, Maker};
use super::member::{Inmate, Role};
use crate::channel;
use crate::inside::ProcView;
use crate::kernel;
use crate::probe::View;
use crate::protocol::{Boot, Furniture, SandboxRequest, decode, encode};
use crate::step::Failure;
use crate::{Layers, Protections};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::net::sockopt;
use rustix::thread::UnshareFlags;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// How long the probing sandbox may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who makes sandboxes here, if anybody can, and what protects them.
pub(super) type Found = (Option<Maker>, Option<super::bare::BareMaker>, Protections);

/// Takes up the launcher's place and looks around. Without a maker, no sandbox can be made here, and the protections
/// say why.
pub(super) fn survey() -> Found {
    match take_place().and_then(|distinct| Maker::new(distinct, parent())) {
        Ok(mut maker) => match settle(&mut maker) {
            Ok(view) => {
                let protections = findings::protections(&maker, &view);
                (Some(maker), None, protections)
            }
            Err(failure) => {
                maker.close();
                (None, None, findings::nothing(&failure, &findings::Switches::read()))
            }
        },
        Err(error) => {
            let failure = Failure::new("launcher", &error);
            (None, None, findings::nothing(&failure, &findings::Switches::read()))
        }
    }
}

/// Makes sandboxes of a root image from now on, and looks around once more.
pub(super) fn rebase(maker: &mut Maker, image: &Path) -> Result<Protections, Failure> {
    maker.rebase(image).map_err(|error| Failure::new("base", &error))?;
    settle(maker).map(|view| findings::protections(maker, &view))
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
    let failed = |error: io::Error| Failure::new("survey", &error);
    let (near, lodger) = prober().map_err(failed)?;
    let request = lodger.request.clone();
    let made = maker.make(&request)?;
    let patience = sockopt::set_socket_timeout(&made.line, sockopt::Timeout::Recv, Some(PATIENCE));
    let mut inmate = Inmate::new(made, None, Role::Vacant { owner: None, lodger: None });
    let answer = patience.map_err(|error| failed(error.into())).and_then(|()| {
        lodging::heard(&mut inmate, true).unwrap_or_else(|| Err(failed(io::ErrorKind::TimedOut.into())))?;
        lodging::start(maker, &mut inmate, &lodger)?;
        drop(lodger);
        channel::receive(&near, true).map_err(failed)
    });
    maker.unkept = inmate.place.group.deviations();
    inmate.bury(maker);
    seen(answer?)
}

/// What a sandbox has seen of itself.
pub(super) fn seen(answer: Option<channel::Message>) -> Result<View, Failure> {
    let gone = || Failure::new("survey", &io::ErrorKind::BrokenPipe.into());
    let message = answer.ok_or_else(gone)?;
    decode::<View>(&message.bytes)
        .map_err(|error| decode(&message.bytes).unwrap_or_else(|_| Failure::new("survey", &error)))
}

/// Who looks around, and where it answers.
pub(super) fn prober() -> io::Result<(OwnedFd, Lodger)> {
    let (near, far) = channel::pair()?;
    sockopt::set_socket_timeout(&near, sockopt::Timeout::Recv, Some(PATIENCE))?;
    channel::send(&near, &encode(&Boot::Probe)?, &[])?;
    let (_, writer) = io::pipe()?;
    let ends =
        Ends { boot: Some(far), stdout: writer.try_clone()?.into(), stderr: writer.into(), control: None };
    let furniture = Furniture {
        binds: Vec::new(),
        tmp_bytes: 1 << 20,
        memory_bytes: 64 << 20,
        cpu_millis: 1000,
        cpu_weight: 512,
        pids: 16,
    };
    let request = SandboxRequest {
        furniture,
        listen: vec![9001],
        control: false,
        waits: false,
        layers: Layers::default(),
    };
    Ok((near, Lodger { request, ends }))
}
