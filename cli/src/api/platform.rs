//! Dayfly's own operations: what the platform is, and the truth about every invocation.

use super::{encode, query};
use crate::client::{CallError, Client, Request};
use http::Method;
use model::Language;
use serde::{Deserialize, Serialize};

const SERVICE: &str = "dayfly";

/// What a running platform says of itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"), default)]
pub struct Status {
    /// `http://host:port`.
    pub endpoint: String,
    /// Of the platform.
    pub version: String,
    /// Twelve digits.
    pub account: String,
    /// Region name.
    pub region: String,
    /// Where it keeps its state.
    pub data_directory: Option<String>,
    /// What protects sandboxes.
    pub protections: Protections,
    /// The interpreters it found.
    pub runtimes: Vec<Interpreter>,
    /// Every instance that exists.
    pub instances: Vec<Instance>,
}

/// See [`Status`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"), default)]
pub struct Protections {
    /// 3 is everything.
    pub level: u8,
    /// One by one.
    pub layers: Vec<Layer>,
}

/// See [`Protections`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"), default)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Whether sandboxes have it.
    pub on: bool,
    /// Why not.
    pub why_missing: Option<String>,
    /// What helps.
    pub how_to_fix: Option<String>,
}

/// See [`Status`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"), default)]
pub struct Interpreter {
    /// `python` or `node`.
    pub language: String,
    /// Full version.
    pub version: String,
    /// Path on the platform's machine.
    pub executable: String,
}

/// See [`Status`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"), default)]
pub struct Instance {
    /// Unique.
    pub instance_id: String,
    /// Whose.
    pub function_name: String,
    /// `starting`, `busy`, `idle` or `ending`.
    pub state: String,
}

/// One limit, with the value that the running platform applies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"), default)]
pub struct Limit {
    /// Stable name.
    pub name: String,
    /// In `unit`.
    pub value: u64,
    /// `bytes`, `mebibytes`, `seconds`, `milliseconds` or `count`.
    pub unit: String,
    /// What it bounds.
    pub bounds: String,
    /// What changes it.
    pub lifted_by: String,
}

/// The record of one invocation. Times in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"), default)]
pub struct Invocation {
    /// UUID.
    pub request_id: String,
    /// Since 1970 UTC.
    pub started_us: u64,
    /// Function name.
    pub function: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// Instance id.
    pub instance: String,
    /// Who asked.
    pub caller: String,
    /// `success`, `error`, `timeout`, `out-of-memory`, `crash` or `init-error`.
    pub outcome: String,
    /// Of the error.
    pub error_type: Option<String>,
    /// `idle`, `spare`, `fork` or `spawn`.
    pub rung: String,
    /// Why that rung.
    pub reason: String,
    /// Where the time went.
    pub phases: Phases,
    /// What it used.
    pub usage: Usage,
    /// The function's memory setting.
    pub memory_mb: u32,
    /// Billed milliseconds.
    pub billed_ms: u64,
    /// Billionths of a dollar.
    pub cost_nanodollars: u64,
    /// Bytes of the event.
    pub request_bytes: u64,
    /// Bytes of the answer.
    pub response_bytes: u64,
    /// Where its lines are.
    pub log_group: String,
    /// See `log_group`.
    pub log_stream: String,
    /// Of a cold start that has loaded the code itself: what took long to import.
    pub imports: Vec<Import>,
    /// Of its instance; 3 is everything. `None` where no instance came to be.
    pub isolation_level: Option<u8>,
}

/// See [`Invocation`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"), default)]
pub struct Import {
    /// The package; `.`: the function's own code.
    pub package: String,
    /// How many modules of it.
    pub modules: u32,
    /// Time in its own modules.
    pub own_us: u64,
    /// The same with all that it imported first.
    pub total_us: u64,
}

/// See [`Invocation`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"), default)]
pub struct Phases {
    /// Waiting for an instance.
    pub queue_us: u64,
    /// Making the sandbox.
    pub sandbox_us: u64,
    /// Starting the runtime and loading the code.
    pub init_us: u64,
    /// Running the handler.
    pub handler_us: u64,
}

