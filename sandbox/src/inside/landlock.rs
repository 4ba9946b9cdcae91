//! Landlock: the mount view once more, as rules that hold even where a mount could be changed; and no signals or
//! abstract sockets across its border where the kernel knows such scopes.

use super::{Birth, Plan};
use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, Scope,
};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

pub(super) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Directories that may be written to.
const WRITABLE: [&str; 2] = ["/tmp", "/dev/shm"];

/// Empty, but for what is mounted in them for the program, now or when it is known what it is for.
const LATER: [&str; 2] = ["/var", "/opt"];

/// Restricts this process and all that it starts. A template gets no rules about files: its children, who would inherit
/// them, have others. Each takes on those that the sandbox it joins hands out.
pub(super) fn restrict(plan: &Plan<'_>, guests: &[PathBuf]) -> io::Result<()> {
    let rules =
        if matches!(plan.birth, Birth::Template(_)) { scopes(plan) } else { rules(plan, guests).map(Some) };
    let restricted = rules.and_then(|ruleset| match ruleset {
        Some(ruleset) => ruleset.restrict_self().map(|_| ()).map_err(Failed::from),
        None => Ok(()),
    });
    restricted.map_err(io::Error::other)
}

/// The rules for whoever joins this sandbox.
pub(super) fn for_others(plan: &Plan<'_>) -> io::Result<OwnedFd> {
    let fd: Option<OwnedFd> = rules(plan, &[]).map_err(io::Error::other)?.into();
    fd.ok_or(io::ErrorKind::Unsupported.into())
}

/// No signals and no abstract sockets across the border, where the kernel knows such scopes.
fn scopes(plan: &Plan<'_>) -> Result<Option<RulesetCreated>, Failed> {
    let scopes = Scope::from_all(ABI::from(plan.landlock_version));
    if scopes.is_empty() {
        return Ok(None);
    }
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    Ok(Some(ruleset.scope(scopes)?.create()?))
}

/// What a program may do with files: `guests` is where something was mounted since the sandbox was built.
fn rules(plan: &Plan<'_>, guests: &[PathBuf]) -> Result<RulesetCreated, Failed> {
    if let Some(bare) = plan.bare {
        return bare.rules(plan);
    }
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
    for guest in plan.request.furniture.binds.iter().map(|bind| &bind.guest).chain(guests) {
        let access = if guest.is_dir() { read } else { read & AccessFs::from_file(abi) };
        ruleset = allow(ruleset, guest, access)?;
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
        // What is mounted there later is found through what is above it.
        for path in LATER {
            ruleset = allow(ruleset, Path::new(path), read)?;
        }
    }
    Ok(ruleset)
}

/// Allows something below a path. What this root does not have needs no rule.
pub(super) fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Failed> {
    match PathFd::new(path) {
        Ok(fd) => Ok(ruleset.add_rule(PathBeneath::new(fd, access))?),
        Err(_) => Ok(ruleset),
    }
}

/// Everything but what makes or controls devices.
pub(super) fn writable(abi: ABI) -> BitFlags<AccessFs> {
    AccessFs::from_all(abi) & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev)
}

fn devices(abi: ABI) -> BitFlags<AccessFs> {
    let all = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile | AccessFs::IoctlDev;
    all & AccessFs::from_all(abi)
}
