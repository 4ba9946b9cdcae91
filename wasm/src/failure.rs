//! How a call that a component did not answer is answered: error types and texts. Pure.

use crate::budget::OutOfMemory;
use model::FunctionError;
use std::time::Duration;
use wasmtime::{Error, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// Frames named in the message of a trap.
const FRAMES: usize = 8;

/// Why a component gave no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The event is no request.
    Event(String),
    /// It was stopped, trapped, or could not be made.
    Trapped(Error),
    /// It returned, but set no response.
    NoResponse,
    /// It set an error in place of a response, or broke its body off.
    Broken(String),
    /// Its answer has more bytes than are allowed.
    TooLarge { limit_bytes: usize },
    /// It ran past the function's timeout.
    TimedOut(Duration),
    /// It answered a plain event with this type and message.
    Raised(String, String),
}

impl Failure {
    /// The error document, as AWS shapes it.
    pub(crate) fn document(&self, request_id: &str) -> Vec<u8> {
        let (kind, message) = self.words(request_id);
        serde_json::to_vec(&FunctionError { kind, message }).expect("two texts are JSON")
    }

    fn words(&self, request_id: &str) -> (String, String) {
        let (kind, what) = match self {
            Self::Event(why) => ("Runtime.InvalidEvent", format!("The event is no request: {why}")),
            Self::Trapped(error) => trapped(error),
            Self::NoResponse => {
                ("Runtime.NoResponse", "The component returned without setting a response".into())
            }
            Self::Broken(why) => {
                ("Runtime.BrokenResponse", format!("The component's response broke off: {why}"))
            }
            Self::TooLarge { limit_bytes } => (
                "Function.ResponseSizeTooLarge",
                format!("Response payload size exceeded maximum allowed payload size ({limit_bytes} bytes)."),
            ),
            Self::TimedOut(after) => {
                let text = format!("Task timed out after {:.2} seconds", after.as_secs_f64());
                ("Sandbox.Timedout", format!("RequestId: {request_id} Error: {text}"))
            }
            Self::Raised(kind, message) => return (kind.clone(), message.clone()),
        };
        (kind.into(), what)
    }
}

fn trapped(error: &Error) -> (&'static str, String) {
    if let Some(memory) = error.downcast_ref::<OutOfMemory>() {
        return ("Runtime.OutOfMemory", format!("The component was stopped: {memory}"));
    }
    if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        return ("Runtime.ExitError", format!("Runtime exited with error: exit status {status}"));
    }
    let frames = frames(error);
    match error.downcast_ref::<Trap>() {
        Some(trap) => ("Runtime.Trap", format!("The component trapped: {trap}{frames}")),
        None => ("Runtime.Failed", format!("The component failed: {}{frames}", error.root_cause())),
    }
}

/// Where it happened, innermost first, as far as the component names its functions.
fn frames(error: &Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let names: Vec<&str> = trace.frames().iter().take(FRAMES).filter_map(|frame| frame.func_name()).collect();
    if names.is_empty() { String::new() } else { format!(" (in {})", names.join(" < ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_type_and_text() {
        let cases = [
            (Failure::NoResponse, "Runtime.NoResponse", "without setting a response"),
            (Failure::Event("why".into()), "Runtime.InvalidEvent", "no request: why"),
            (Failure::Trapped(Trap::StackOverflow.into()), "Runtime.Trap", "call stack exhausted"),
            (Failure::Trapped(I32Exit(3).into()), "Runtime.ExitError", "exit status 3"),
            (Failure::TooLarge { limit_bytes: 7 }, "Function.ResponseSizeTooLarge", "(7 bytes)."),
            (
                Failure::TimedOut(Duration::from_secs(3)),
                "Sandbox.Timedout",
                "RequestId: 7 Error: Task timed out after 3.00 seconds",
            ),
            (Failure::Raised("Http.404".into(), "gone".into()), "Http.404", "gone"),
        ];
        for (failure, kind, message) in cases {
            let said: FunctionError = serde_json::from_slice(&failure.document("7")).unwrap();
            assert_eq!(said.kind, kind);
            assert!(said.message.contains(message), "{}", said.message);
        }
    }
}
