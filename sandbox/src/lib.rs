//! Isolation: the launcher process, the sandboxes that it makes, and the jailed child that unpacks packages.
//! The only crate that starts processes, and the only one with `unsafe` code.
//!
//! Two sides that share [`Spec`] and the messages of `protocol`:
//!
//! - the *server's side* ([`Launcher`], [`Sandbox`]): asynchronous, unprivileged, never forks;
//! - the *launcher's side* ([`run_launcher`]): one thread, privileged when it can be, no network, no secrets.
//!   It makes each sandbox's first process, which builds its own world step by step and then starts the function.
#![allow(unsafe_code)]

mod error;
mod launcher;
mod protections;
pub mod seccomp;
mod spec;
mod unpack;

pub use error::SandboxError;
pub use launcher::{Command, Launcher, LauncherOptions, Ran, Sandbox};
pub use protections::{Layer, Protections};
pub use spec::{Bind, Exit, Fault, Layers, Spec};
pub use unpack::{UnpackError, UnpackLimits, Unpacked, Unpacking, unpack};

/// The life of the launcher process: serves the control socket on descriptor 3 until the server is gone, then ends
/// every sandbox and exits. The entry of a hidden subcommand; call it first thing in `main`, before any thread exists.
pub fn run_launcher() -> ! {
    std::process::exit(70)
}
