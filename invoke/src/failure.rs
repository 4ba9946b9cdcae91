//! How a call that the platform had to end is answered: AWS's error types and texts. Pure.

use bytes::Bytes;
use model::{FunctionError, Outcome};
use sandbox::Exit;

/// The largest answer that AWS takes: the documented 6 MiB and 100 bytes, as its error message says.
pub(crate) const ANSWER_MAX_BYTES: usize = model::limit("sync-payload") as usize + 100;

/// Why the platform answers in the function's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The handler, or the init on its account, ran past this many seconds.
    TimedOut(u32),
    /// The memory limit ended the runtime, or a process without which it could not go on.
    OutOfMemory,
    /// The runtime ended before it answered.
    Exited(Exit),
    /// The runtime said something that it may not.
    Violation(String),
    /// The answer has this many bytes.
    TooLarge(usize),
    /// No memory came free for the answer.
    NoRoom,
    /// The code could not be loaded; the runtime's own JSON.
    Init(Bytes),
    /// The package has no program that can be executed.
    Entrypoint(String),
    /// Its program is one of another kind of machine.
    BadArch(String),
    /// The platform stopped while it ran.
    Stopped,
}

/// When it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before the instance was ready.
    Init,
    /// While the handler ran.
    Handler,
}

impl Failure {
    /// What the record says.
    pub(crate) fn outcome(&self, stage: Stage) -> Outcome {
        match (self, stage) {
            (Self::TimedOut(_), _) => Outcome::Timeout,
            (Self::OutOfMemory, _) => Outcome::OutOfMemory,
            (Self::TooLarge(_) | Self::NoRoom, _) => Outcome::Error,
            (Self::Init(_) | Self::Entrypoint(_) | Self::BadArch(_), _)
            | (Self::Exited(_) | Self::Violation(_), Stage::Init) => Outcome::InitError,
            (Self::Exited(_) | Self::Violation(_) | Self::Stopped, _) => Outcome::Crash,
        }
    }

    /// The `Error Type` of the REPORT line and the record. Unlike the answer, it tells want of memory from
    /// other ends, as AWS does, and programs of other machines from broken ones.
    pub(crate) fn error_type(&self) -> String {
        match self {
            Self::OutOfMemory => "Runtime.OutOfMemory".into(),
            Self::BadArch(_) => "Runtime.BadArch".into(),
            other => other.answered_type(),
        }
    }

    /// The answer's JSON.
    pub(crate) fn json(&self, request_id: &str) -> Bytes {
        if let Self::Init(json) = self {
            return json.clone();
        }
        let error = FunctionError { kind: self.answered_type(), message: self.message(request_id) };
        Bytes::from(serde_json::to_vec(&error).expect("two strings are JSON"))
    }

    /// The platform's line in the log, where the function could not say it.
    pub(crate) fn line(&self, request_id: &str) -> Option<String> {
        match self {
            Self::Init(_) | Self::TimedOut(_) => None,
            other => Some(format!("{}\n{}", other.message(request_id), other.error_type())),
        }
    }

    fn answered_type(&self) -> String {
        match self {
            Self::TimedOut(_) => "Sandbox.Timedout".into(),
            Self::OutOfMemory | Self::Exited(_) => "Runtime.ExitError".into(),
            Self::Violation(_) => "Runtime.ProtocolError".into(),
            Self::TooLarge(_) => "Function.ResponseSizeTooLarge".into(),
            Self::NoRoom => "Sandbox.ResponseDropped".into(),
            Self::Init(json) => error_type(json).unwrap_or_else(|| "Runtime.Unknown".into()),
            Self::Entrypoint(_) | Self::BadArch(_) => "Runtime.InvalidEntrypoint".into(),
            Self::Stopped => "Sandbox.Failure".into(),
        }
    }

    fn message(&self, request_id: &str) -> String {
        let what = match self {
            Self::TimedOut(seconds) => format!("Task timed out after {seconds}.00 seconds"),
            Self::OutOfMemory => "Runtime exited with error: signal: killed".into(),
            Self::Exited(Exit::Code(0)) => "Runtime exited without providing a reason".into(),
            Self::Exited(Exit::Code(status)) => format!("Runtime exited with error: exit status {status}"),
            Self::Exited(Exit::Signal(signal)) => {
                format!("Runtime exited with error: signal: {}", signal_name(*signal))
            }
            Self::Violation(what) => format!("Runtime broke its protocol: {what}"),
            Self::TooLarge(_) => {
                return format!(
                    "Response payload size exceeded maximum allowed payload size ({ANSWER_MAX_BYTES} bytes)."
                );
            }
            Self::NoRoom => "The answer was dropped: other answers hold all the memory that there is for them (limit room-bytes)".into(),
            Self::Init(_) => "Runtime failed to initialize".into(),
            Self::Entrypoint(why) | Self::BadArch(why) => why.clone(),
            Self::Stopped => "The platform was stopped while the function ran".into(),
        };
        format!("RequestId: {request_id} Error: {what}")
    }
}

