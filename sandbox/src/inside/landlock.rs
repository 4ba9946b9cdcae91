//! Landlock: the mount view once more, as rules that hold even where a mount could be changed; and no signals or
//! abstract sockets across its border where the kernel knows such scopes.

use super::Plan;
use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, Scope,
};
use std::io;
use std::path::Path;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Directories that may be written to.
const WRITABLE: [&str; 2] = ["/tmp", "/dev/shm"];

/// Restricts this process and all that it starts.
pub(super) fn restrict(plan: &Plan<'_>) -> io::Result<()> {
    let restricted = rules(plan).and_then(|ruleset| ruleset.restrict_self().map_err(Failed::from));
    restricted.map(|_| ()).map_err(io::Error::other)
}

fn rules(plan: &Plan<'_>) -> Result<RulesetCreated, Failed> {
    let abi = ABI::from(plan.landlock_version);
    let read = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    let scopes = Scope::from_all(abi);
    let ruleset = if scopes.is_empty() { ruleset } else { ruleset.scope(scopes)? };
    let mut ruleset = ruleset.create()?;
    for path in plan.readable {
        ruleset = allow(ruleset, path, read)?;
    }
    for bind in &plan.request.binds {
        let access = if bind.guest.is_dir() { read } else { read & AccessFs::from_file(abi) };
        ruleset = allow(ruleset, &bind.guest, access)?;
    }
    for path in WRITABLE {
        ruleset = allow(ruleset, Path::new(path), writable(abi))?;
    }
    ruleset = allow(ruleset, Path::new("/dev"), devices(abi))?;
    ruleset =
        allow(ruleset, Path::new("/proc"), AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile)?;
    if plan.root.is_some() {
        // Names only, and only since all of them are ours.
        ruleset = allow(ruleset, Path::new("/"), AccessFs::ReadDir.into())?;
    }
    Ok(ruleset)
}

/// Allows something below a path. What this root does not have needs no rule.
fn allow(ruleset: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, Failed> {
    match PathFd::new(path) {
        Ok(fd) => Ok(ruleset.add_rule(PathBeneath::new(fd, access))?),
        Err(_) => Ok(ruleset),
    }
}

/// Everything but what makes or controls devices.
fn writable(abi: ABI) -> BitFlags<AccessFs> {
    AccessFs::from_all(abi) & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev)
}

fn devices(abi: ABI) -> BitFlags<AccessFs> {
    let all = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile | AccessFs::IoctlDev;
    all & AccessFs::from_all(abi)
}
