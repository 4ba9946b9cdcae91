//! What a sandbox sees of itself, to be compared with what it should be.

use rustix::fs::{Mode, OFlags, open};
use serde::{Deserialize, Serialize};

/// Seen from inside, by the first process, when it would otherwise start the program.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "independent observations")]
pub(crate) struct View {
    /// No capability is in any set.
    pub(crate) no_capabilities: bool,
    pub(crate) no_new_privileges: bool,
    /// A system call filter is installed.
    pub(crate) filtered: bool,
    /// A file could be made where nothing may be written.
    pub(crate) root_writable: bool,
    /// The host's file systems can be reached.
    pub(crate) host_visible: bool,
    /// A namespace could be made.
    pub(crate) can_unshare: bool,
    pub(crate) user: u32,
    /// Which folder `/usr` is: device and number.
    pub(crate) programs: Option<(u64, u64)>,
}

/// Which folder `/usr` is, as this process sees it.
pub(crate) fn programs() -> Option<(u64, u64)> {
    rustix::fs::stat("/usr").ok().map(|found| (found.st_dev, found.st_ino))
}

impl View {
    /// Looks around and tries what must not work.
    pub(crate) fn look() -> Self {
        let sets = rustix::thread::capabilities(None);
        let made = open("/var/probe", OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR);
        // SAFETY: if it works, which it must not, this process is about to end.
        let unshared = unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWUTS) };
        Self {
            no_capabilities: sets
                .is_ok_and(|sets| (sets.effective | sets.permitted | sets.inheritable).is_empty()),
            no_new_privileges: rustix::thread::no_new_privs().unwrap_or(false),
            filtered: rustix::thread::secure_computing_mode()
                .is_ok_and(|mode| mode == rustix::thread::SecureComputingMode::Filter),
            root_writable: made.is_ok(),
            host_visible: rustix::fs::stat("/sys/kernel").is_ok()
                || rustix::fs::stat("/proc/sys/kernel").is_ok(),
            can_unshare: unshared.is_ok(),
            user: rustix::process::getuid().as_raw(),
            programs: programs(),
        }
    }
}
