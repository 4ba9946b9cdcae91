//! One forked child and its end.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use rustix::process::{kill_process, pidfd_open, pidfd_send_signal, waitid};

use crate::kernel;

/// A child of this process. Dropping it kills it and waits.
#[derive(Debug)]
pub(super) struct Child {
    pidfd: Option<OwnedFd>,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Code(i32),
    Signal(i32),
    /// Somebody else has waited for it.
    Unknown,
}

impl Child {
    /// Forks; the child keeps the given descriptors, does the work, and ends.
    pub(super) fn fork(keep: [RawFd; 3], work: impl FnOnce()) -> io::Result<Child> {
        // SAFETY: needed since the child must share this program's code but not its life. The C library keeps its allocator
        // usable in a child of a process with threads; no other lock is taken by the work. The child never returns from
        // this function: it ends by `exit_now`, also if the work panics.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let done = keep_only(keep)
                    .and_then(|()| kernel::reset_signals())
                    .is_ok_and(|()| catch_unwind(AssertUnwindSafe(work)).is_ok());
                kernel::exit_now(if done { 0 } else { 70 })
            }
            pid => {
                let pid = Pid::from_raw(pid).expect("fork answers a positive number in the parent");
                match pidfd_open(pid, PidfdFlags::empty()) {
                    Ok(pidfd) => Ok(Child { pidfd: Some(pidfd) }),
                    Err(error) => {
                        kill_process(pid, Signal::KILL)?;
                        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())?;
                        Err(error.into())
                    }
                }
            }
        }
    }

    /// Kills the child if it is still there and says how it ended. A child that has begun to end keeps its own way.
    pub(super) fn end(mut self) -> Ended {
        self.reap()
    }

    fn reap(&mut self) -> Ended {
        let Some(pidfd) = self.pidfd.take() else { return Ended::Unknown };
        // It can only fail because there is nothing left to kill.
        let _ = pidfd_send_signal(&pidfd, Signal::KILL);
        let status = loop {
            match waitid(WaitId::PidFd(std::os::fd::AsFd::as_fd(&pidfd)), WaitIdOptions::EXITED) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(Some(status)) => break status,
                Ok(None) | Err(_) => return Ended::Unknown,
            }
        };
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ended::Code(code),
            (_, Some(signal)) => Ended::Signal(signal),
            _ => Ended::Unknown,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.reap();
    }
}

/// Closes every descriptor but these.
fn keep_only(mut keep: [RawFd; 3]) -> io::Result<()> {
    keep.sort_unstable();
    let mut first = 0;
    for kept in keep {
        if kept > first {
            kernel::close_from(first, kept - 1, false)?;
        }
        first = kept + 1;
    }
    kernel::close_from(first, RawFd::MAX, false)
}
