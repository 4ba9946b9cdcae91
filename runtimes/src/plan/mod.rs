//! How one instance starts.

pub(crate) mod entry;
mod environment;
pub(crate) mod java;

use crate::runtimes::protocol;
use crate::{Interpreter, bootstraps};
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
        language => {
            let mut argv = vec![interpreter.executable.to_string_lossy().into_owned()];
            argv.extend(flags(language, version.memory_mb));
            argv.push(format!("{}/{}", bootstraps::GUEST, interpreter.bootstrap));
            argv
        }
    };
    let mut binds = vec![at(&version.code_dir, TASK), at(bootstraps, bootstraps::GUEST)];
    binds.extend(interpreter.needs.iter().map(|path| Bind { host: path.clone(), guest: path.clone() }));
    assemble(version, facts, argv, binds, Some(interpreter))
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
fn flags(language: Language, memory_mb: u32) -> Vec<String> {
    match language {
        Language::Python => ["-S", "-B", "-X", "utf8"].map(String::from).into(),
        Language::Node => vec![
            format!("--max-old-space-size={}", memory_mb * 90 / 100),
            format!("--max-semi-space-size={}", (memory_mb * 5 / 100).max(1)),
        ],
        Language::Java | Language::Provided => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
