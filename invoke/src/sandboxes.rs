//! Makes instances for real: a plan from `runtimes`, a sandbox from `sandbox`, a channel between.

use crate::housing::Housing;
use crate::instance::spent;
use crate::output::Output;
use crate::recipes::spec;
use crate::start::{Cell, InstanceTag, Journal, Snapshot, Start, StartError, Started};
use crate::templates::{Can, Templates};
use futures_util::future::BoxFuture;
use model::{Egress, Language, Place, Rung, Usage, Version, VersionName};
use runtimes::{Channel, Component, Credentials, InstanceFacts, PlanError, Protocol, Runtimes};
use sandbox::{Bind, Exit, Launcher, Sandbox, SandboxError};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wasm::{CompileError, Compiler};
use world::World;

/// Keeps something going for as long as an instance lives; dropped at its end.
pub type Guard = Box<dyn Send>;

/// Serves the platform's endpoint inside an instance.
pub type Attach = Box<dyn Fn(TcpListener, &Version, &InstanceTag) -> Guard + Send + Sync>;

/// Draws the session credentials of one instance of a function version.
pub type Draw = Box<dyn Fn(&Version, &InstanceTag) -> Credentials + Send + Sync>;

/// How much memory there is for something at this moment, in bytes.
pub type Budget = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The platform's endpoint as functions see it.
pub struct Endpoint {
    /// Its port on the loopback inside.
    pub port: u16,
    /// Takes the listening socket of one instance.
    pub attach: Attach,
    /// How far out a function may connect.
    pub egress: Box<dyn Fn(&Version) -> Egress + Send + Sync>,
}

/// What makes sandboxed instances.
pub struct SandboxesParts {
    /// Makes the sandboxes.
    pub launcher: Arc<Launcher>,
    /// Knows how languages start.
    pub runtimes: Arc<Runtimes>,
    /// Account and region.
    pub place: Place,
    /// Gives every instance credentials of its own; never the root key.
    pub credentials: Draw,
    /// Compiles WebAssembly components; `None`: this machine cannot run them.
    pub components: Option<Arc<Compiler>>,
    /// The platform's endpoint inside; `None`: functions cannot reach the platform.
    pub endpoint: Option<Endpoint>,
    /// Where lines go that a function prints while it is made ready to be forked.
    pub journal: Arc<dyn Journal>,
    /// Time and chance.
    pub world: World,
    /// Bytes that all templates and spares may hold together, asked now and then.
    pub budget: Budget,
    /// Whether every function is forked from a process that has loaded its code, whatever its own setting.
    pub snapstart: bool,
}

/// Makes sandboxed instances, each from the best rung of the ladder of warmth that there is.
pub struct Sandboxes {
    pub(crate) parts: SandboxesParts,
    pub(crate) templates: Arc<Templates>,
}

/// How long a start that shall take a certain rung waits for it.
const WANTED_PATIENCE: Duration = Duration::from_secs(60);
const WANTED_POLL: Duration = Duration::from_millis(5);

/// How long a deployment waits for its component to be loaded.
const LOAD_PATIENCE: Duration = Duration::from_millis(model::limit("wasm-load"));
const LOAD_POLL: Duration = Duration::from_millis(1);

impl Start for Sandboxes {
    fn start<'a>(
        &'a self,
        version: &'a Arc<Version>,
        tag: &'a InstanceTag,
    ) -> BoxFuture<'a, Result<Started, StartError>> {
        Box::pin(async move {
            let mut started = self.make(version, tag).await?;
            started.origin.level = Some(self.parts.launcher.protections().level);
            Ok(started)
        })
    }

    fn prepare(&self, version: &Arc<Version>) {
        let (name, keys) = (version.name(), self.keys(version));
        self.templates.leave(&name, keys.last().and_then(|key| key.as_ref().ok()));
        for key in keys.into_iter().flatten() {
            self.templates.prepare(&key, &name, || self.recipe(&key, version));
        }
    }

    fn prepared<'a>(&'a self, version: &'a Arc<Version>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let world = &self.parts.world;
            let Some(key) = self.loaded(version) else { return };
            let loaded = async {
                while self.templates.makes_its_first(&key) {
                    world.sleep(LOAD_POLL).await;
                }
            };
            tokio::select! {
                () = loaded => {}
                () = world.sleep(LOAD_PATIENCE) => {}
            }
        })
    }

    fn promise(&self, version: &Arc<Version>, instances: u32) {
        let best = self.keys(version).into_iter().flatten().find(|_| instances > 0);
        let from = best.map(|key| (key.clone(), self.recipe(&key, version)));
        self.templates.promise(&version.name(), from);
    }

    fn want<'a>(&'a self, version: &'a Arc<Version>, rung: Rung) -> BoxFuture<'a, ()> {
        let name = version.name();
        self.templates.want(&name, rung);
        Box::pin(async move {
            let ready = async {
                for key in self.keys(version).into_iter().flatten() {
                    loop {
                        match self.templates.can(&key, &name, || self.recipe(&key, version), rung) {
                            Can::Now => return,
                            Can::Soon => self.parts.world.sleep(WANTED_POLL).await,
                            Can::Never => break,
                        }
                    }
                }
            };
            tokio::select! {
                () = ready => {}
                () = self.parts.world.sleep(WANTED_PATIENCE) => {}
            }
        })
    }

    fn close(&self) {
        self.templates.close();
    }

    fn snapshot(&self, version: &Version) -> Snapshot {
        let [best, ..] = self.keys(version);
        match best {
            Ok(_) if version.runtime.language == Language::Wasm => {
                Snapshot::Missing("components are not copied".into())
            }
            Ok(key) => self.templates.snapshot(&key),
            Err(why) => Snapshot::Missing(why.unwrap_or_default()),
        }
    }

    fn forget(&self, version: &VersionName) {
        self.templates.forget(version);
    }
}

