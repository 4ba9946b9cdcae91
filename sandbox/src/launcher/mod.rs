//! The server's side of the launcher.

mod command;
mod line;
mod process;
mod sandbox;
mod template;

pub use command::{Command, Ran};
pub use process::LauncherOptions;
pub use sandbox::Sandbox;
pub use template::Template;

use crate::channel;
use crate::protocol::{Boot, Furniture, Report, Request, SandboxRequest, decode, encode};
use crate::step::Failure;
use crate::{Protections, SandboxError, Spec, UnpackError, UnpackLimits, Unpacked};
use line::Line;
use process::Process;
use sandbox::Pipes;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// How long the setup of a sandbox may take, until its program executes.
const SETUP_PATIENCE: Duration = Duration::from_secs(20);

/// The server's handle on its launcher process. Dropping it ends the launcher and every sandbox.
#[derive(Debug)]
pub struct Launcher {
    process: Process,
}

impl Launcher {
    /// Starts the launcher process with an empty environment and waits until it has probed this machine. Call it
    /// before any secret is read and before any thread exists. `exe` is usually `/proc/self/exe`.
    ///
    /// It succeeds where no sandbox can be made, so that [`Launcher::protections`] can say why.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn start(exe: &Path, options: LauncherOptions) -> Result<Self, SandboxError> {
        Ok(Self { process: Process::start(exe, &options)? })
    }

    /// Gives up every capability of this process for good, keeping its user, and lets nobody of that user look into
    /// it. Call it after [`Launcher::start`] and before any thread exists.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn drop_server_privileges() -> Result<(), SandboxError> {
        Ok(process::drop_privileges()?)
    }

    /// The launcher's process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the launcher process is gone, and every sandbox with it: only a restart of the platform helps then.
    pub async fn gone(&self) {
        let Ok(control) = self.process.control().try_clone_to_owned().and_then(Line::new) else { return };
        // It says nothing there after its start.
        while let Ok(Some(_)) = control.receive().await {}
    }

    /// What protects sandboxes here.
    pub fn protections(&self) -> &Protections {
        self.process.protections()
    }

    /// Whether sandboxes can be made here at all.
    ///
    /// # Errors
    /// [`SandboxError::Unsupported`] with what is missing and what helps.
    pub fn supported(&self) -> Result<(), SandboxError> {
        self.process.supported()
    }

    /// Makes sandboxes of a root image from now on: a tree that holds whatever programs inside may need, and of which
    /// everybody may read everything. Nothing of the host's own system is visible in them then. Call it before the first
    /// sandbox is asked for.
    ///
    /// # Errors
    /// [`SandboxError::Setup`] names the step. No sandbox can be made then.
    pub async fn use_root(&mut self, image: &Path) -> Result<(), SandboxError> {
        self.process.supported()?;
        let (connection, far_connection) = channel::pair()?;
        self.send(&Request::Root { image: image.to_owned() }, &[far_connection.as_fd()]).await?;
        drop(far_connection);
        let answer = Line::new(connection)?.receive().await?.ok_or(SandboxError::LauncherGone)?;
        match decode(&answer.bytes)? {
            Report::Rooted(protections) => self.process.protected(protections),
            Report::Failed(failure) => Err(failure.into()),
            report => Err(io::Error::other(format!("unexpected report {report:?}")).into()),
        }
    }

    /// Makes a sandbox and starts its program. Returns once the program is executing.
    ///
    /// # Errors
    /// [`SandboxError::Setup`] names the step; nothing ran and nothing is left then.
    pub async fn create(&self, spec: Spec) -> Result<Sandbox, SandboxError> {
        spec.check()?;
        let (boot, order) = (boot(&spec), order(&spec));
        let pipes = Pipes::make(spec.control)?;
        self.make(spec.id, Request::Sandbox(order), Some(&boot), pipes).await
    }

    /// Starts a program in a sandbox that can be forked into others. It finds a channel on descriptor 3, says `ready`
    /// there or why it cannot be forked, and then lets `entry/enter.rs` serve it. Returns once the program is executing.
    ///
    /// So many empty sandboxes are kept for its children, `ahead`, with the files and the bounds of `child`.
    ///
    /// # Errors
    /// As of [`Launcher::create`].
    pub async fn template(&self, spec: Spec, child: &Spec, ahead: usize) -> Result<Template, SandboxError> {
        let spec = Spec { control: true, ..spec };
        spec.check()?;
        child.check_bounds()?;
        let boot = boot(&spec);
        let request = Request::Template { request: order(&spec), housing: furniture(child), ahead };
        let pipes = Pipes::make(false)?;
        self.make(spec.id, request, Some(&boot), pipes).await.map(Template::new)
    }

    /// Makes a sandbox whose program is a copy of a template's. The program, its arguments and its environment are the
    /// template's own; of `spec` only what bounds the sandbox counts. Returns once the copy runs inside.
    ///
    /// # Errors
    /// As of [`Launcher::create`]; the step is `fork` when the template could not be copied.
    pub async fn fork(&self, template: &Template, spec: Spec) -> Result<Sandbox, SandboxError> {
        let spec = Spec { control: true, ..spec };
        spec.check_bounds()?;
        let template = template.number().ok_or_else(|| SandboxError::Setup {
            step: "fork".to_owned(),
            source: io::ErrorKind::NotConnected.into(),
        })?;
        let request = Request::Fork { template, request: order(&spec) };
        let pipes = Pipes::make(true)?;
        pipes.0.greet(&spec.greeting)?;
        self.make(spec.id, request, None, pipes).await
    }

    async fn make(
        &self,
        id: String,
        request: Request,
        boot_message: Option<&Boot>,
        (pipes, far_pipes): (Pipes, Vec<OwnedFd>),
    ) -> Result<Sandbox, SandboxError> {
        self.process.supported()?;
        let (connection, far_connection) = channel::pair()?;
        let (boot, far_boot) = match boot_message {
            Some(message) => {
                let (boot, far_boot) = channel::pair()?;
                channel::send(&boot, &encode(message)?, &[]).map_err(too_large)?;
                (Some(Line::new(boot)?), Some(far_boot))
            }
            None => (None, None),
        };
        let mut fds = vec![far_connection.as_fd()];
        fds.extend(far_boot.iter().chain(&far_pipes).map(AsFd::as_fd));
        self.send(&request, &fds).await?;
        drop((far_connection, far_boot, far_pipes));

        let line = Line::new(connection)?;
        let set_up = async {
            let said = match &boot {
                Some(boot) => boot.receive().await?,
                None => None,
            };
            let failure = said.map(|message| decode::<Failure>(&message.bytes));
            let made = line.receive().await?.ok_or(SandboxError::LauncherGone)?;
            match (decode(&made.bytes)?, failure.transpose()?) {
                (Report::Made { meters, pid }, None) => {
                    Sandbox::new(id, line, pipes, (meters, pid), made.fds)
                }
                (Report::Failed(failure), None) => Err(failure.into()),
                // What failed inside comes first: the launcher may have stumbled over that very end.
                (_, Some(failure)) => {
                    // The end of the line is the proof that nothing is left.
                    while line.receive().await?.is_some() {}
                    Err(failure.into())
                }
                (report, None) => Err(io::Error::other(format!("unexpected report {report:?}")).into()),
            }
        };
        let timed_out =
            |_| SandboxError::Setup { step: "program".to_owned(), source: io::ErrorKind::TimedOut.into() };
        tokio::time::timeout(SETUP_PATIENCE, set_up).await.map_err(timed_out)?
    }

    /// Runs a small, trusted command of the host, unsandboxed, e.g. `node --version`.
    ///
    /// # Errors
    /// [`SandboxError::TimedOut`] after `command.timeout`; it is killed then.
    pub async fn run(&self, command: Command) -> Result<Ran, SandboxError> {
        command::run(self, command).await
    }

    /// Unpacks a package in a jailed child. `dest` appears whole or not at all.
    ///
    /// # Errors
    /// See [`UnpackError`].
    pub async fn unpack(
        &self,
        zip: &Path,
        dest: &Path,
        limits: UnpackLimits,
    ) -> Result<Unpacked, UnpackError> {
        let failed = |error: io::Error| UnpackError::Failed(error.to_string());
        let asked = async {
            let zip = std::fs::File::open(zip)?;
            let (connection, far_connection) = channel::pair()?;
            let request = Request::Unpack { dest: dest.to_owned(), limits };
            self.send(&request, &[far_connection.as_fd(), zip.as_fd()]).await?;
            drop(far_connection);
            Line::new(connection)?.receive().await
        };
        match asked.await.map_err(failed)? {
            Some(message) => match decode(&message.bytes).map_err(failed)? {
                Report::Unpacked(result) => result,
                report => Err(UnpackError::Failed(format!("unexpected report {report:?}"))),
            },
            None => Err(UnpackError::Failed(SandboxError::LauncherGone.to_string())),
        }
    }

    /// Reads back the limits of every living sandbox, a few at a time. Those that are not as they were set end, and
    /// their [`Sandbox::drift`] says in what. Returns how many those were.
    ///
    /// # Errors
    /// [`SandboxError::LauncherGone`], or whatever asking it answered.
    pub async fn read_back(&self) -> Result<u32, SandboxError> {
        let (mut from, mut in_all) = (Some(0), 0);
        while let Some(key) = from {
            let (connection, far_connection) = channel::pair()?;
            self.send(&Request::ReadBack { from: key }, &[far_connection.as_fd()]).await?;
            drop(far_connection);
            let answer = Line::new(connection)?.receive().await?.ok_or(SandboxError::LauncherGone)?;
            match decode(&answer.bytes)? {
                Report::ReadBack { changed, next } => (from, in_all) = (next, in_all + changed),
                report => return Err(io::Error::other(format!("unexpected report {report:?}")).into()),
            }
        }
        Ok(in_all)
    }

    /// Sends a request, waiting while the launcher does not keep up.
    async fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = encode(request)?;
        loop {
            match channel::send(self.process.control(), &bytes, fds) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Line::new(self.process.control().try_clone_to_owned()?)?.writable().await?;
                }
                other => return other,
            }
        }
    }
}

fn boot(spec: &Spec) -> Boot {
    Boot::Program { argv: spec.argv.clone(), env: spec.env.clone(), workdir: spec.workdir.clone() }
}

/// What of a spec the launcher must know.
fn order(spec: &Spec) -> SandboxRequest {
    let (furniture, listen, layers) = (furniture(spec), spec.listen.clone(), spec.layers.clone());
    SandboxRequest { furniture, listen, control: spec.control, waits: spec.waits, layers }
}

/// What a sandbox that waits for its work gets for it.
fn furniture(spec: &Spec) -> Furniture {
    Furniture {
        binds: spec.binds.clone(),
        tmp_bytes: spec.tmp_bytes,
        memory_bytes: spec.memory_bytes,
        cpu_millis: spec.cpu_millis,
        cpu_weight: spec.weight(),
        pids: spec.pids,
    }
}

fn too_large(error: io::Error) -> SandboxError {
    match error.kind() {
        io::ErrorKind::InvalidInput => {
            SandboxError::Invalid(format!("program and environment exceed {} bytes", channel::MAX_BYTES))
        }
        _ => error.into(),
    }
}
