//! Which system calls a sandboxed process may make: policies written as data, and their compiler to classic
//! BPF.
//!
//! A policy has three answers for what it does not allow. A known call is refused with EPERM, or with the
//! error that makes libraries take their other way. An unknown number gets ENOSYS. A call through a foreign
//! ABI (32-bit, x32) kills the process: no program of ours makes one by accident.
//!
//! Set-id bits are refused to `chmod` only. `open` with `O_CREAT` can also set them, and `openat2` hides its
//! mode from a filter; mounts are `nosuid` and `no_new_privs` holds, so the bits do nothing.

mod arguments;
mod compile;
mod function;
mod install;
mod numbers;
mod policy;
mod reach;
mod unpacker;

pub use compile::compile;
pub use install::install;
pub use numbers::{SYSCALLS, Syscall};
pub use policy::{Action, Arch, Clause, Network, Policy, Rule, Test, Verdict};

/// A compiled filter, ready for [`install`]. Compile it before forking: installing allocates nothing.
pub type Program = Vec<libc::sock_filter>;
