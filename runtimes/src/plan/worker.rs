//! The plan for a WebAssembly component: our own executable runs what was compiled.

use super::{Component, InstanceFacts, Protocol, StartPlan, assemble};
use model::Version;
use sandbox::Bind;

/// The worker's own memory, which the function's setting does not pay for: the engine, and its books on instances.
const WORKER_MB: u32 = model::limit("wasm-worker-memory") as u32;

/// Nothing of the package is visible inside but its machine code.
pub(crate) fn plan(version: &Version, facts: &InstanceFacts, component: &Component) -> StartPlan {
    let program = component.program.guest.to_string_lossy().into_owned();
    // Named, since it is elsewhere without a root of one's own.
    let artifact = component.code.guest.to_string_lossy().into_owned();
    let argv = vec![program, component.command.clone(), version.memory_mb.to_string(), artifact];
    let binds = vec![component.program.clone(), component.code.clone()];
    let plan = assemble(version, facts, argv, binds, None);
    StartPlan { workdir: "/".into(), own_mb: WORKER_MB, ..plan }
}

impl StartPlan {
    /// The plan for a worker that waits for its work; `words` are its arguments. What its instances see comes later, and
    /// its component, where that is not in `code`.
    pub fn waiting_worker(
        program: Bind,
        code: Option<Bind>,
        words: &[&str],
        endpoint_port: Option<u16>,
    ) -> Self {
        let name = program.guest.to_string_lossy().into_owned();
        let artifact = code.as_ref().map(|code| code.guest.to_string_lossy().into_owned());
        let words = words.iter().map(|word| (*word).to_owned()).chain(artifact);
        Self {
            argv: std::iter::once(name).chain(words).collect(),
            env: Vec::new(),
            workdir: "/".into(),
            binds: std::iter::once(program).chain(code).collect(),
            own_mb: WORKER_MB,
            protocol: Protocol::Framed,
            listen: endpoint_port.into_iter().collect(),
        }
    }
}