impl Sandboxes {
    /// Needs a tokio runtime.
    pub fn new(parts: SandboxesParts) -> Self {
        let (launcher, journal) = (Arc::clone(&parts.launcher), Arc::clone(&parts.journal));
        let templates = Templates::new(launcher, journal, parts.world.clone(), Arc::clone(&parts.budget));
        Self { parts, templates }
    }

    async fn make(&self, version: &Arc<Version>, tag: &InstanceTag) -> Result<Started, StartError> {
        self.parts.runtimes.prepare(&self.parts.launcher, version);
        let facts = InstanceFacts { component: self.component(version).await?, ..self.facts(version, tag) };
        let plan = self.parts.runtimes.plan(version, &facts).map_err(no_plan)?;
        let protocol = plan.protocol;
        let mut housing = match self.warm(version, tag, &plan).await {
            Ok(housing) => housing,
            Err(note) => {
                let made = self.parts.launcher.create(spec(version, &tag.instance_id, plan)).await;
                let sandbox = made.map_err(|error| no_sandbox(version, &error))?;
                let mut housing = Housing::of(sandbox, Rung::Spawn);
                housing.origin.note = note;
                housing
            }
        };
        let listeners = &mut housing.sandbox.listeners;
        let guard = match (self.endpoint(version), listeners.len()) {
            (Some((endpoint, _)), 1..) => {
                listeners.pop().map(|listener| (endpoint.attach)(listener, version, tag))
            }
            _ => None,
        };
        if protocol == Protocol::Framed {
            // A spare may have come with a listener that its function shall not have.
            listeners.clear();
        }
        assemble(housing, protocol, version.instance_concurrency, guard, &self.parts.world)
            .map_err(|error| StartError::Sandbox(error.to_string()))
    }

    /// What runs the version, where it is a component. Compiled with its first instance, if not before.
    async fn component(&self, version: &Version) -> Result<Option<Component>, StartError> {
        if version.runtime.language != Language::Wasm {
            return Ok(None);
        }
        let compiler = self.parts.components.as_ref().ok_or_else(|| {
            StartError::MissingRuntime("WebAssembly components cannot be compiled on this machine".into())
        })?;
        let code = compiler.artifact(&version.code_dir).await.map_err(|error| match error {
            CompileError::Unfit(why) => StartError::Entrypoint(why),
            CompileError::Failed(_) => StartError::Sandbox(error.to_string()),
        })?;
        Ok(Some(Component {
            program: Bind { host: compiler.program().into(), guest: wasm::PROGRAM.into() },
            command: wasm::WORKER.into(),
            code: Bind { host: code, guest: wasm::ARTIFACT.into() },
        }))
    }
}

fn assemble(
    housing: Housing,
    protocol: Protocol,
    at_once: u32,
    guard: Option<Guard>,
    world: &World,
) -> std::io::Result<Started> {
    let Housing { mut sandbox, origin, before, untold } = housing;
    let missing = |what| std::io::Error::other(format!("the sandbox came without its {what}"));
    let voice = match protocol {
        Protocol::Framed => {
            let control = sandbox.control.take().ok_or_else(|| missing("control socket"))?;
            Channel::framed(control, at_once)?.beginning_with(untold)
        }
        Protocol::RuntimeApi => {
            Channel::runtime_api(sandbox.listeners.pop().ok_or_else(|| missing("listener"))?, at_once)?
        }
    };
    let voice = voice.within(world);
    let (stdout, stderr) = (sandbox.stdout.try_clone()?, sandbox.stderr.try_clone()?);
    let output = Output::new(stdout, stderr)?;
    let cell = Arc::new(Housed { sandbox, before, guard: Mutex::new(guard) });
    Ok(Started { origin, voice: Box::new(voice), output, cell })
}

fn no_plan(error: PlanError) -> StartError {
    match error {
        PlanError::MissingRuntime { .. } => StartError::MissingRuntime(error.to_string()),
        PlanError::InvalidEntrypoint(why) => StartError::Entrypoint(why),
        PlanError::BadArch(why) => StartError::BadArch(why),
    }
}

/// A program of the package that the kernel does not execute is the function's fault, everything else ours.
fn no_sandbox(version: &Version, error: &SandboxError) -> StartError {
    match error {
        SandboxError::Setup { step, source }
            if step == "program" && version.runtime.language == Language::Provided =>
        {
            StartError::Entrypoint(format!("fork/exec /var/task/bootstrap: {source}"))
        }
        other => StartError::Sandbox(other.to_string()),
    }
}

struct Housed {
    sandbox: Sandbox,
    /// What it had used before it was this function's.
    before: Usage,
    guard: Mutex<Option<Guard>>,
}

impl Cell for Housed {
    fn usage(&self) -> Usage {
        spent(self.before, self.sandbox.usage())
    }

    fn oom_killed(&self) -> bool {
        self.sandbox.oom_killed()
    }

    fn drift(&self) -> Option<&str> {
        self.sandbox.drift()
    }

    fn exited(&self) -> BoxFuture<'_, Exit> {
        Box::pin(self.sandbox.exited())
    }

    fn freeze(&self, still: bool) {
        self.sandbox.freeze(still);
    }

    fn kill(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.sandbox.kill().await;
            self.guard.lock().expect("no holder of this lock can panic").take();
        })
    }
}
