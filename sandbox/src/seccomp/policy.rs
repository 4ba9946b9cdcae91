//! What a policy is made of, and what it says about one call.

use super::numbers::{SYSCALLS, Syscall};
use super::{function, unpacker};

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

    /// The `AUDIT_ARCH_*` number under which the kernel reports its calls.
    pub fn audit(self) -> u32 {
        match self {
            Arch::X86_64 => 0xc000_003e,
            Arch::Aarch64 => 0xc000_00b7,
        }
    }

    /// The first call number that belongs to a foreign ABI of the same architecture (x32), if there is one.
    pub fn foreign_from(self) -> Option<u32> {
        match self {
            Arch::X86_64 => Some(0x4000_0000),
            Arch::Aarch64 => None,
        }
    }
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It runs.
    Allow,
    /// It returns this error number without running; 0 looks like success.
    Errno(u16),
    /// The whole process dies by SIGSYS.
    Kill,
}

impl Action {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "error numbers are small and positive"
    )]
    pub(super) const fn errno(number: i32) -> Action {
        Action::Errno(number as u16)
    }
}

/// Whether the sandbox has a network beyond loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Loopback only.
    Loopback,
    /// Routed: routes and interfaces may be asked for (`NETLINK_ROUTE`).
    Routed,
}

/// True when the low 32 bits of an argument, masked, are one of some values. Only those bits, since every
/// argument that a policy looks at to let a call through is a C `int` or shorter: the kernel drops the upper
/// ones, and a filter that compared them could be passed by setting one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Test {
    /// Which argument, from 0.
    pub argument: u8,
    /// The bits that count.
    pub mask: u32,
    /// The values to find in them.
    pub any_of: &'static [u32],
}

impl Test {
    fn holds(&self, arguments: &[u64; 6]) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "the low half is what the kernel reads")]
        let low = arguments[usize::from(self.argument)] as u32;
        self.any_of.contains(&(low & self.mask))
    }
}

/// If all tests hold, the action is taken and the later clauses are not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clause {
    /// What must hold.
    pub when: &'static [Test],
    /// What is done then.
    pub then: Action,
}

/// What a policy says about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same whatever its arguments.
    Always(Action),
    /// By its arguments: the first clause that holds, or else the action.
    ByArguments(&'static [Clause], Action),
}

impl Verdict {
    /// The action for a call with these arguments.
    pub fn decide(self, arguments: &[u64; 6]) -> Action {
        match self {
            Verdict::Always(action) => action,
            Verdict::ByArguments(clauses, otherwise) => clauses
                .iter()
                .find(|clause| clause.when.iter().all(|test| test.holds(arguments)))
                .map_or(otherwise, |clause| clause.then),
        }
    }
}

/// One line of a policy.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Names of calls.
    pub calls: &'static [&'static str],
    /// What happens to each of them.
    pub verdict: Verdict,
}

/// A policy: what happens to each call that it names. A call that is known by number but not named is refused
/// with EPERM; an unknown one with ENOSYS, so that calls of newer kernels look unimplemented and libraries
/// take their older way.
#[derive(Debug)]
pub struct Policy {
    /// Its name in messages.
    pub name: &'static str,
    /// Its rules; no call is named twice.
    pub rules: &'static [&'static [Rule]],
}

impl Policy {
    /// For functions, whatever their language.
    pub fn function(network: Network) -> &'static Policy {
        match network {
            Network::Loopback => &function::LOOPBACK,
            Network::Routed => &function::ROUTED,
        }
    }

    /// For functions that no namespace keeps apart.
    pub fn bare() -> &'static Policy {
        &function::BARE
    }

    /// For templates, whose children become functions.
    pub fn template() -> &'static Policy {
        &function::TEMPLATE
    }

    /// For the child that unpacks archives.
    pub fn unpacker() -> &'static Policy {
        &unpacker::UNPACKER
    }

    /// What happens to a call by number, made through the architecture's own ABI. This is the meaning of the
    /// policy; the compiled filter must agree with it.
    pub fn decide(&self, arch: Arch, number: u32, arguments: &[u64; 6]) -> Action {
        if arch.foreign_from().is_some_and(|first| number >= first) {
            return Action::Kill;
        }
        let known = SYSCALLS.iter().find(|call| call.number(arch) == Some(number));
        known.map_or(UNKNOWN, |call| self.verdict(call)).decide(arguments)
    }

    /// What the policy says about a known call.
    pub fn verdict(&self, call: &Syscall) -> Verdict {
        let mut rules = self.rules.iter().copied().flatten();
        rules.find(|rule| rule.calls.contains(&call.name)).map_or(REFUSED, |rule| rule.verdict)
    }
}

/// What happens to a call whose number is in no table.
pub(super) const UNKNOWN: Verdict = Verdict::Always(Action::errno(libc::ENOSYS));

/// What happens to a known call that the policy does not name.
pub(super) const REFUSED: Verdict = Verdict::Always(Action::errno(libc::EPERM));
