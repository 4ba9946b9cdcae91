//! What a sandbox shall be.

use crate::SandboxError;
use std::path::{Component, Path, PathBuf};

/// Bounds of one request; a function comes nowhere near them.
const MAX_BINDS: usize = 32;
const MAX_LISTENERS: usize = 16;

/// The kernel's own page of memory: less cannot be given.
const LEAST_BYTES: u64 = 4096;

/// A request for one sandbox.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// Names it in messages.
    pub id: String,
    /// Program (an absolute path inside the sandbox) and arguments.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Working directory inside, absolute.
    pub workdir: String,
    /// Host directories and files that appear read-only inside, besides the base system.
    pub binds: Vec<Bind>,
    /// Size of `/tmp`, in bytes. It lives in memory and counts against `memory_bytes`.
    pub tmp_bytes: u64,
    /// Memory of all its processes together, in bytes, swap included.
    pub memory_bytes: u64,
    /// The most processor time, in thousandths of one core.
    pub cpu_millis: u32,
    /// Share of processor time while there is not enough for all, against the weights of others: [`Spec::CORE_WEIGHT`]
    /// for one core's worth. 0 for just that.
    pub cpu_weight: u32,
    /// Most processes and threads at once.
    pub pids: u32,
    /// Ports on the loopback *inside* whose listening sockets are handed back.
    pub listen: Vec<u16>,
    /// Whether descriptor 3 is one end of a stream socket pair whose other end is handed back.
    pub control: bool,
    /// What a forked program finds on descriptor 3 from the start; at most what a socket holds, so some 100 KiB.
    pub greeting: Vec<u8>,
    /// Whether it is started before it is known what for: [`Sandbox::assign`](crate::Sandbox::assign) gives it its files
    /// and limits, once. Until then it has those of this spec.
    pub waits: bool,
    /// Layers of isolation; all on unless a test looks at one alone.
    pub layers: Layers,
}

impl Spec {
    /// The `cpu_weight` of what may take one core: the kernel's own default.
    pub const CORE_WEIGHT: u32 = 1024;

    /// `cpu_weight`, or what stands for 0.
    pub(crate) fn weight(&self) -> u32 {
        if self.cpu_weight == 0 { Self::CORE_WEIGHT } else { self.cpu_weight }
    }

    /// Whether it can be asked for.
    pub(crate) fn check(&self) -> Result<(), SandboxError> {
        self.check_program().and_then(|()| self.check_bounds())
    }

    fn check_program(&self) -> Result<(), SandboxError> {
        let no_nul = |text: &String| !text.contains('\0');
        let rules = [
            (
                self.argv.first().is_some_and(|program| program.starts_with('/')),
                "the program must be an absolute path",
            ),
            (self.argv.iter().all(no_nul), "an argument contains a NUL"),
            (
                self.env.iter().all(|(name, value)| {
                    !name.is_empty() && !name.contains('=') && no_nul(name) && no_nul(value)
                }),
                "an environment variable has no name, or contains a NUL",
            ),
            (is_plain(Path::new(&self.workdir)), "the working directory must be an absolute path without .."),
        ];
        first_broken(rules)
    }

    /// Whether a sandbox can have such bounds, whatever its program.
    pub(crate) fn check_bounds(&self) -> Result<(), SandboxError> {
        let rules = [
            (self.binds.len() <= MAX_BINDS, "too many binds"),
            (
                self.binds.iter().all(Bind::is_sound),
                "binds must be absolute UTF-8 paths without .., and not /",
            ),
            (self.listen.len() <= MAX_LISTENERS && !self.listen.contains(&0), "too many ports, or port 0"),
            (self.layers.network || self.listen.is_empty(), "listeners need a network of their own"),
            (self.memory_bytes >= LEAST_BYTES, "no memory is allowed"),
            (self.cpu_millis > 0 && self.pids > 0, "no processor time or no process is allowed"),
        ];
        first_broken(rules)
    }
}

fn first_broken<const N: usize>(rules: [(bool, &str); N]) -> Result<(), SandboxError> {
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, why)) => Err(SandboxError::Invalid(why.to_owned())),
        None => Ok(()),
    }
}

