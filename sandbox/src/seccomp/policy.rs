//! What a policy is made of.

/// Machine architectures that have a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Arch {
    /// The architecture that this program runs on.
    pub const NATIVE: Arch = if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 };
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It runs.
    Allow,
    /// It returns this error number without running.
    Errno(u16),
    /// The whole process dies by SIGSYS.
    Kill,
}

/// Whether the sandbox has a network beyond loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Loopback only.
    Loopback,
    /// Routed: routes and interfaces may be asked for (`NETLINK_ROUTE`).
    Routed,
}

/// A policy.
#[derive(Debug)]
pub struct Policy {
    _rules: (),
}

impl Policy {
    /// For functions, whatever their language.
    pub fn function(network: Network) -> &'static Policy {
        let _ = network;
        &Policy { _rules: () }
    }

    /// For the child that unpacks archives.
    pub fn unpacker() -> &'static Policy {
        &Policy { _rules: () }
    }
}
