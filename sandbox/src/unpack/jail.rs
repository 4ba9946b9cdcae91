//! The confinement of the unpacking child. Its file system is the destination and nothing else; it has no
//! network, no capabilities, little memory and time, and hardly any system calls. A process id namespace
//! would add nothing: no call that it may make takes another process's id.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, open};
use rustix::mount::{MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};
use rustix::mount::{mount_change, move_mount, open_tree, unmount};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, fchdir, geteuid, pivot_root, setrlimit};
use rustix::process::{set_dumpable_behavior, set_parent_process_death_signal, umask};
use rustix::thread::{CapabilitySets, UnshareFlags, set_capabilities, set_no_new_privs, unshare_unsafe};

use crate::{kernel, seccomp};

/// The layers of the jail, each of which a test can leave out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layers {
    pub(super) namespaces: bool,
    pub(super) landlock: bool,
    pub(super) seccomp: bool,
}

impl Layers {
    /// As in production.
    pub(super) const ALL: Layers = Layers { namespaces: true, landlock: true, seccomp: true };
}

/// What the launcher prepares before the child exists.
pub(super) struct Jail {
    pub(super) layers: Layers,
    /// Compiled before the fork.
    pub(super) filter: seccomp::Program,
    /// Largest file, in bytes.
    pub(super) file_bytes: u64,
    /// Address space, in bytes: what the launcher has and what unpacking needs.
    pub(super) memory_bytes: u64,
    /// Whom the files shall belong to.
    pub(super) owner: (Uid, Gid),
}

/// Processor time of one unpacking, in seconds.
pub(super) const CPU_SECONDS: u64 = 120;

impl Jail {
    /// Shuts the calling process in for good; it must have one thread. Returns the destination as it is to be
    /// used from now on.
    ///
    /// # Errors
    /// Any layer that this machine has and that could not be set up, and the lack of both namespaces and
    /// Landlock.
    pub(super) fn enter(&self, destination: OwnedFd) -> io::Result<OwnedFd> {
        umask(Mode::empty());
        self.become_owner()?;
        let (destination, apart) = self.file_system(destination)?;
        self.limits()?;
        set_no_new_privs(true)?;
        let ruled = self.layers.landlock && landlock(destination.as_fd())?;
        if self.layers.namespaces && self.layers.landlock && !apart && !ruled {
            return Err(io::Error::other("this machine offers neither user namespaces nor Landlock"));
        }
        drop_capabilities()?;
        if self.layers.seccomp {
            seccomp::install(&self.filter)?;
        }
        Ok(destination)
    }

    fn become_owner(&self) -> io::Result<()> {
        let (uid, gid) = self.owner;
        if geteuid() == Uid::ROOT && uid != Uid::ROOT {
            rustix::thread::set_thread_groups(&[])?;
            rustix::thread::set_thread_res_gid(gid, gid, gid)?;
            rustix::thread::set_thread_res_uid(uid, uid, uid)?;
            // A change of user hides /proc/self, where the identity maps are written, and forgets the death
            // signal.
            set_dumpable_behavior(DumpableBehavior::Dumpable)?;
            set_parent_process_death_signal(Some(Signal::KILL))?;
        }
        Ok(())
    }

    /// Makes the destination the root of a file system of its own, where namespaces can be had; says whether
    /// it did.
    fn file_system(&self, destination: OwnedFd) -> io::Result<(OwnedFd, bool)> {
        fchdir(&destination)?;
        if !self.layers.namespaces || !leave_namespaces()? {
            return Ok((destination, false));
        }
        drop(destination);
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let root = open_tree(CWD, ".", flags)?;
        let plain = kernel::ATTR_NOSUID | kernel::ATTR_NODEV | kernel::ATTR_NOEXEC;
        kernel::set_mount_attributes(root.as_fd(), plain, false)?;
        move_mount(&root, "", CWD, ".", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        fchdir(&root)?;
        pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        let root = open("/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        fchdir(&root)?;
        Ok((root, true))
    }

    fn limits(&self) -> io::Result<()> {
        let limits = [
            (Resource::Core, 0, 0),
            // SIGXCPU first, so that the parent can tell it from other deaths.
            (Resource::Cpu, CPU_SECONDS, CPU_SECONDS + 1),
            (Resource::As, self.memory_bytes, self.memory_bytes),
            (Resource::Fsize, self.file_bytes, self.file_bytes),
            (Resource::Nofile, 16, 16),
            (Resource::Memlock, 0, 0),
        ];
        for (resource, soft, hard) in limits {
            setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })?;
        }
        Ok(())
    }
}

/// Leaves every namespace that can be left. False where this machine allows none.
fn leave_namespaces() -> io::Result<bool> {
    let kinds = UnshareFlags::NEWNS
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    // SAFETY: the flags share no descriptor table and no memory away from other threads, of which there are
    // none.
    if unsafe { unshare_unsafe(kinds | UnshareFlags::NEWUSER) }.is_ok() {
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1", uid = uid.as_raw()))?;
        std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1", gid = gid.as_raw()))?;
        return Ok(true);
    }
    // SAFETY: as above. Root needs no user namespace to have the others.
    Ok(unsafe { unshare_unsafe(kinds) }.is_ok())
}

/// Lets new files, directories and links be made beneath the destination, and nothing else be done to files,
/// nor anything across its border. False where the kernel has no Landlock.
fn landlock(destination: BorrowedFd<'_>) -> io::Result<bool> {
    let make = AccessFs::MakeReg | AccessFs::MakeDir | AccessFs::MakeSym | AccessFs::WriteFile;
    let restrict = || -> Result<RestrictionStatus, RulesetError> {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V5))?
            .handle_access(AccessNet::from_all(ABI::V5))?
            .scope(Scope::from_all(ABI::V6))?
            .create()?
            .add_rule(PathBeneath::new(destination, make))?
            .restrict_self()
    };
    Ok(restrict().map_err(io::Error::other)?.ruleset != RulesetStatus::NotEnforced)
}

/// Empties all sets. The bounding set can only be emptied by those who have a capability to begin with.
fn drop_capabilities() -> io::Result<()> {
    match kernel::empty_bounding_set() {
        Err(error) if error.raw_os_error() != Some(libc::EPERM) => return Err(error),
        _ => {}
    }
    let none = CapabilitySets {
        effective: rustix::thread::CapabilitySet::empty(),
        permitted: rustix::thread::CapabilitySet::empty(),
        inheritable: rustix::thread::CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, none)?)
}

#[cfg(test)]
#[path = "jail_tests.rs"]
mod tests;
