//! What a caller of the engine gets.

use bytes::Bytes;
use model::InvocationRecord;

/// An invocation that ran to an end, good or bad.
#[derive(Debug, Clone)]
pub struct Done {
    /// What the function answered, or what is answered for it.
    pub outcome: Answer,
    /// The truth about the invocation.
    pub record: InvocationRecord,
    /// The last bytes of its log, where the call asked for them.
    pub tail: Option<Vec<u8>>,
}

/// The payload of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The handler's return value.
    Returned(Bytes),
    /// An error in AWS's JSON shape (`FunctionError: Unhandled`).
    Failed(Bytes),
}

/// A call that did not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too much at once. The caller should come back later.
    #[error("{reason}: {limit} is reached")]
    Throttled {
        /// AWS's reason, such as `ReservedFunctionConcurrentInvocationLimitExceeded`.
        reason: &'static str,
        /// The limit's name, as in `model::LIMITS` or the function's own setting.
        limit: &'static str,
        /// What raises it.
        lifted_by: &'static str,
        /// Seconds after which a retry makes sense.
        retry_after_s: u32,
    },
    /// The function has come round too often among the calls that led to this one.
    #[error(
        "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services resources \
         and stopped your function's invocation. (limit recursion)"
    )]
    Looped,
    /// The machine has no interpreter for the function; says what was found and how to get it.
    #[error("{0}")]
    MissingRuntime(String),
    /// No sandbox could be made; the platform's fault.
    #[error("no sandbox could be made: {0}")]
    Sandbox(String),
    /// The platform stops and takes no new calls.
    #[error("the platform is shutting down")]
    ShuttingDown,
}

/// One instance, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSummary {
    /// Its id, as in the invocation records.
    pub id: String,
    /// The function.
    pub function: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// The version's revision.
    pub revision: String,
    /// What it does now.
    pub state: InstanceState,
    /// For how long it has done so, in microseconds.
    pub since_us: u64,
    /// Its memory limit.
    pub memory_mb: u32,
    /// Invocations that it has served.
    pub served: u64,
}

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Its sandbox is made and its code is loaded.
    Starting,
    /// It waits for a call.
    Idle,
    /// It serves a call.
    Busy,
    /// Its processes are being ended.
    Ending,
}
