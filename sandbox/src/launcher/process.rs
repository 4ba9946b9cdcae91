//! The launcher as a process: how it starts, and how it ends.

use crate::channel;
use crate::kernel;
use crate::protocol::{CONTROL, Hello, decode};
use crate::{Protections, SandboxError};
use rustix::net::sockopt;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long the launcher may take until it is ready.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How often the launcher is looked at while it ends, and for how long: a second for all its sandboxes to die.
const END_POLL: Duration = Duration::from_millis(1);
const END_POLLS: u32 = 5_000;

/// How the launcher process is started.
#[derive(Debug, Clone, Default)]
pub struct LauncherOptions {
    /// Arguments that make the executable call [`crate::run_launcher`]: the hidden subcommand.
    pub arguments: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Process {
    control: Option<OwnedFd>,
    child: Child,
    protections: Protections,
}

impl Process {
    pub(super) fn start(exe: &Path, options: &LauncherOptions) -> Result<Self, SandboxError> {
        raise_descriptor_limit()?;
        let (control, far_control) = channel::pair()?;
        let child = spawn(exe, options, &far_control)?;
        drop(far_control);
        let mut process =
            Self { control: Some(control), child, protections: Protections { level: 0, layers: Vec::new() } };
        let control = process.control();
        sockopt::set_socket_timeout(control, sockopt::Timeout::Recv, Some(START_PATIENCE))
            .map_err(io::Error::from)?;
        let hello = channel::receive(control, true)?.ok_or(SandboxError::LauncherGone)?;
        process.protections = decode::<Hello>(&hello.bytes)?.protections;
        Ok(process)
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn protections(&self) -> &Protections {
        &self.protections
    }

    /// Notes what the launcher has found since.
    pub(super) fn protected(&mut self, protections: Protections) -> Result<(), SandboxError> {
        self.protections = protections;
        self.supported()
    }

    pub(super) fn control(&self) -> BorrowedFd<'_> {
        self.control.as_ref().expect("it is taken only when this is dropped").as_fd()
    }

    /// Whether sandboxes can be made at all.
    pub(super) fn supported(&self) -> Result<(), SandboxError> {
        if self.protections.level > 0 {
            return Ok(());
        }
        let layer = self.protections.missing().next().cloned();
        let (why, fix) = layer.map(|layer| (layer.why_missing, layer.how_to_fix)).unwrap_or_default();
        Err(SandboxError::Unsupported { why: why.unwrap_or_default(), fix: fix.unwrap_or_default() })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.control = None;
        for _ in 0..END_POLLS {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(END_POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Each sandbox takes a dozen descriptors here and as many in the launcher, which inherits the limit.
fn raise_descriptor_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

fn spawn(exe: &Path, options: &LauncherOptions, control: &OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(exe);
    command.args(&options.arguments).env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    let control = control.as_raw_fd();
    // SAFETY: between fork and exec only system calls are made, on descriptors that are open in the parent meanwhile.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            let control = BorrowedFd::borrow_raw(control);
            if control.as_raw_fd() == CONTROL {
                rustix::io::fcntl_setfd(control, rustix::io::FdFlags::empty())?;
            } else {
                kernel::duplicate_to(control, CONTROL)?;
            }
            kernel::close_from(CONTROL + 1, i32::MAX, true)
        });
    }
    command.spawn()
}

/// See [`crate::Launcher::drop_server_privileges`].
pub(super) fn drop_privileges() -> io::Result<()> {
    let sets = rustix::thread::capabilities(None)?;
    if sets.effective.contains(CapabilitySet::SETPCAP) {
        kernel::empty_bounding_set()?;
    }
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
