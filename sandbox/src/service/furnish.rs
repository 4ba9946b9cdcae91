//! What a sandbox gets when it is known what it is for: its files, its limits.

use super::maker::{Maker, limits};
use super::member::{Inmate, Role};
use crate::Bind;
use crate::base::attach;
use crate::inside::{largest_file, most_data, tmpfs_room};
use crate::protocol::Furniture;
use crate::step::{Failure, Steps};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fsconfig_set_string, fspick};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Gives a program that waits its work, once; what fails halfway is of no use.
pub(super) fn assign(maker: &mut Maker, inmate: &mut Inmate, furniture: &Furniture) -> Result<(), Failure> {
    if !std::mem::take(&mut inmate.waits) {
        return Err(Failure::new("assign", &io::Error::other("it does not wait for its work")));
    }
    furnish(maker, inmate, furniture, Steps(None))?;
    let rlimits = |error: io::Error| Failure::new("rlimits", &error);
    for pid in inmate.programs() {
        if !maker.bounds_memory() {
            bound(pid, furniture.memory_bytes).map_err(rlimits)?;
        }
        if matches!(inmate.role, Role::Program) && furniture.tmp_bytes > 0 {
            let most = largest_file(furniture.tmp_bytes);
            // The owner of its namespaces may, with no capability of the host's.
            inmate.place.identity.wear(|| lower(pid, Resource::Fsize, most)).map_err(rlimits)?;
        }
    }
    Ok(())
}

/// Sets its limits and mounts what it has not yet.
pub(super) fn furnish(
    maker: &mut Maker,
    inmate: &mut Inmate,
    furniture: &Furniture,
    steps: Steps<'_>,
) -> Result<(), Failure> {
    steps.take("cgroup", || inmate.place.group.limit(&limits(furniture)))?;
    inmate.watch_memory(furniture.memory_bytes);
    let built = inmate.quarters.furniture.as_ref();
    let lacking = |bind: &&Bind| built.is_none_or(|built| !built.binds.contains(bind));
    let trees = steps.take("bind", || {
        let lacking = furniture.binds.iter().filter(lacking);
        lacking.map(|bind| Ok((maker.place(bind)?, bind.guest.as_path()))).collect::<io::Result<Vec<_>>>()
    })?;
    let tmp_bytes = Some(furniture.tmp_bytes)
        .filter(|bytes| *bytes > 0 && built.is_none_or(|built| built.tmp_bytes != *bytes));
    if trees.is_empty() && tmp_bytes.is_none() {
        return Ok(());
    }
    steps.take("binds", || {
        let mounts = inmate.quarters.mounts().ok_or(io::ErrorKind::NotFound)?;
        within(mounts, &maker.mounts, || {
            // Read-only, and the launcher's own: nothing that lives in there can change what these names mean.
            let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            trees.iter().try_for_each(|(tree, guest)| attach(tree.as_fd(), root.as_fd(), guest))?;
            tmp_bytes.map_or(Ok(()), resize_tmp)
        })
    })
}

/// Works in another mount namespace, and returns.
fn within(mounts: &OwnedFd, home: &OwnedFd, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
    let done = work();
    move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Mount))
        .expect("the launcher may return to its own mount namespace");
    done
}

fn resize_tmp(bytes: u64) -> io::Result<()> {
    let filesystem = fspick(CWD, "/tmp", FsPickFlags::FSPICK_CLOEXEC)?;
    for (name, value) in tmpfs_room(bytes) {
        fsconfig_set_string(&filesystem, name, value.to_string())?;
    }
    Ok(fsconfig_reconfigure(&filesystem)?)
}

/// Where no control group bounds memory: the limit of each process, which may only fall.
pub(super) fn bound(pid: Pid, memory_bytes: u64) -> io::Result<()> {
    lower(pid, Resource::Data, most_data(memory_bytes))
}

/// Where no control group bounds processes either. A copy of a loaded function could have left its own limit as it was.
pub(super) fn bound_processes(pid: Pid, most: u32) -> io::Result<()> {
    lower(pid, Resource::Nproc, most.into())
}

fn lower(pid: Pid, resource: Resource, most: u64) -> io::Result<()> {
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    Ok(prlimit(Some(pid), resource, limit).map(|_| ())?)
}
