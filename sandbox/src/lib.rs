//! Isolation: the launcher process, the sandboxes that it makes, and the jailed child that unpacks packages.
//! The only crate that starts processes, and the only one with `unsafe` code.
//!
//! Two sides that share [`Spec`] and the messages of `protocol`:
//!
//! - the *server's side* ([`Launcher`], [`Sandbox`]): asynchronous, unprivileged, never forks;
//! - the *launcher's side* ([`run_launcher`]): one thread, privileged when it can be, no network, no secrets.
//!   It makes each sandbox's first process, which builds its own world step by step and then starts the function.
#![allow(unsafe_code)]

mod base;
mod cgroup;
mod channel;
mod error;
mod gauge;
mod identity;
mod inside;
mod kernel;
mod launcher;
mod netns;
mod probe;
mod processes;
mod protections;
mod protocol;
pub mod seccomp;
mod service;
mod spec;
mod step;
mod unpack;
mod veil;

pub use base::{ETC_LINKS, OWN_FOLDERS, etc_files};
pub use error::SandboxError;
pub use launcher::{Command, Launcher, LauncherOptions, Ran, Sandbox, Template};

/// The library that a Python template loads as the module `_dayfly` to fork itself: `serve(channel)`.
pub const PYTHON_ENTRY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/python.so"));

/// The same for Node, as an addon.
pub const NODE_ENTRY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/node.so"));

/// The library by which a JVM that waits takes on what it is told: `dayfly.runtime.Inside.become`.
pub const JAVA_ENTRY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/java.so"));
pub use protections::{Layer, Protections};
pub use spec::{Bind, Exit, Fault, Layers, Spec};
pub use step::STEPS;
pub use unpack::{UnpackError, UnpackLimits, Unpacked, Unpacking, unpack};

/// The argument of the launcher that makes it do without namespaces.
pub const MINIMAL: &str = "--minimal";

/// The life of the launcher process: serves the control socket on descriptor 3 until the server is gone, then ends
/// every sandbox and exits. The entry of a hidden subcommand; call it first thing in `main`, before any thread exists.
pub fn run_launcher() -> ! {
    let served = service::serve();
    if let Err(error) = &served {
        eprintln!("launcher: {error}");
    }
    std::process::exit(i32::from(served.is_err()))
}
