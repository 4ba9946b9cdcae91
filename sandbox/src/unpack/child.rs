//! One forked child and its end.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};
use rustix::process::{getpid, getppid, set_parent_process_death_signal};
use rustix::process::{kill_process, pidfd_open, pidfd_send_signal, waitid, waitpid};

use crate::kernel;

/// A child of this process. Dropping it kills it and waits.
#[derive(Debug)]
pub(super) struct Child {
    pidfd: Option<OwnedFd>,
    pid: Pid,
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
    /// Forks; the child keeps the given descriptors and the writing end of a pipe, does the work, and ends.
    /// It dies with the calling thread.
    pub(super) fn fork(
        keep: &[RawFd],
        work: impl FnOnce(&mut PipeWriter),
    ) -> io::Result<(Child, PipeReader)> {
        let (answer, mut to_parent) = io::pipe()?;
        let parent = getpid();
        // SAFETY: needed since the child must share this program's code but not its life. The C library keeps
        // its allocator usable in a child of a process with threads; no other lock is taken by the work. The
        // child never returns from this function: it ends by `exit_now`, also if the work panics.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        let Some(pid) = Pid::from_raw(pid) else {
            let done = prepare(keep, &to_parent, parent)
                .is_ok_and(|()| catch_unwind(AssertUnwindSafe(|| work(&mut to_parent))).is_ok());
            kernel::exit_now(if done { 0 } else { 70 })
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok((Child { pidfd: Some(pidfd), pid }, answer)),
            Err(error) => {
                kill_process(pid, Signal::KILL)?;
                waitpid(Some(pid), WaitOptions::empty())?;
                Err(error.into())
            }
        }
    }

    /// Its number.
    pub(super) fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Kills the child if it is still there and says how it ended. The pipe closes only when the child has
    /// begun to end, and what it ends by is fixed then.
    pub(super) fn end(mut self) -> Ended {
        self.reap()
    }

    fn reap(&mut self) -> Ended {
        let Some(pidfd) = self.pidfd.take() else { return Ended::Unknown };
        // It can only fail because there is nothing left to kill.
        let _ = pidfd_send_signal(&pidfd, Signal::KILL);
        let status = loop {
            match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
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

/// The child's first steps.
fn prepare(keep: &[RawFd], answer: &PipeWriter, parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parent) {
        return Err(io::ErrorKind::NotConnected.into());
    }
    keep_only(keep.iter().copied().chain([answer.as_raw_fd()]).collect())?;
    kernel::reset_signals()
}

/// Closes every descriptor but these.
fn keep_only(mut keep: Vec<RawFd>) -> io::Result<()> {
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
