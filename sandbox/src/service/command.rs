//! Small, trusted commands of the host: no sandbox, but no privileges either.

use crate::kernel::{self, Forked};
use crate::protocol::Report;
use crate::step::Failure;
use rustix::process::{Pid, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// Starts one. If it cannot be executed, that is reported on `connection`.
pub(super) fn start(
    argv: &[String],
    env: &[(String, String)],
    connection: BorrowedFd<'_>,
    stdio: [&OwnedFd; 3],
) -> io::Result<(Pid, OwnedFd)> {
    let string = |text: String| CString::new(text).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let arguments = argv.iter().cloned().map(string).collect::<io::Result<Vec<_>>>()?;
    let environment =
        env.iter().map(|(name, value)| string(format!("{name}={value}"))).collect::<io::Result<Vec<_>>>()?;
    let program = arguments.first().ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: the launcher has one thread.
    match unsafe { kernel::fork(0, None) }? {
        Forked::Parent { pid, pidfd } => Ok((pid, pidfd)),
        Forked::Child => {
            let failed = leave_launcher(stdio).err();
            let error = failed.unwrap_or_else(|| kernel::execute(program, &arguments, &environment));
            super::member::tell(connection, &Report::Failed(Failure::new("program", &error)), &[]);
            kernel::exit_now(127)
        }
    }
}

fn leave_launcher(stdio: [&OwnedFd; 3]) -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::chdir("/")?;
    kernel::default_signals(&super::IGNORED_SIGNALS);
    for (number, fd) in (0..).zip(stdio) {
        kernel::duplicate_to(fd.as_fd(), number)?;
    }
    kernel::close_from(3, RawFd::MAX, true)?;
    if rustix::thread::capabilities(None)?.effective.contains(CapabilitySet::SETPCAP) {
        kernel::empty_bounding_set()?;
    }
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}
