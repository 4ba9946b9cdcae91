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

/// Whether this sandbox has this layer.
pub(super) fn wanted(plan: &Plan<'_>) -> bool {
    plan.request.layers.landlock && plan.landlock_version > 0
}

/// Restricts this process and all that it starts. A template gets no rules about files: its children, who would inherit
/// them, have others. Each takes on those that the sandbox it joins hands out.
pub(super) fn restrict(plan: &Plan<'_>) -> io::Result<()> {
    let rules = if matches!(plan.birth, Birth::Template(_)) { scopes(plan) } else { rules(plan).map(Some) };
    let restricted = rules.and_then(|ruleset| match ruleset {
        Some(ruleset) => ruleset.restrict_self().map(|_| ()).map_err(Failed::from),
        None => Ok(()),
    });
    restricted.map_err(io::Error::other)
}

/// The rules for whoever joins this sandbox.
pub(super) fn for_others(plan: &Plan<'_>) -> io::Result<OwnedFd> {
    let fd: Option<OwnedFd> = rules(plan).map_err(io::Error::other)?.into();
    fd.ok_or(io::ErrorKind::Unsupported.into())
}

/// Rules to take on later, when it is known what else is mounted.
pub(super) fn prepare(plan: &Plan<'_>) -> io::Result<RulesetCreated> {
    rules(plan).map_err(io::Error::other)
}

/// Takes on prepared rules; `guests` is where something was mounted since.
pub(super) fn take_on(plan: &Plan<'_>, ruleset: RulesetCreated, guests: &[PathBuf]) -> io::Result<()> {
    let ruleset = guests.iter().try_fold(ruleset, |ruleset, guest| allow_guest(plan, ruleset, guest));
    let restricted = ruleset.and_then(|ruleset| Ok(ruleset.restrict_self()?));
    restricted.map(|_| ()).map_err(io::Error::other)
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

/// What a program may do with files.
fn rules(plan: &Plan<'_>) -> Result<RulesetCreated, Failed> {
    if let Some(bare) = plan.bare {
        return bare.rules(plan);
    }
    let abi = ABI::from(plan.landlock_version);
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    let scopes = Scope::from_all(abi);
    let ruleset = if scopes.is_empty() { ruleset } else { ruleset.scope(scopes)? };
    let mut ruleset = ruleset.create()?;
    for path in plan.readable {
        ruleset = allow(ruleset, path, reading())?;
    }
    for bind in &plan.request.furniture.binds {
        ruleset = allow_guest(plan, ruleset, &bind.guest)?;
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
            ruleset = allow(ruleset, Path::new(path), reading())?;
        }
    }
    Ok(ruleset)
}

fn reading() -> BitFlags<AccessFs> {
    AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir
}

/// Allows what was mounted for the program to be read. Below [`LATER`] it is already.
fn allow_guest(plan: &Plan<'_>, ruleset: RulesetCreated, guest: &Path) -> Result<RulesetCreated, Failed> {
    if plan.root.is_some() && LATER.iter().any(|later| guest.starts_with(later)) {
        return Ok(ruleset);
    }
    let file = AccessFs::from_file(ABI::from(plan.landlock_version));
    allow(ruleset, guest, if guest.is_dir() { reading() } else { reading() & file })
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
