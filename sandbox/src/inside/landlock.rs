//! Landlock: the mount view once more, as rules that hold even where a mount could be changed; and no signals or
//! abstract sockets across its border where the kernel knows such scopes.

use super::Plan;
use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use std::io;
use std::path::Path;

/// What is readable, besides what the spec binds.
const READABLE: [&str; 12] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/etc",
    "/opt",
    "/var/task",
    "/var/runtime",
];

/// What is writable.
const WRITABLE: [&str; 2] = ["/tmp", "/dev/shm"];

/// Restricts this process and all that it starts.
pub(super) fn restrict(plan: &Plan<'_>) -> io::Result<()> {
    build(plan).map_err(io::Error::other)
}

fn build(plan: &Plan<'_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let abi = ABI::from(plan.landlock_version);
    let read = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
    let devices = (AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile | AccessFs::IoctlDev)
        & AccessFs::from_all(abi);
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    let scopes = Scope::from_all(abi);
    let ruleset = if scopes.is_empty() { ruleset } else { ruleset.scope(scopes)? };
    let mut ruleset = ruleset.create()?;
    let mut allow = |path: &Path, access: BitFlags<AccessFs>| {
        // What this root does not have needs no rule.
        let Ok(fd) = PathFd::new(path) else { return Ok(()) };
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(abi) };
        (&mut ruleset).add_rule(PathBeneath::new(fd, access)).map(|_| ())
    };
    for path in READABLE {
        allow(Path::new(path), read)?;
    }
    for bind in &plan.request.binds {
        allow(&bind.guest, read)?;
    }
    for path in WRITABLE {
        allow(Path::new(path), writable(abi))?;
    }
    allow(Path::new("/dev"), devices)?;
    allow(Path::new("/proc"), AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile)?;
    if plan.root.is_some() {
        // Names only, and only since all of them are ours.
        allow(Path::new("/"), AccessFs::ReadDir.into())?;
    }
    ruleset.restrict_self()?;
    Ok(())
}

/// Everything that makes no device.
fn writable(abi: ABI) -> BitFlags<AccessFs> {
    AccessFs::from_all(abi) & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev)
}
