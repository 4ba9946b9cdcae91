//! A call of a function and the one record that it leaves.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One request to run a function.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// A UUID; names the call in every log line, record and answer.
    pub request_id: String,
    /// The event, usually JSON.
    pub payload: Bytes,
    /// The payload is a request as [`crate::Exchange`] reads it, and a response in the same form is the answer.
    pub exchange: bool,
    /// The ARN as the client addressed it.
    pub invoked_arn: String,
    /// Decoded client context JSON, where the client sent one.
    pub client_context: Option<String>,
    /// `X-Amzn-Trace-Id` as the function shall see it.
    pub trace: Option<String>,
    /// Who asked: a principal's ARN, or `*` for a public URL.
    pub caller: String,
    /// The instance that it comes from; empty: from outside.
    pub from: String,
    /// Whether the caller wants the last 4 KiB of the log back.
    pub tail: bool,
}

/// An error that a function reported or the platform reports for it, in AWS's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionError {
    /// `errorType`.
    #[serde(rename = "errorType", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// `errorMessage`.
    #[serde(rename = "errorMessage", default)]
    pub message: String,
}

/// How an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The handler returned.
    Success,
    /// The handler raised, or its answer could not be used.
    Error,
    /// The handler ran past its timeout.
    Timeout,
    /// The sandbox reached its memory limit.
    OutOfMemory,
    /// The process ended before it answered.
    Crash,
    /// The code could not be loaded.
    InitError,
}

/// From which step of the ladder of warmth an instance came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// An instance that had served before.
    Idle,
    /// A process forked from a template before it was needed.
    Spare,
    /// A process forked from a template.
    Fork,
    /// A fresh process.
    Spawn,
}

/// Where the time of an invocation went. Microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// Waiting for an instance.
    pub queue_us: u64,
    /// Making the sandbox; 0 on a warm call.
    pub sandbox_us: u64,
    /// Starting the runtime and loading the code; 0 on a warm call.
    pub init_us: u64,
    /// Event handed over until the answer was complete.
    pub handler_us: u64,
}

/// What an invocation used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// User CPU time in microseconds.
    pub user_us: u64,
    /// System CPU time in microseconds.
    pub system_us: u64,
    /// The most memory the instance has held, in bytes.
    pub peak_bytes: u64,
}

/// What it took to load one package, beside the handler's own modules, which are the package `.`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Its name.
    pub package: String,
    /// Modules of it that were loaded.
    pub modules: u32,
    /// Time in its own modules, in microseconds.
    pub own_us: u64,
    /// Time from the beginning to the end of its import, with all that it imported first.
    pub total_us: u64,
}

/// The truth about one invocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InvocationRecord {
    /// The call's UUID.
    pub request_id: String,
    /// Start, in microseconds since 1970 UTC.
    pub started_us: u64,
    /// Function name.
    pub function: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// The instance that served it.
    pub instance: String,
    /// Who asked.
    pub caller: String,
    /// How it ended.
    pub outcome: Outcome,
    /// `errorType` where it failed.
    pub error_type: Option<String>,
    /// Where the instance came from.
    pub rung: Rung,
    /// Why that rung: `idle instance`, `first instance`, `all instances busy`, `new revision`, …
    pub reason: String,
    /// Where the time went.
    pub phases: Phases,
    /// What it used.
    pub usage: Usage,
    /// The function's memory setting in mebibytes.
    pub memory_mb: u32,
    /// Milliseconds that are billed.
    pub billed_ms: u64,
    /// Price in billionths of a US dollar.
    pub cost_nanodollars: u64,
    /// Bytes in and out.
    pub request_bytes: u64,
    /// See `request_bytes`.
    pub response_bytes: u64,
    /// Log group and stream that hold its lines.
    pub log_group: String,
    /// See `log_group`.
    pub log_stream: String,
    /// Of a call that its instance was made for: what took long to import, where the instance has imported it itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
    /// The level of isolation that its instance had, 3 is everything; `None`: no instance came to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation_level: Option<u8>,
}
