//! What a version's instances may come from besides a process of their own, and how each of those is made.

use crate::ladder::Costs;
use crate::sandboxes::{Endpoint, Sandboxes};
use crate::start::InstanceTag;
use crate::telling::Stream;
use model::{Egress, Language, Version, VersionName};
use runtimes::{InstanceFacts, Protocol, StartPlan};
use sandbox::{Bind, Layers, Spec};
use std::path::PathBuf;

/// What templates and spares are of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// An interpreter, by its executable.
    Runtime(PathBuf),
    /// A function version's revision.
    Function(VersionName, String),
    /// Processes of a program that wait for a function with so many mebibytes: their heap is bounded once and for all.
    Waiting(PathBuf, u32),
}

/// How a template and its spares are made.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// `None`: nothing is forked, each spare is a process of its own that says when it waits.
    pub(crate) template: Option<Spec>,
    pub(crate) spare: Spec,
    pub(crate) costs: Costs,
    /// Where to log what the template prints; `None`: it is nobody's.
    pub(crate) stream: Option<Stream>,
    /// No spare is made unless this cannot be forked.
    pub(crate) instead_of: Option<Key>,
}

impl Recipe {
    /// What is held at least, once something of it is kept.
    pub(crate) fn least_bytes(&self) -> f64 {
        match self.instead_of {
            Some(_) => 0.0,
            None => self.costs.template_bytes.unwrap_or(self.costs.spare_bytes),
        }
    }
}

/// AWS's own measure: so much memory comes with one whole processor.
const MEBIBYTES_PER_CORE: u32 = 1769;
const CORE_MILLIS: u32 = 1000;
const MEBIBYTE: u64 = 1024 * 1024;

/// Bounds a runtime's template, and a spare until it is known what it is for.
const RUNTIME_MEBIBYTES: u64 = 512;

/// At this level of isolation nothing is forked, and no process gets its files later.
const MINIMAL_LEVEL: u8 = 1;

/// Weight of a process that makes itself ready to wait: a tenth of one core's, since functions come first.
const WAITING_WEIGHT: u32 = Spec::CORE_WEIGHT / 10;

impl Sandboxes {
    /// The best first. Or why not, where there is something to say.
    pub(crate) fn keys(&self, version: &Version) -> [Result<Key, Option<String>>; 3] {
        if self.parts.launcher.protections().level <= MINIMAL_LEVEL {
            return [Err(Some("it cannot be forked at level 1".into())), Err(None), Err(None)];
        }
        let runtimes = &self.parts.runtimes;
        let wants = version.snapstart || self.parts.snapstart;
        let function = match (self.loaded(version), wants.then(|| runtimes.may_fork(version))) {
            (Some(key), _) => Ok(key),
            (None, None) => Err(None),
            (None, Some(Ok(_))) => Ok(Key::Function(version.name(), version.revision.clone())),
            (None, Some(Err(why))) => Err(Some(why)),
        };
        let runtime = match runtimes.forkable(version) {
            Ok(interpreter) => Ok(Key::Runtime(interpreter.executable.clone())),
            Err(why) => Err(Some(why)),
        };
        let waiting = match runtimes.may_wait(version) {
            _ if version.runtime.language == Language::Wasm => self.worker(version).ok_or(None),
            Ok(interpreter) => Ok(Key::Waiting(interpreter.executable.clone(), version.memory_mb)),
            // Others have said so already.
            Err(why) => Err((version.runtime.language == Language::Java).then_some(why)),
        };
        [function, runtime, waiting]
    }

    /// The key of workers that have loaded the function's component: there are some where it is compiled.
    pub(crate) fn loaded(&self, version: &Version) -> Option<Key> {
        Some(()).filter(|()| version.runtime.language == Language::Wasm)?;
        self.parts.components.as_ref()?.known(&version.code_dir)?;
        Some(Key::Function(version.name(), version.revision.clone()))
    }

    /// The key of workers that wait for a component.
    fn worker(&self, version: &Version) -> Option<Key> {
        let compiler = self.parts.components.as_ref()?;
        Some(Key::Waiting(compiler.program().into(), version.memory_mb))
    }

    pub(crate) fn recipe(&self, key: &Key, version: &Version) -> Recipe {
        match key {
            Key::Runtime(_) => self.of_runtime(version),
            Key::Function(..) if version.runtime.language == Language::Wasm => self.of_loaded(version),
            Key::Function(..) => self.of_function(version),
            Key::Waiting(..) => self.of_waiting(version),
        }
    }

    fn of_runtime(&self, version: &Version) -> Recipe {
        let plan = self.parts.runtimes.template(version, self.port());
        let bounds = |plan| Spec {
            memory_bytes: RUNTIME_MEBIBYTES * MEBIBYTE,
            tmp_bytes: 0,
            cpu_millis: CORE_MILLIS,
            cpu_weight: Spec::CORE_WEIGHT,
            ..spec(version, "template", plan)
        };
        Recipe {
            template: Some(Spec { listen: Vec::new(), ..bounds(plan.clone()) }),
            // Its first user is as good a guess as any at what it will be for.
            spare: Spec {
                waits: true,
                memory_bytes: RUNTIME_MEBIBYTES * MEBIBYTE,
                ..spec(version, "spare", plan)
            },
            costs: costs([50_000.0, 3_000.0, 500.0, 4_000.0], Some(16.0), 1.5),
            stream: None,
            instead_of: None,
        }
    }

