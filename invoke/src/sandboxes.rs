//! Makes instances for real: a plan from `runtimes`, a sandbox from `sandbox`, a channel between.

use crate::output::Output;
use crate::start::{Cell, InstanceTag, Journal, Origin, Start, StartError, Started};
use crate::telling::Stream;
use crate::templates::{Found, Key, Recipe, Templates};
use futures_util::future::BoxFuture;
use model::{Egress, FunctionName, Language, Place, Rung, Usage, Version};
use runtimes::{Channel, Component, Credentials, InstanceFacts, PlanError, Protocol, Runtimes, StartPlan};
use sandbox::{Bind, Exit, Launcher, Layers, Sandbox, SandboxError, Spec};
use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wasm::{CompileError, Compiler};
use world::World;

/// Keeps something going for as long as an instance lives; dropped at its end.
pub type Guard = Box<dyn Send>;

/// Serves the platform's endpoint inside an instance.
pub type Attach = Box<dyn Fn(TcpListener, &Version) -> Guard + Send + Sync>;

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
    parts: SandboxesParts,
    templates: Arc<Templates>,
}

/// AWS's own measure: so much memory comes with one whole processor.
const MEBIBYTES_PER_CORE: u32 = 1769;
const CORE_MILLIS: u32 = 1000;
const MEBIBYTE: u64 = 1024 * 1024;

/// Bounds a runtime's template, and a spare until it is known what it is for.
const RUNTIME_MEBIBYTES: u64 = 512;

/// Where a function's own files are.
const TASK: &str = "/var/task";

/// How long a start that shall take a certain rung waits for it.
const WANTED_PATIENCE: Duration = Duration::from_secs(60);
const WANTED_POLL: Duration = Duration::from_millis(5);