/// The `errorType` of an error document.
pub(crate) fn error_type(json: &[u8]) -> Option<String> {
    let error: FunctionError = serde_json::from_slice(json).ok()?;
    Some(error.kind).filter(|kind| !kind.is_empty())
}

/// The names that AWS's messages use (those of Go's runtime).
fn signal_name(signal: i32) -> String {
    match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        31 => "bad system call",
        other => return format!("signal {other}"),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failure: Failure, stage: Stage, outcome: Outcome, error_type: &str, json: &str) {
        assert_eq!(failure.outcome(stage), outcome, "{failure:?}");
        assert_eq!(failure.error_type(), error_type, "{failure:?}");
        assert_eq!(failure.json("7"), json, "{failure:?}");
    }

    #[test]
    fn each_end_has_the_shape_that_clients_know() {
        let exit = |what: &str| {
            format!(r#"{{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 7 Error: {what}"}}"#)
        };
        let table = [
            (Exit::Code(0), Stage::Handler, Outcome::Crash, "Runtime exited without providing a reason"),
            (Exit::Code(1), Stage::Handler, Outcome::Crash, "Runtime exited with error: exit status 1"),
            (Exit::Code(1), Stage::Init, Outcome::InitError, "Runtime exited with error: exit status 1"),
            (
                Exit::Signal(11),
                Stage::Handler,
                Outcome::Crash,
                "Runtime exited with error: signal: segmentation fault",
            ),
            (
                Exit::Signal(40),
                Stage::Handler,
                Outcome::Crash,
                "Runtime exited with error: signal: signal 40",
            ),
        ];
        for (end, stage, outcome, what) in table {
            check(Failure::Exited(end), stage, outcome, "Runtime.ExitError", &exit(what));
        }
        let killed = exit("Runtime exited with error: signal: killed");
        check(Failure::OutOfMemory, Stage::Handler, Outcome::OutOfMemory, "Runtime.OutOfMemory", &killed);
        let foreign = "fork/exec /var/task/bootstrap: exec format error";
        let refused = format!(
            r#"{{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: 7 Error: {foreign}"}}"#
        );
        let kind = "Runtime.BadArch";
        check(Failure::BadArch(foreign.into()), Stage::Init, Outcome::InitError, kind, &refused);
        let table = [
            (
                Failure::TimedOut(3),
                Outcome::Timeout,
                r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 7 Error: Task timed out after 3.00 seconds"}"#,
            ),
            (
                Failure::Violation("half a frame".into()),
                Outcome::Crash,
                r#"{"errorType":"Runtime.ProtocolError","errorMessage":"RequestId: 7 Error: Runtime broke its protocol: half a frame"}"#,
            ),
            (
                Failure::TooLarge(7_000_000),
                Outcome::Error,
                r#"{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}"#,
            ),
            (
                Failure::Init(Bytes::from_static(
                    br#"{"errorMessage":"no","errorType":"Runtime.ImportModuleError"}"#,
                )),
                Outcome::InitError,
                r#"{"errorMessage":"no","errorType":"Runtime.ImportModuleError"}"#,
            ),
            (
                Failure::Entrypoint("fork/exec /var/task/bootstrap: permission denied".into()),
                Outcome::InitError,
                r#"{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: 7 Error: fork/exec /var/task/bootstrap: permission denied"}"#,
            ),
            (
                Failure::Stopped,
                Outcome::Crash,
                r#"{"errorType":"Sandbox.Failure","errorMessage":"RequestId: 7 Error: The platform was stopped while the function ran"}"#,
            ),
        ];
        for (failure, outcome, json) in table {
            let kind = error_type(json.as_bytes()).expect("each names its type");
            check(failure, Stage::Handler, outcome, &kind, json);
        }
    }

    #[test]
    fn error_types_are_read_from_what_functions_send() {
        for (json, kind) in [
            (r#"{"errorType":"ValueError","errorMessage":"x","stackTrace":[]}"#, Some("ValueError")),
            (r#"{"errorMessage":"x"}"#, None),
            ("[]", None),
            ("not json", None),
            (r#"{"errorType":7}"#, None),
        ] {
            assert_eq!(error_type(json.as_bytes()).as_deref(), kind, "{json}");
        }
    }
}
