//! The server's side of the launcher.

mod command;
mod sandbox;

pub use command::{Command, Ran};
pub use sandbox::Sandbox;

use crate::{Protections, SandboxError, Spec, UnpackError, UnpackLimits, Unpacked};
use std::path::Path;

/// How the launcher process is started.
#[derive(Debug, Clone, Default)]
pub struct LauncherOptions {
    /// Arguments that make the executable call [`crate::run_launcher`]: the hidden subcommand.
    pub arguments: Vec<String>,
}

/// The server's handle on its launcher process. Dropping it ends the launcher and every sandbox.
#[derive(Debug)]
pub struct Launcher {
    protections: Protections,
}

impl Launcher {
    /// Starts the launcher process with an empty environment. Call it before any secret is read and before any
    /// thread exists. `exe` is usually `/proc/self/exe`.
    ///
    /// # Errors
    /// [`SandboxError::Unsupported`] when not even the weakest sandbox can be made here.
    pub fn start(exe: &Path, options: LauncherOptions) -> Result<Self, SandboxError> {
        let _ = (exe, options);
        Err(SandboxError::LauncherGone)
    }

    /// Gives up every capability of this process for good, keeping its user. Call it after [`Launcher::start`] and
    /// before any thread exists.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn drop_server_privileges() -> Result<(), SandboxError> {
        Ok(())
    }

    /// What protects sandboxes here.
    pub fn protections(&self) -> &Protections {
        &self.protections
    }

    /// Makes a sandbox and starts its program. Returns once the program is executing.
    ///
    /// # Errors
    /// [`SandboxError::Setup`] names the step; nothing ran and nothing is left then.
    pub async fn create(&self, spec: Spec) -> Result<Sandbox, SandboxError> {
        let _ = spec;
        Err(SandboxError::LauncherGone)
    }

    /// Runs a small, trusted command of the host, unsandboxed, e.g. `node --version`.
    ///
    /// # Errors
    /// [`SandboxError::TimedOut`] after `command.timeout`; it is killed then.
    pub async fn run(&self, command: Command) -> Result<Ran, SandboxError> {
        let _ = command;
        Err(SandboxError::LauncherGone)
    }

    /// Unpacks a package in a jailed child. `dest` appears whole or not at all.
    ///
    /// # Errors
    /// See [`UnpackError`].
    pub async fn unpack(&self, zip: &Path, dest: &Path, limits: UnpackLimits) -> Result<Unpacked, UnpackError> {
        let _ = (zip, dest, limits);
        Err(UnpackError::Failed("the launcher process is gone".to_owned()))
    }
}