    fn of_function(&self, version: &Version) -> Recipe {
        let tag = InstanceTag {
            instance_id: "template".into(),
            arn: version.arn.clone(),
            log_stream: crate::engine::log_stream(&self.parts.world, version),
            provisioned: false,
        };
        let plan = self.parts.runtimes.function_template(version, &self.facts(version, &tag));
        let spare = spec(version, "spare", plan.clone());
        // It is looked at in copies of itself before it counts, and those are its own.
        let memory_bytes = spare.memory_bytes + RUNTIME_MEBIBYTES * MEBIBYTE;
        let template = Spec { memory_bytes, listen: Vec::new(), ..spec(version, "template", plan) };
        let costs = costs([250_000.0, 4_000.0, 500.0, 5_000.0], Some(48.0), 2.0);
        let stream = Some(Stream::new(version, tag.log_stream));
        Recipe { template: Some(template), spare, costs, stream, instead_of: None }
    }

    fn of_waiting(&self, version: &Version) -> Recipe {
        let plan = match version.runtime.language {
            Language::Wasm => self.worker_plan(None, wasm::WAITING),
            _ => self.parts.runtimes.waiting(version, self.port()).expect("it has a key"),
        };
        let spare = Spec { cpu_weight: WAITING_WEIGHT, waits: true, ..spec(version, "waiting", plan) };
        let (costs, instead_of) = match version.runtime.language {
            Language::Wasm => (costs([9_000.0, 0.0, 1_000.0, 12_000.0], None, 6.0), None),
            Language::Java => (costs([250_000.0, 0.0, 4_000.0, 500_000.0], None, 32.0), None),
            _ => {
                let [_, runtime, _] = self.keys(version);
                (costs([50_000.0, 0.0, 2_000.0, 60_000.0], None, 24.0), runtime.ok())
            }
        };
        Recipe { template: None, spare, costs, stream: None, instead_of }
    }

    /// A worker that has its function's component and its limits before it waits: all it lacks is its environment.
    fn of_loaded(&self, version: &Version) -> Recipe {
        let code = self.parts.components.as_ref().and_then(|compiler| compiler.known(&version.code_dir));
        let code = code.map(|host| Bind { host, guest: wasm::ARTIFACT.into() });
        let spare = spec(version, "loaded", self.worker_plan(code, wasm::LOADED));
        // What it takes the place of is a worker that waits for any component.
        let costs = costs([2_500.0, 0.0, 400.0, 15_000.0], None, 4.0);
        Recipe { template: None, spare, costs, stream: None, instead_of: None }
    }

    fn worker_plan(&self, code: Option<Bind>, waits: &str) -> StartPlan {
        let compiler = self.parts.components.as_ref().expect("who asks has a key, which needs one");
        let program = Bind { host: compiler.program().into(), guest: wasm::PROGRAM.into() };
        StartPlan::waiting_worker(program, code, &[wasm::WORKER, waits], self.port())
    }

    fn port(&self) -> Option<u16> {
        self.parts.endpoint.as_ref().map(|endpoint| endpoint.port)
    }

    /// The platform's endpoint, where a function may reach it, and what else it may reach.
    pub(crate) fn endpoint(&self, version: &Version) -> Option<(&Endpoint, Egress)> {
        let endpoint = self.parts.endpoint.as_ref()?;
        Some((endpoint, (endpoint.egress)(version))).filter(|(_, egress)| *egress > Egress::None)
    }

    pub(crate) fn facts(&self, version: &Version, tag: &InstanceTag) -> InstanceFacts {
        let endpoint = self.endpoint(version);
        InstanceFacts {
            instance_id: tag.instance_id.clone(),
            log_stream: tag.log_stream.clone(),
            endpoint_port: endpoint.map(|(endpoint, _)| endpoint.port),
            leads_out: endpoint.is_some_and(|(_, egress)| egress > Egress::Platform),
            credentials: (self.parts.credentials)(version, tag),
            place: self.parts.place.clone(),
            component: None,
            provisioned: tag.provisioned,
        }
    }
}

/// What machines of today need; only how the figures compare counts. Microseconds of a spawn, a fork, a start from a
/// spare, and of making a spare; mebibytes of a template, where there is one, and of a spare.
fn costs(
    [spawn_us, fork_us, spare_us, refill_us]: [f64; 4],
    template_mb: Option<f64>,
    spare_mb: f64,
) -> Costs {
    const MEBIBYTE: f64 = 1024.0 * 1024.0;
    let template_bytes = template_mb.map(|mebibytes| mebibytes * MEBIBYTE);
    Costs { spawn_us, fork_us, spare_us, refill_us, template_bytes, spare_bytes: spare_mb * MEBIBYTE }
}

/// The sandbox of an instance.
pub(crate) fn spec(version: &Version, id: &str, plan: StartPlan) -> Spec {
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
        waits: false,
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
