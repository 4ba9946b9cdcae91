//! What a sandbox shall be.

use std::path::PathBuf;

/// A request for one sandbox.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// Names it in cgroups and messages: 1 to 64 of `[A-Za-z0-9_-]`, unique among the living.
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
    /// Share of processor time, in thousandths of one core.
    pub cpu_millis: u32,
    /// Most processes and threads at once.
    pub pids: u32,
    /// Ports on the loopback *inside* whose listening sockets are handed back.
    pub listen: Vec<u16>,
    /// Whether descriptor 3 is one end of a stream socket pair whose other end is handed back.
    pub control: bool,
    /// Layers of isolation; all on unless a test looks at one alone.
    pub layers: Layers,
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
    /// The error number it fails with.
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
