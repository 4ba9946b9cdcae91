//! Makes instances for real: a plan from `runtimes`, a sandbox from `sandbox`, a channel between.

use crate::output::Output;
use crate::start::{Cell, InstanceTag, Start, StartError, Started};
use futures_util::future::BoxFuture;
use model::{Egress, Language, Place, Usage, Version};
use runtimes::{Channel, Credentials, InstanceFacts, PlanError, Protocol, Runtimes, StartPlan};
use sandbox::{Bind, Exit, Launcher, Layers, Sandbox, SandboxError, Spec};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Keeps something going for as long as an instance lives; dropped at its end.
pub type Guard = Box<dyn Send>;

/// Serves the platform's endpoint inside an instance.
pub type Attach = Box<dyn Fn(TcpListener, &Version) -> Guard + Send + Sync>;

/// Draws the session credentials of one instance of a function version.
pub type Draw = Box<dyn Fn(&Version, &InstanceTag) -> Credentials + Send + Sync>;

/// The platform's endpoint as functions see it.
pub struct Endpoint {
    /// Its port on the loopback inside.
    pub port: u16,
    /// Takes the listening socket of one instance.
    pub attach: Attach,
    /// How far out a function may connect.
    pub egress: Box<dyn Fn(&Version) -> Egress + Send + Sync>,
}

/// Makes sandboxed instances.
pub struct Sandboxes {
    /// Makes the sandboxes.
    pub launcher: Arc<Launcher>,
    /// Knows how languages start.
    pub runtimes: Arc<Runtimes>,
    /// Account and region.
    pub place: Place,
    /// Gives every instance credentials of its own; never the root key.
    pub credentials: Draw,
    /// The platform's endpoint inside; `None`: functions cannot reach the platform.
    pub endpoint: Option<Endpoint>,
}

/// AWS's own measure: so much memory comes with one whole processor.
const MEBIBYTES_PER_CORE: u32 = 1769;
const CORE_MILLIS: u32 = 1000;
const MEBIBYTE: u64 = 1024 * 1024;

impl Start for Sandboxes {
    fn start<'a>(
        &'a self,
        version: &'a Arc<Version>,
        tag: &'a InstanceTag,
    ) -> BoxFuture<'a, Result<Started, StartError>> {
        Box::pin(self.make(version, tag))
    }
}

impl Sandboxes {
    async fn make(&self, version: &Version, tag: &InstanceTag) -> Result<Started, StartError> {
        let endpoint = self.endpoint.as_ref().map(|endpoint| (endpoint, (endpoint.egress)(version)));
        let endpoint = endpoint.filter(|(_, egress)| *egress > Egress::None);
        let facts = InstanceFacts {
            instance_id: tag.instance_id.clone(),
            log_stream: tag.log_stream.clone(),
            endpoint_port: endpoint.map(|(endpoint, _)| endpoint.port),
            leads_out: endpoint.is_some_and(|(_, egress)| egress > Egress::Platform),
            credentials: (self.credentials)(version, tag),
            place: self.place.clone(),
        };
        self.runtimes.prepare(&self.launcher, &version.runtime);
        let plan = self.runtimes.plan(version, &facts).map_err(no_plan)?;
        let protocol = plan.protocol;
        let made = self.launcher.create(spec(version, tag, plan)).await;
        let mut sandbox = made.map_err(|error| no_sandbox(version, &error))?;
        let guard = match (endpoint, sandbox.listeners.len()) {
            (Some((endpoint, _)), 1..) => {
                sandbox.listeners.pop().map(|listener| (endpoint.attach)(listener, version))
            }
            _ => None,
        };
        assemble(sandbox, protocol, version.instance_concurrency, guard)
            .map_err(|error| StartError::Sandbox(error.to_string()))
    }
}

fn assemble(
    mut sandbox: Sandbox,
    protocol: Protocol,
    at_once: u32,
    guard: Option<Guard>,
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
    Ok(Started { voice: Box::new(voice), output, cell })
}

fn spec(version: &Version, tag: &InstanceTag, plan: StartPlan) -> Spec {
    Spec {
        id: tag.instance_id.clone(),
        argv: plan.argv,
        env: plan.env,
        workdir: plan.workdir.to_string_lossy().into_owned(),
        binds: plan.binds.into_iter().map(|bind| Bind { host: bind.host, guest: bind.guest }).collect(),
        tmp_bytes: u64::from(version.tmp_mb) * MEBIBYTE,
        memory_bytes: u64::from(version.memory_mb) * MEBIBYTE,
        cpu_millis: cpu_millis(version.memory_mb),
        cpu_weight: cpu_weight(version.memory_mb),
        pids: u32::try_from(model::limit("processes")).unwrap_or(u32::MAX),
        listen: plan.listen,
        control: plan.protocol == Protocol::Framed,
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