impl Start for Sandboxes {
    fn start<'a>(
        &'a self,
        version: &'a Arc<Version>,
        tag: &'a InstanceTag,
    ) -> BoxFuture<'a, Result<Started, StartError>> {
        Box::pin(self.make(version, tag))
    }

    fn prepare(&self, version: &Arc<Version>) {
        for key in self.keys(version).into_iter().flatten() {
            self.templates.prepare(&key, || self.recipe(&key, version));
        }
    }

    fn want<'a>(&'a self, version: &'a Arc<Version>, rung: Rung) -> BoxFuture<'a, ()> {
        self.templates.want(&version.function, rung);
        Box::pin(async move {
            let Some(key) = self.keys(version).into_iter().flatten().next() else { return };
            let ready = async {
                while !self.templates.can(&key, || self.recipe(&key, version), rung) {
                    self.parts.world.sleep(WANTED_POLL).await;
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

    fn forget(&self, function: &FunctionName) {
        self.templates.forget(function);
    }
}

/// A sandbox with a program in it, and where it came from.
struct Housing {
    sandbox: Sandbox,
    origin: Origin,
}

impl Sandboxes {
    /// Needs a tokio runtime.
    pub fn new(parts: SandboxesParts) -> Self {
        let (launcher, journal) = (Arc::clone(&parts.launcher), Arc::clone(&parts.journal));
        let templates = Templates::new(launcher, journal, parts.world.clone(), Arc::clone(&parts.budget));
        Self { parts, templates }
    }

    async fn make(&self, version: &Arc<Version>, tag: &InstanceTag) -> Result<Started, StartError> {
        self.parts.runtimes.prepare(&self.parts.launcher, &version.runtime);
        let facts = InstanceFacts { component: self.component(version).await?, ..self.facts(version, tag) };
        let plan = self.parts.runtimes.plan(version, &facts).map_err(no_plan)?;
        let protocol = plan.protocol;
        let Housing { mut sandbox, origin } = match self.forked(version, tag, &plan).await {
            Ok(housing) => housing,
            Err(note) => {
                let made = self.parts.launcher.create(spec(version, &tag.instance_id, plan)).await;
                let sandbox = made.map_err(|error| no_sandbox(version, &error))?;
                Housing { sandbox, origin: Origin { rung: Rung::Spawn, note } }
            }
        };
        let guard = match (self.endpoint(version), sandbox.listeners.len()) {
            (Some((endpoint, _)), 1..) => {
                sandbox.listeners.pop().map(|listener| (endpoint.attach)(listener, version))
            }
            _ => None,
        };
        if protocol == Protocol::Framed {
            // A spare may have come with a listener that its function shall not have.
            sandbox.listeners.clear();
        }
        assemble(sandbox, protocol, version.instance_concurrency, guard, origin)
            .map_err(|error| StartError::Sandbox(error.to_string()))
    }

    /// A copy of a template that is told what it is for, or why there is none.
    async fn forked(
        &self,
        version: &Arc<Version>,
        tag: &InstanceTag,
        plan: &StartPlan,
    ) -> Result<Housing, String> {
        let wanted = self.templates.take_wanted(&version.function);
        if wanted == Rung::Spawn {
            return Err("as was asked for".into());
        }
        let [function, runtime] = self.keys(version);
        let mut notes = Vec::new();
        for (key, name) in [(function, "the function's template"), (runtime, "the runtime's template")] {
            let key = match key {
                Ok(key) => key,
                Err(why) => {
                    notes.extend(why);
                    continue;
                }
            };
            let found = self.templates.find(&key, || self.recipe(&key, version), wanted);
            let bounds = || spec(version, &tag.instance_id, plan.clone());
            let housed = match found {
                Found::Spare(spare) => {
                    let moved = self.moved_in(&key, *spare, bounds()).await;
                    moved.and_then(|sandbox| Ok((told(sandbox, plan)?, Rung::Spare)))
                }
                Found::Template(template) => {
                    let spec = Spec { greeting: plan.load_frame(), ..bounds() };
                    let forked = self.parts.launcher.fork(&template, spec).await;
                    forked.map(|sandbox| (sandbox, Rung::Fork)).map_err(|error| error.to_string())
                }
                Found::Nothing(why) => Err(why),
            };
            match housed {
                Ok((sandbox, rung)) => {
                    let from = if rung == Rung::Spare { "a spare of" } else { "forked from" };
                    notes.insert(0, format!("{from} {name}"));
                    return Ok(Housing { sandbox, origin: Origin { rung, note: notes.join("; ") } });
                }
                Err(why) => notes.push(why),
            }
        }
        Err(notes.join("; "))
    }

    /// A spare of a runtime has no function's files yet, one of a function has everything.
    async fn moved_in(&self, key: &Key, spare: Sandbox, bounds: Spec) -> Result<Sandbox, String> {
        if let Key::Runtime(_) = key {
            let binds = bounds.binds.into_iter().filter(|bind| bind.guest.starts_with(TASK)).collect();
            spare.assign(Spec { binds, ..bounds }).await.map_err(|error| error.to_string())?;
        }
        Ok(spare)
    }

    /// What a version's instances may be copied from: its own template, its runtime's. Or why not, where there is
    /// something to say.
    fn keys(&self, version: &Version) -> [Result<Key, Option<String>>; 2] {
        let runtimes = &self.parts.runtimes;
        let wants = version.snapstart || self.parts.snapstart;
        let function = match wants.then(|| runtimes.may_fork(version)) {
            None => Err(None),
            Some(Ok(_)) => Ok(Key::Function(version.function.clone(), version.revision.clone())),
            Some(Err(why)) => Err(Some(why)),
        };
        let runtime = match runtimes.forkable(version) {
            Ok(interpreter) => Ok(Key::Runtime(interpreter.executable.clone())),
            Err(why) => Err(Some(why)),
        };
        [function, runtime]
    }

    fn recipe(&self, key: &Key, version: &Arc<Version>) -> Recipe {
        let port = self.parts.endpoint.as_ref().map(|endpoint| endpoint.port);
        match key {
            Key::Runtime(_) => {
                let plan = self.parts.runtimes.template(version, port);
                let bounds = |plan| Spec {
                    memory_bytes: RUNTIME_MEBIBYTES * MEBIBYTE,
                    tmp_bytes: 0,
                    cpu_millis: CORE_MILLIS,
                    cpu_weight: Spec::CORE_WEIGHT,
                    ..spec(version, "template", plan)
                };
                let template = Spec { listen: Vec::new(), ..bounds(plan.clone()) };
                Recipe { template, spare: bounds(plan), stream: None }
            }
            Key::Function(..) => {
                let tag = InstanceTag {
                    instance_id: "template".into(),
                    arn: version.arn.clone(),
                    log_stream: crate::engine::log_stream(&self.parts.world, version),
                };
                let facts = self.facts(version, &tag);
                let plan = self.parts.runtimes.function_template(version, &facts);
                let spare = spec(version, "spare", plan.clone());
                // It is looked at in copies of itself before it counts, and those are its own.
                let memory_bytes = spare.memory_bytes + RUNTIME_MEBIBYTES * MEBIBYTE;
                let template = Spec { memory_bytes, listen: Vec::new(), ..spec(version, "template", plan) };
                Recipe { template, spare, stream: Some(Stream::new(version, tag.log_stream)) }
            }
        }
    }

    /// The platform's endpoint, where a function may reach it, and what else it may reach.
    fn endpoint(&self, version: &Version) -> Option<(&Endpoint, Egress)> {
        let endpoint = self.parts.endpoint.as_ref()?;
        Some((endpoint, (endpoint.egress)(version))).filter(|(_, egress)| *egress > Egress::None)
    }

    fn facts(&self, version: &Version, tag: &InstanceTag) -> InstanceFacts {
        let endpoint = self.endpoint(version);
        InstanceFacts {
            instance_id: tag.instance_id.clone(),
            log_stream: tag.log_stream.clone(),
            endpoint_port: endpoint.map(|(endpoint, _)| endpoint.port),
            leads_out: endpoint.is_some_and(|(_, egress)| egress > Egress::Platform),
            credentials: (self.parts.credentials)(version, tag),
            place: self.parts.place.clone(),
            component: None,
        }
    }
}

/// Tells a copy what it is for. It has said nothing yet, so there is room for all of it.
fn told(sandbox: Sandbox, plan: &StartPlan) -> Result<Sandbox, String> {
    let control = sandbox.control.as_ref().ok_or("it came without its control socket")?;
    let mut writer: &std::os::unix::net::UnixStream = control;
    writer.write_all(&plan.load_frame()).map_err(|error| error.to_string())?;
    Ok(sandbox)
}

impl Sandboxes {
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
    mut sandbox: Sandbox,
    protocol: Protocol,
    at_once: u32,
    guard: Option<Guard>,
    origin: Origin,
) -> std::io::Result<Started> {
    let missing = |what| std::io::Error::other(format!("the sandbox came without its {what}"));
    let voice = match protocol {
        Protocol::Framed => {
            Channel::framed(sandbox.control.take().ok_or_else(|| missing("control socket"))?, at_once)?
        }
        Protocol::RuntimeApi => {
            Channel::runtime_api(sandbox.listeners.pop().ok_or_else(|| missing("listener"))?, at_once)?
        }
    };
    let (stdout, stderr) = (sandbox.stdout.try_clone()?, sandbox.stderr.try_clone()?);
    let output = Output::new(stdout, stderr)?;
    let cell = Arc::new(Housed { sandbox, guard: Mutex::new(guard) });
    Ok(Started { origin, voice: Box::new(voice), output, cell })
}

fn spec(version: &Version, id: &str, plan: StartPlan) -> Spec {
    Spec {
        id: id.to_owned(),
        argv: plan.argv,
        env: plan.env,
        workdir: plan.workdir.to_string_lossy().into_owned(),
        binds: plan.binds.into_iter().map(|bind| Bind { host: bind.host, guest: bind.guest }).collect(),
        tmp_bytes: u64::from(version.tmp_mb) * MEBIBYTE,
        memory_bytes: u64::from(version.memory_mb + plan.own_mb) * MEBIBYTE,
        cpu_millis: cpu_millis(version.memory_mb),
        cpu_weight: cpu_weight(version.memory_mb),
        pids: u32::try_from(model::limit("processes")).unwrap_or(u32::MAX),
        listen: plan.listen,
        control: plan.protocol == Protocol::Framed,
        greeting: Vec::new(),
        layers: Layers::default(),
    }
}

/// The most processor time an instance may take: AWS's share of its memory, but never less than one core.
///
/// AWS gives a 128 MB function a fourteenth of a core, so that its start takes fourteen times as long. Here the
/// small ones start as fast as the machine can, while it has nothing else to do.
fn cpu_millis(memory_mb: u32) -> u32 {
    let share = u64::from(memory_mb) * u64::from(CORE_MILLIS) / u64::from(MEBIBYTES_PER_CORE);
    u32::try_from(share).unwrap_or(u32::MAX).max(CORE_MILLIS)
}

/// Its share when the machine is busy: in proportion to memory.
fn cpu_weight(memory_mb: u32) -> u32 {
    let weight = u64::from(memory_mb) * u64::from(Spec::CORE_WEIGHT) / u64::from(MEBIBYTES_PER_CORE);
    u32::try_from(weight).unwrap_or(u32::MAX).max(1)
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
    guard: Mutex<Option<Guard>>,
}

impl Cell for Housed {
    fn usage(&self) -> Usage {
        self.sandbox.usage()
    }

    fn oom_killed(&self) -> bool {
        self.sandbox.oom_killed()
    }

    fn exited(&self) -> BoxFuture<'_, Exit> {
        Box::pin(self.sandbox.exited())
    }

    fn kill(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.sandbox.kill().await;
            self.guard.lock().expect("no holder of this lock can panic").take();
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_functions_get_a_whole_core_and_large_ones_their_share() {
        for (memory_mb, millis, weight) in
            [(128, 1000, 74), (1769, 1000, 1024), (3538, 2000, 2048), (10_240, 5788, 5927)]
        {
            assert_eq!((cpu_millis(memory_mb), cpu_weight(memory_mb)), (millis, weight), "{memory_mb}");
        }
    }
}