impl Bind {
    fn is_sound(&self) -> bool {
        let file_name = self.guest.file_name().is_some();
        file_name
            && [&self.host, &self.guest].into_iter().all(|path| is_plain(path) && path.to_str().is_some())
    }
}

/// Absolute and going down only. `/proc/self/fd/N` and the like would name descriptors, not places.
fn is_plain(path: &Path) -> bool {
    let mut parts = path.components();
    let text = path.as_os_str().as_encoded_bytes();
    parts.next() == Some(Component::RootDir)
        && parts.all(|part| matches!(part, Component::Normal(_)))
        && !text.contains(&0)
        && !path.starts_with("/proc")
}

/// A host path and where it appears inside, read-only. Both absolute, without `..`; the host path is resolved
/// by the launcher, the guest path may hold no symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bind {
    /// On the host.
    pub host: PathBuf,
    /// In the sandbox.
    pub guest: PathBuf,
}

/// Which layers of isolation a sandbox has. Production uses [`Layers::default`]: all of them. Tests switch others
/// off to prove one by itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "independent switches, one per layer")]
pub struct Layers {
    /// Own root file system; off: the host's files as the sandbox's user may see them.
    pub root: bool,
    /// Own network namespace.
    pub network: bool,
    /// Control group limits.
    pub cgroup: bool,
    /// Resource limits per process.
    pub rlimits: bool,
    /// Counters of the user namespace (nested namespaces, inotify).
    pub counters: bool,
    /// Capabilities dropped.
    pub capabilities: bool,
    /// A session keyring of its own.
    pub keyring: bool,
    /// System call filter.
    pub seccomp: bool,
    /// Landlock rules.
    pub landlock: bool,
    /// A setup step that shall fail, for tests.
    pub fault: Option<Fault>,
}

impl Default for Layers {
    fn default() -> Self {
        Self {
            root: true,
            network: true,
            cgroup: true,
            rlimits: true,
            counters: true,
            capabilities: true,
            keyring: true,
            seccomp: true,
            landlock: true,
            fault: None,
        }
    }
}

/// A failure to inject into the setup of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fault {
    /// The step that fails.
    pub step: String,
    /// The error number it fails with; 0 for none, but three seconds' hesitation.
    pub errno: i32,
}

/// How the function's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Spec {
        Spec {
            argv: vec!["/bin/true".to_owned()],
            workdir: "/".to_owned(),
            memory_bytes: 1 << 20,
            cpu_millis: 1,
            pids: 1,
            ..Spec::default()
        }
    }

    fn bind(host: &str, guest: &str) -> Bind {
        Bind { host: host.into(), guest: guest.into() }
    }

    #[test]
    fn refuses_what_cannot_be() {
        type Spoil = fn(&mut Spec);
        let cases: [(&str, Spoil); 16] = [
            ("absolute", |s| s.argv.clear()),
            ("absolute", |s| s.argv = vec!["true".into()]),
            ("NUL", |s| s.argv.push("a\0".into())),
            ("environment", |s| s.env.push((String::new(), "x".into()))),
            ("environment", |s| s.env.push(("A=B".into(), "x".into()))),
            ("environment", |s| s.env.push(("A".into(), "x\0".into()))),
            ("working", |s| s.workdir = "tmp".into()),
            ("working", |s| s.workdir = "/tmp/..".into()),
            ("working", |s| s.workdir = "/proc/self/fd/5".into()),
            ("binds", |s| s.binds = vec![bind("/x", "/")]),
            ("binds", |s| s.binds = vec![bind("/x", "/y/../z")]),
            ("binds", |s| s.binds = vec![bind("x", "/y")]),
            ("too many binds", |s| s.binds = vec![bind("/x", "/y"); 33]),
            ("port", |s| s.listen = vec![0]),
            ("memory", |s| s.memory_bytes = 0),
            ("process", |s| s.pids = 0),
        ];
        sound().check().unwrap();
        for (expected, spoil) in cases {
            let mut spec = sound();
            spoil(&mut spec);
            let error = spec.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error} should speak of {expected}");
        }
    }
}
