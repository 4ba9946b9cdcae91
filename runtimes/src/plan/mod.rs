//! How one instance starts.

pub(crate) mod entry;
mod environment;
pub(crate) mod java;
pub(crate) mod worker;

use crate::runtimes::protocol;
use crate::{Interpreter, bootstraps, node};
use model::{Language, Place, Version};
use sandbox::Bind;
use std::path::{Path, PathBuf};

/// Where the HTTP Runtime API listens inside.
pub(crate) const RUNTIME_API_PORT: u16 = 9001;
const TASK: &str = "/var/task";

/// What a plan needs to know of one instance beyond its function version.
#[derive(Debug, Clone, Default)]
pub struct InstanceFacts {
    /// The instance.
    pub instance_id: String,
    /// Its log stream.
    pub log_stream: String,
    /// Port on the sandbox's loopback where the platform's endpoint listens; `None`: no endpoint.
    pub endpoint_port: Option<u16>,
    /// Whether the endpoint is a proxy to elsewhere too.
    pub leads_out: bool,
    /// Session credentials of the function.
    pub credentials: Credentials,
    /// Account and region.
    pub place: Place,
    /// What runs it, where it is a WebAssembly component.
    pub component: Option<Component>,
    /// Whether it is started before anybody calls, because it was promised.
    pub provisioned: bool,
}

/// A compiled WebAssembly component and the program that runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The worker: our own executable. Where it stands, and where it is seen inside.
    pub program: Bind,
    /// The hidden subcommand of the worker.
    pub command: String,
    /// The machine code. Where it is kept, and where the worker looks for it.
    pub code: Bind,
}

/// A key that signs the function's own requests to the platform.
#[derive(Clone, Default)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: String,
}

impl StartPlan {
    /// The frame that tells a copy of a template what it is: its environment.
    pub fn load_frame(&self) -> Vec<u8> {
        load_frame(&self.env)
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Which conversation an instance holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Frames over the socket on descriptor 3: `Spec::control` is on.
    Framed,
    /// The HTTP Runtime API on the first port of [`StartPlan::listen`].
    RuntimeApi,
}

/// Everything that starts an instance.
#[derive(Debug, Clone)]
pub struct StartPlan {
    /// Program and arguments, as seen inside.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory inside.
    pub workdir: PathBuf,
    /// What is visible inside besides the root image.
    pub binds: Vec<Bind>,
    /// Mebibytes that our own program needs besides the function's memory.
    pub own_mb: u32,
    /// How it speaks.
    pub protocol: Protocol,
    /// Loopback ports inside whose listeners are handed back, in this order: the Runtime API's where there is
    /// one, then the platform endpoint's.
    pub listen: Vec<u16>,
}

/// The plan for a program that speaks the Runtime API itself.
pub(crate) fn provided(version: &Version, facts: &InstanceFacts, program: &str) -> StartPlan {
    let binds = vec![at(&version.code_dir, TASK)];
    assemble(version, facts, vec![program.into()], binds, None)
}

/// The plan for a handler that one of our bootstraps loads.
pub(crate) fn interpreted(
    version: &Version,
    facts: &InstanceFacts,
    interpreter: &Interpreter,
    bootstraps: &Path,
) -> StartPlan {
    let argv = match interpreter.language {
        Language::Java => java::arguments(interpreter, bootstraps, version.memory_mb),
        _ => arguments(interpreter, version.memory_mb, None),
    };
    let mut binds = vec![at(&version.code_dir, TASK), at(bootstraps, bootstraps::GUEST)];
    binds.extend(needs(interpreter));
    assemble(version, facts, argv, binds, Some(interpreter))
}

/// The plan for a process that is forked into instances of any function of one interpreter.
pub(crate) fn template(
    interpreter: &Interpreter,
    bootstraps: &Path,
    endpoint_port: Option<u16>,
) -> StartPlan {
    let mut binds = vec![at(bootstraps, bootstraps::GUEST)];
    binds.extend(needs(interpreter));
    StartPlan {
        argv: arguments(interpreter, MEBIBYTES_OF_TEMPLATES, Some("template")),
        env: environment::template(interpreter),
        workdir: "/".into(),
        binds,
        own_mb: 0,
        protocol: Protocol::Framed,
        listen: endpoint_port.into_iter().collect(),
    }
}

/// The plan for a process that waits for a function of one interpreter with so much memory.
pub(crate) fn waiting(
    interpreter: &Interpreter,
    bootstraps: &Path,
    memory_mb: u32,
    endpoint_port: Option<u16>,
) -> StartPlan {
    let plan = template(interpreter, bootstraps, endpoint_port);
    match interpreter.language {
        Language::Java => StartPlan {
            argv: java::waiting(interpreter, bootstraps, memory_mb),
            env: plan.env.into_iter().chain(java::environment()).collect(),
            // Java never changes its own idea of where it stands.
            workdir: TASK.into(),
            ..plan
        },
        _ => StartPlan { argv: arguments(interpreter, memory_mb, Some("wait")), ..plan },
    }
}

/// The plan for a process that loads a function version and is then forked into its instances.
pub(crate) fn function_template(
    version: &Version,
    facts: &InstanceFacts,
    interpreter: &Interpreter,
    bootstraps: &Path,
) -> StartPlan {
    let mut plan = interpreted(version, facts, interpreter, bootstraps);
    plan.argv = arguments(interpreter, version.memory_mb, Some("function"));
    for (name, value) in &mut plan.env {
        if name == "AWS_LAMBDA_INITIALIZATION_TYPE" {
            *value = "snap-start".into();
        }
    }
    // Libraries of numbers start threads of their own otherwise, which no copy would have.
    if !version.environment.contains_key(THREADS_OF_NUMBERS) {
        plan.env.push((THREADS_OF_NUMBERS.into(), "1".into()));
    }
    plan
}

const THREADS_OF_NUMBERS: &str = "OPENBLAS_NUM_THREADS";

/// What a forked instance is told when it is known which function it is for: the frame that it waits for.
pub(crate) fn load_frame(env: &[(String, String)]) -> Vec<u8> {
    let env: serde_json::Map<String, serde_json::Value> =
        env.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    crate::channel::load(&serde_json::json!({ "env": env }))
}

/// The variable of the function that an interpreter reads only when it starts, if there is one: such a function cannot be
/// forked from a process that has started without it.
pub(crate) fn read_at_start(version: &Version) -> Option<&str> {
    // `NODE_PATH` is read again.
    const NAMES: [&str; 4] = ["GLIBC_TUNABLES", "JDK_JAVA_OPTIONS", "LANG", "UV_THREADPOOL_SIZE"];
    const BEGINNINGS: [&str; 8] =
        ["JAVA_TOOL_", "LC_", "LD_", "MALLOC_", "NODE_", "OPENSSL_", "PYTHON", "SSL_CERT_"];
    let names = version.environment.keys().map(String::as_str);
    let mut fixed = names.filter(|name| {
        let begins = BEGINNINGS.iter().any(|beginning| name.starts_with(beginning));
        NAMES.contains(name) || (begins && *name != "NODE_PATH" && *name != "NODE_ENV")
    });
    fixed.next()
}

/// Templates serve functions of all sizes; each of their copies is bounded by its own control group.
const MEBIBYTES_OF_TEMPLATES: u32 = 512;

fn arguments(interpreter: &Interpreter, memory_mb: u32, mode: Option<&str>) -> Vec<String> {
    let mut argv = vec![interpreter.executable.to_string_lossy().into_owned()];
    argv.extend(flags(interpreter.language, memory_mb, mode));
    argv.push(format!("{}/{}", bootstraps::GUEST, interpreter.bootstrap));
    argv.extend(mode.map(str::to_owned));
    argv
}

fn needs(interpreter: &Interpreter) -> impl Iterator<Item = Bind> + '_ {
    interpreter.needs.iter().map(|path| Bind { host: path.clone(), guest: path.clone() })
}

