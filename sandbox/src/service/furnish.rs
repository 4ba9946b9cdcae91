//! What a sandbox gets when it is known what it is for: its files, its limits.

use super::maker::{Maker, limits_of};
use super::member::{Inmate, Role};
use crate::base::attach;
use crate::inside::largest_file;
use crate::protocol::Furniture;
use crate::step::Failure;
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fsconfig_set_string, fspick};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Once for each sandbox that waits; what fails halfway is of no use.
pub(super) fn furnish(maker: &mut Maker, inmate: &mut Inmate, furniture: &Furniture) -> Result<(), Failure> {
    let failed = |step: &'static str| move |error: io::Error| Failure::new(step, &error);
    let gone = || Failure::new("fork", &io::ErrorKind::NotFound.into());
    if !std::mem::take(&mut inmate.waits) {
        return Err(Failure::new("assign", &io::Error::other("it does not wait for its work")));
    }
    let limits =
        limits_of(furniture.memory_bytes, furniture.cpu_millis, furniture.cpu_weight, furniture.pids);
    inmate.place.group.limit(&limits).map_err(failed("cgroup"))?;
    inmate.place.group.entered();
    inmate.watch_memory(furniture.memory_bytes);
    if !maker.bounds_memory() {
        for pid in inmate.programs() {
            bound(pid, furniture.memory_bytes).map_err(failed("rlimits"))?;
        }
    }
    if matches!(inmate.role, Role::Waiting(_)) && furniture.tmp_bytes > 0 {
        let most = largest_file(furniture.tmp_bytes);
        for pid in inmate.programs() {
            // The owner of its namespaces may, with no capability of the host's.
            let lowered = inmate.place.identity.wear(|| lower(pid, Resource::Fsize, most));
            lowered.map_err(failed("rlimits"))?;
        }
    }
    let trees = furniture.binds.iter().map(|bind| {
        let folder = bind.host.metadata()?.is_dir();
        maker.base.ensure(&bind.guest, folder)?;
        Ok((maker.base.bind(bind)?, bind.guest.as_path()))
    });
    let trees = trees.collect::<io::Result<Vec<_>>>().map_err(failed("bind"))?;
    let mounts = inmate.mounts().ok_or_else(gone)?;
    within(&mounts, &maker.mounts, || {
        // Read-only, and the launcher's own: nothing that lives in there can change what these names mean.
        let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        trees.iter().try_for_each(|(tree, guest)| attach(tree.as_fd(), root.as_fd(), guest))?;
        if furniture.tmp_bytes == 0 { Ok(()) } else { resize_tmp(furniture.tmp_bytes) }
    })
    .map_err(failed("binds"))
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
    fsconfig_set_string(&filesystem, "size", bytes.max(4096).to_string())?;
    Ok(fsconfig_reconfigure(&filesystem)?)
}

/// Where no control group bounds memory: the limit of each process, which may only fall.
pub(super) fn bound(pid: Pid, memory_bytes: u64) -> io::Result<()> {
    lower(pid, Resource::Data, crate::inside::most_data(memory_bytes))
}

fn lower(pid: Pid, resource: Resource, most: u64) -> io::Result<()> {
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    Ok(prlimit(Some(pid), resource, limit).map(|_| ())?)
}
