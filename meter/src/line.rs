//! The platform's own log lines, in AWS's form: fields are separated by tabs, milliseconds carry two decimals.

use model::{InvocationRecord, Outcome, Rung};
use std::fmt::Write;

/// In which phase an instance was initialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitPhase {
    /// Within the time that every init is given.
    Init,
    /// Past it, on the time of the call that waits.
    Invoke,
}

/// How an init ended that is told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitEnd<'a> {
    /// Out of time.
    Timeout,
    /// Failed, with this error type.
    Error(&'a str),
    /// Well, and instances are copied from what it made.
    Snapshot,
}

/// `INIT_START Runtime Version: …`.
pub fn init_start_line(runtime: &str) -> String {
    format!("INIT_START Runtime Version: {runtime}")
}

/// `INIT_REPORT Init Duration: …, Phase: …, Status: …`, written where an init did not end well; the duration alone where
/// it was one before a snapshot.
pub fn init_report_line(init_us: u64, phase: InitPhase, end: InitEnd<'_>) -> String {
    let phase = match phase {
        InitPhase::Init => "init",
        InitPhase::Invoke => "invoke",
    };
    let init = millis(init_us);
    match end {
        InitEnd::Snapshot => format!("INIT_REPORT Init Duration: {init} ms"),
        InitEnd::Timeout => format!("INIT_REPORT Init Duration: {init} ms\tPhase: {phase}\tStatus: timeout"),
        InitEnd::Error(kind) => {
            format!("INIT_REPORT Init Duration: {init} ms\tPhase: {phase}\tStatus: error\tError Type: {kind}")
        }
    }
}

/// `START RequestId: … Version: …`.
pub fn start_line(request_id: &str, version: &str) -> String {
    format!("START RequestId: {request_id} Version: {version}")
}

/// `END RequestId: …`.
pub fn end_line(request_id: &str) -> String {
    format!("END RequestId: {request_id}")
}

/// `<RFC 3339 time> <request id> Task timed out after 3.00 seconds`.
pub fn timeout_line(rfc3339: &str, request_id: &str, timeout_s: u32) -> String {
    format!("{rfc3339} {request_id} Task timed out after {timeout_s}.00 seconds")
}

/// The `REPORT` line: AWS's fields, then ours (`User Duration`, `System Duration`, `Rung`, `Queue Duration`, `Cost`).
///
/// `Status` and `Error Type` stand only where the platform ended the call; an error that the handler raised
/// is its answer, as on AWS. Memory is rounded up to whole mebibytes.
pub fn report_line(record: &InvocationRecord) -> String {
    let mut line = String::with_capacity(384);
    let InvocationRecord { request_id, phases, usage, billed_ms, memory_mb, .. } = record;
    let used_mb = usage.peak_bytes.div_ceil(1024 * 1024);
    let duration = millis(phases.handler_us);
    let _ = write!(
        line,
        "REPORT RequestId: {request_id}\tDuration: {duration} ms\tBilled Duration: {billed_ms} ms\t\
         Memory Size: {memory_mb} MB\tMax Memory Used: {used_mb} MB\t"
    );
    if phases.init_us > 0 {
        let _ = write!(line, "Init Duration: {} ms\t", millis(phases.init_us));
    }
    match (record.outcome, &record.error_type) {
        (Outcome::Success | Outcome::Error, _) => {}
        (Outcome::Timeout, _) => line.push_str("Status: timeout\t"),
        (_, Some(kind)) => {
            let _ = write!(line, "Status: error\tError Type: {kind}\t");
        }
        (_, None) => line.push_str("Status: error\t"),
    }
    let _ = write!(
        line,
        "User Duration: {} ms\tSystem Duration: {} ms\tRung: {}\tQueue Duration: {} ms\tCost: {} USD",
        millis(usage.user_us),
        millis(usage.system_us),
        rung(record.rung),
        millis(phases.queue_us),
        dollars(record.cost_nanodollars),
    );
    line
}