fn assemble(
    version: &Version,
    facts: &InstanceFacts,
    argv: Vec<String>,
    binds: Vec<Bind>,
    interpreter: Option<&Interpreter>,
) -> StartPlan {
    let protocol = protocol(version.runtime.language);
    let api = (protocol == Protocol::RuntimeApi).then_some(RUNTIME_API_PORT);
    StartPlan {
        argv,
        env: environment::environment(version, facts, interpreter),
        workdir: TASK.into(),
        binds,
        own_mb: 0,
        protocol,
        listen: api.into_iter().chain(facts.endpoint_port).collect(),
    }
}

fn at(host: &Path, guest: &str) -> Bind {
    Bind { host: host.into(), guest: guest.into() }
}

/// What each interpreter is told. Python: no `site`, which costs 4 ms and mixes the machine's packages in; no
/// attempts to write byte code beside read-only sources; UTF-8 whatever locales the machine has. Node: AWS's shares
/// of the memory setting, since V8 would size its heap by the machine.
fn flags(language: Language, memory_mb: u32, mode: Option<&str>) -> Vec<String> {
    let own_heap = || {
        vec![
            format!("--max-old-space-size={}", memory_mb * 90 / 100),
            format!("--max-semi-space-size={}", (memory_mb * 5 / 100).max(1)),
        ]
    };
    let forked = |heap: Vec<String>| node::FORK_FLAGS.map(String::from).into_iter().chain(heap).collect();
    match (language, mode) {
        (Language::Python, _) => ["-S", "-B", "-X", "utf8"].map(String::from).into(),
        (Language::Node, Some("template")) => forked(node::FORK_HEAP_FLAGS.map(String::from).into()),
        (Language::Node, Some("function")) => forked(own_heap()),
        (Language::Node, _) => own_heap(),
        (Language::Java | Language::Provided | Language::Wasm, _) => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
