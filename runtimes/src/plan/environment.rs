//! The environment of an instance: AWS's reserved variables and the user's own.

use super::{InstanceFacts, RUNTIME_API_PORT};
use crate::Interpreter;
use model::{Language, Version};

/// The variables that a user may set although the platform does.
const YIELDING: &[&str] = &[
    "PATH",
    "LD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "AWS_LAMBDA_LOG_FORMAT",
    "AWS_LAMBDA_LOG_LEVEL",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "AWS_ENDPOINT_URL",
    "NODE_PATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "NODE_USE_ENV_PROXY",
];
/// What tools of all languages read; curl reads the first in small letters only.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
const NOT_BY_PROXY: &str = "localhost,127.0.0.1,::1";
const LIBRARIES: &str =
    "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib";

/// Where Debian and its like keep the libraries that AWS has in `/lib64`.
const MULTIARCH: &str =
    if cfg!(target_arch = "aarch64") { "/lib/aarch64-linux-gnu" } else { "/lib/x86_64-linux-gnu" };

/// The whole environment. A user's variable that collides with a reserved one, or begins with `_`, is dropped.
pub(super) fn environment(
    version: &Version,
    facts: &InstanceFacts,
    interpreter: Option<&Interpreter>,
) -> Vec<(String, String)> {
    let mut env = reserved(version, facts, interpreter);
    for (name, value) in &version.environment {
        match env.iter_mut().find(|(reserved, _)| reserved == name) {
            Some((_, slot)) if YIELDING.contains(&name.as_str()) => slot.clone_from(value),
            Some(_) => {}
            None if name.starts_with('_') || is_reserved(name) => {}
            None => env.push((name.clone(), value.clone())),
        }
    }
    env
}

/// Of a process that is forked into instances of any function: what all of them have in common.
pub(super) fn template(interpreter: &Interpreter) -> Vec<(String, String)> {
    let path = search_path(Some(interpreter));
    let mut env = vec![
        ("LAMBDA_TASK_ROOT", super::TASK),
        ("LAMBDA_RUNTIME_DIR", crate::bootstraps::GUEST),
        ("TZ", ":UTC"),
        ("LANG", "en_US.UTF-8"),
        ("PATH", &path),
        ("LD_LIBRARY_PATH", LIBRARIES),
    ];
    let node = (interpreter.language == Language::Node).then(|| node_path(interpreter.version.0));
    // Node would look all its paths up again in every copy that is told another.
    env.extend(node.as_deref().map(|path| ("NODE_PATH", path)));
    env.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn reserved(
    version: &Version,
    facts: &InstanceFacts,
    interpreter: Option<&Interpreter>,
) -> Vec<(String, String)> {
    let memory_mb = version.memory_mb.to_string();
    let region = facts.place.region.as_str();
    let (path, libraries) = (search_path(interpreter), library_path(interpreter));
    let initialization = if facts.provisioned { "provisioned-concurrency" } else { "on-demand" };
    let mut env: Vec<(&str, &str)> = vec![
        ("AWS_LAMBDA_FUNCTION_NAME", version.function.as_str()),
        ("AWS_LAMBDA_FUNCTION_VERSION", &version.version),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory_mb),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &version.log_group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", &facts.log_stream),
        ("AWS_LAMBDA_LOG_FORMAT", "Text"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", initialization),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ACCESS_KEY_ID", &facts.credentials.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &facts.credentials.secret_access_key),
        ("AWS_SESSION_TOKEN", &facts.credentials.session_token),
        ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR"),
        ("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000"),
        ("_HANDLER", &version.handler),
        ("LAMBDA_TASK_ROOT", super::TASK),
        ("LAMBDA_RUNTIME_DIR", crate::bootstraps::GUEST),
        ("TZ", ":UTC"),
        ("LANG", "en_US.UTF-8"),
        ("PATH", &path),
        ("LD_LIBRARY_PATH", &libraries),
    ];
    let endpoint = facts.endpoint_port.map(|port| format!("http://127.0.0.1:{port}"));
    env.extend(endpoint.as_deref().map(|url| ("AWS_ENDPOINT_URL", url)));
    let at_once = (version.instance_concurrency > 1).then(|| version.instance_concurrency.to_string());
    env.extend(at_once.as_deref().map(|most| ("AWS_LAMBDA_MAX_CONCURRENCY", most)));
    if let Some(proxy) = endpoint.as_deref().filter(|_| facts.leads_out) {
        env.extend(PROXIES.map(|name| (name, proxy)));
        env.extend([("NO_PROXY", NOT_BY_PROXY), ("no_proxy", NOT_BY_PROXY), ("NODE_USE_ENV_PROXY", "1")]);
    }
    let language = language_variables(version);
    env.extend(language.iter().map(|(name, value)| (*name, value.as_str())));
    env.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// A program of the user's own finds the system's libraries first, as on AWS: otherwise the loader looks for them in all
/// the other folders before, and in each under a dozen names. An interpreter has libraries of its own beside it, which a
/// variable would be preferred to.
fn library_path(interpreter: Option<&Interpreter>) -> String {
    match interpreter {
        Some(_) => LIBRARIES.to_owned(),
        None => format!("{MULTIARCH}:{LIBRARIES}"),
    }
}

/// AWS leaves `AWS_EXECUTION_ENV` out where the program is the user's own.
fn language_variables(version: &Version) -> Vec<(&'static str, String)> {
    let runtime = &version.runtime;
    let execution = ("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", runtime.identifier));
    match runtime.language {
        Language::Python => vec![execution],
        // Java reads its environment and names of files by the locale; that of AWS's `LANG` is seldom installed.
        Language::Java => vec![execution, ("LC_ALL", "C.UTF-8".into())],
        Language::Node => {
            vec![execution, ("NODE_PATH", node_path(runtime.version.0))]
        }
        Language::Wasm => vec![execution],
        Language::Provided => vec![("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{RUNTIME_API_PORT}"))],
    }
}

fn node_path(major: u16) -> String {
    format!("/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules")
}

/// AWS's own, with the interpreter's folder where it is not one of them.
fn search_path(interpreter: Option<&Interpreter>) -> String {
    let folder = interpreter.and_then(|found| found.executable.parent());
    match folder.filter(|folder| !folder.starts_with("/usr") && !folder.starts_with("/bin")) {
        Some(own) => format!("/var/lang/bin:{}:/usr/local/bin:/usr/bin/:/bin:/opt/bin", own.display()),
        None => "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin".into(),
    }
}

/// Names that the platform keeps for itself even where it sets none.
fn is_reserved(name: &str) -> bool {
    matches!(name, "AWS_LAMBDA_RUNTIME_API" | "AWS_LAMBDA_MAX_CONCURRENCY" | "AWS_EXECUTION_ENV")
}