fn rung(rung: Rung) -> &'static str {
    match rung {
        Rung::Idle => "idle",
        Rung::Spare => "spare",
        Rung::Fork => "fork",
        Rung::Spawn => "spawn",
    }
}

/// Microseconds as milliseconds with two decimals, rounded to the nearest.
fn millis(us: u64) -> String {
    let hundredths = us.saturating_add(5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn dollars(nano: u64) -> String {
    format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Phases, Usage};

    fn record() -> InvocationRecord {
        InvocationRecord {
            request_id: "8f5e".into(),
            started_us: 0,
            function: "hello".into(),
            version: "$LATEST".into(),
            instance: "i".into(),
            caller: "*".into(),
            outcome: Outcome::Success,
            error_type: None,
            rung: Rung::Idle,
            reason: "idle instance".into(),
            phases: Phases { queue_us: 14, sandbox_us: 0, init_us: 0, handler_us: 12_344 },
            usage: Usage { user_us: 3_100, system_us: 1_205, peak_bytes: 63 * 1024 * 1024 + 1 },
            memory_mb: 128,
            billed_ms: 13,
            cost_nanodollars: 227,
            request_bytes: 2,
            response_bytes: 2,
            log_group: "/aws/lambda/hello".into(),
            log_stream: "s".into(),
            imports: Vec::new(),
            isolation_level: Some(3),
        }
    }

    const HEAD: &str = "REPORT RequestId: 8f5e\tDuration: 12.34 ms\tBilled Duration: 13 ms\t\
                        Memory Size: 128 MB\tMax Memory Used: 64 MB\t";
    const OURS: &str = "User Duration: 3.10 ms\tSystem Duration: 1.21 ms\tRung: idle\tQueue Duration: 0.01 ms\t\
                        Cost: 0.000000227 USD";

    #[test]
    fn report_lines() {
        let table: [(Outcome, Option<&str>, u64, &str); 7] = [
            (Outcome::Success, None, 0, ""),
            (Outcome::Success, None, 210_000, "Init Duration: 210.00 ms\t"),
            (Outcome::Error, Some("ValueError"), 0, ""),
            (Outcome::Timeout, Some("Sandbox.Timedout"), 0, "Status: timeout\t"),
            (
                Outcome::OutOfMemory,
                Some("Runtime.OutOfMemory"),
                0,
                "Status: error\tError Type: Runtime.OutOfMemory\t",
            ),
            (Outcome::Crash, Some("Runtime.ExitError"), 0, "Status: error\tError Type: Runtime.ExitError\t"),
            (Outcome::InitError, None, 5, "Init Duration: 0.01 ms\tStatus: error\t"),
        ];
        for (outcome, error_type, init_us, middle) in table {
            let mut record = record();
            (record.outcome, record.phases.init_us) = (outcome, init_us);
            record.error_type = error_type.map(Into::into);
            assert_eq!(report_line(&record), format!("{HEAD}{middle}{OURS}"));
        }
    }

    #[test]
    fn other_lines() {
        let table = [
            (start_line("8f5e", "$LATEST"), "START RequestId: 8f5e Version: $LATEST"),
            (end_line("8f5e"), "END RequestId: 8f5e"),
            (
                timeout_line("2026-01-01T00:00:00.000Z", "8f5e", 3),
                "2026-01-01T00:00:00.000Z 8f5e Task timed out after 3.00 seconds",
            ),
            (init_start_line("python:3.12.4"), "INIT_START Runtime Version: python:3.12.4"),
            (
                init_report_line(9_999_260, InitPhase::Init, InitEnd::Timeout),
                "INIT_REPORT Init Duration: 9999.26 ms\tPhase: init\tStatus: timeout",
            ),
            (
                init_report_line(1_140_390, InitPhase::Init, InitEnd::Snapshot),
                "INIT_REPORT Init Duration: 1140.39 ms",
            ),
            (
                init_report_line(142_210, InitPhase::Invoke, InitEnd::Error("Runtime.ExitError")),
                "INIT_REPORT Init Duration: 142.21 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError",
            ),
        ];
        for (line, expected) in table {
            assert_eq!(line, expected);
        }
    }
}