/// See [`Invocation`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"), default)]
pub struct Usage {
    /// User CPU time.
    pub user_us: u64,
    /// System CPU time.
    pub system_us: u64,
    /// Most memory held.
    pub peak_bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Limits {
    limits: Vec<Limit>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Invocations {
    invocations: Vec<Invocation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct One {
    invocation: Invocation,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Retired {
    retired: u64,
}

impl Interpreter {
    /// The language, if it is one we know.
    pub fn language(&self) -> Option<Language> {
        match self.language.to_ascii_lowercase().as_str() {
            "python" => Some(Language::Python),
            "java" => Some(Language::Java),
            "node" | "nodejs" | "node.js" => Some(Language::Node),
            _ => None,
        }
    }

    /// Major, minor, patch.
    pub fn number(&self) -> Option<(u32, u32, u32)> {
        let mut parts = self.version.trim_start_matches('v').split('.').map(|part| {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });
        Some((parts.next()??, parts.next().flatten().unwrap_or(0), parts.next().flatten().unwrap_or(0)))
    }

    /// As `Runtime` is written: `python3.12`, `nodejs22.x`, `java21`.
    pub fn identifier(&self) -> Option<String> {
        let (major, minor, _) = self.number()?;
        match self.language()? {
            Language::Python => Some(format!("python{major}.{minor}")),
            Language::Node => Some(format!("nodejs{major}.x")),
            Language::Java => Some(format!("java{major}")),
            Language::Provided | Language::Wasm => None,
        }
    }
}

impl Invocation {
    /// Whether an instance had to be made for it.
    pub fn is_cold(&self) -> bool {
        self.rung != "idle"
    }

    /// From the beginning of its sandbox until its code was loaded. The program may load before the platform knows that
    /// it runs, so neither phase alone holds all of it.
    pub fn start_us(&self) -> u64 {
        self.phases.sandbox_us + self.phases.init_us
    }

    /// From the request's arrival until its answer was complete.
    pub fn total_us(&self) -> u64 {
        let Phases { queue_us, sandbox_us, init_us, handler_us } = self.phases;
        queue_us + sandbox_us + init_us + handler_us
    }
}

/// GetStatus.
pub async fn status(client: &Client) -> Result<Status, CallError> {
    client.call(get("GetStatus", "/_dayfly/v1/status".into())).await
}

/// ListLimits.
pub async fn limits(client: &Client) -> Result<Vec<Limit>, CallError> {
    let answer: Limits = client.call(get("ListLimits", "/_dayfly/v1/limits".into())).await?;
    Ok(answer.limits)
}

/// Where metrics are.
pub const METRICS: &str = "/_dayfly/v1/metrics";

/// GetMetrics.
pub async fn metrics(client: &Client) -> Result<String, CallError> {
    let answer = client.send(get("GetMetrics", METRICS.into())).await?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

/// Which invocations to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// Those that an instance was made for.
    Cold,
}

/// ListInvocations, newest first.
pub async fn invocations(
    client: &Client,
    function: &str,
    count: usize,
    which: Which,
) -> Result<Vec<Invocation>, CallError> {
    let path = format!("/_dayfly/v1/functions/{}/invocations", encode(function));
    let cold = (which == Which::Cold).then(|| "true".to_owned());
    let path = query(path, &[("Limit", Some(count.to_string())), ("ColdOnly", cold)]);
    let answer: Invocations = client.call(get("ListInvocations", path)).await?;
    let mut invocations = answer.invocations;
    invocations.sort_by_key(|invocation| std::cmp::Reverse(invocation.started_us));
    Ok(invocations)
}

/// GetInvocation.
pub async fn invocation(client: &Client, request_id: &str) -> Result<Invocation, CallError> {
    let path = format!("/_dayfly/v1/invocations/{}", encode(request_id));
    let answer: One = client.call(get("GetInvocation", path)).await?;
    Ok(answer.invocation)
}

/// RetireInstances: the next call is cold, from `rung` if one is named. Says how many there were.
pub async fn retire(client: &Client, function: &str, rung: Option<&str>) -> Result<u64, CallError> {
    let query = rung.map(|rung| format!("?NextRung={rung}")).unwrap_or_default();
    let path = format!("/_dayfly/v1/functions/{}/instances{query}", encode(function));
    let request = Request::new("RetireInstances", SERVICE, Method::DELETE, path);
    let answer: Retired = client.call(request).await?;
    Ok(answer.retired)
}

fn get(operation: &'static str, path: String) -> Request {
    Request::new(operation, SERVICE, Method::GET, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_name_runtimes() {
        let check = |language: &str, version: &str, identifier: Option<&str>| {
            let interpreter =
                Interpreter { language: language.into(), version: version.into(), executable: String::new() };
            assert_eq!(interpreter.identifier().as_deref(), identifier, "{language} {version}");
        };
        check("python", "3.12.1", Some("python3.12"));
        check("Node", "v22.1.0", Some("nodejs22.x"));
        check("python", "3.15.0rc1", Some("python3.15"));
        check("ruby", "3.4", None);
        check("python", "", None);
    }

    #[test]
    fn records_are_read() {
        let text = r#"{"Invocation":{"RequestId":"r","Rung":"spawn","Phases":{"QueueUs":5,"SandboxUs":2,
            "InitUs":2,"HandlerUs":10},"Usage":{"UserUs":1,"SystemUs":2,"PeakBytes":3},"CostNanodollars":4}}"#;
        let one: One = serde_json::from_str(text).expect("readable");
        assert!(one.invocation.is_cold());
        assert_eq!((one.invocation.total_us(), one.invocation.usage.peak_bytes), (19, 3));
        let text = serde_json::to_string(&one.invocation).expect("it has a text");
        assert!(text.contains("\"cost_nanodollars\":4"));
    }
}
