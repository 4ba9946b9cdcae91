//! The platform's own words as shapes of `wire/models/dayfly.json`.

use invoke::InstanceState;
use model::{Import, InvocationRecord, Outcome, Rung, Unit};
use wire::dayfly as api;

pub(crate) fn layer(layer: &sandbox::Layer) -> api::Layer {
    api::Layer {
        name: layer.name.clone(),
        on: layer.on,
        why_missing: layer.why_missing.clone(),
        how_to_fix: layer.how_to_fix.clone(),
    }
}

pub(crate) fn interpreter((name, path): &(String, std::path::PathBuf)) -> api::Interpreter {
    let (language, version) = name.split_once(' ').unwrap_or((name, ""));
    api::Interpreter {
        language: language.into(),
        version: version.into(),
        executable: path.display().to_string(),
    }
}

/// An instance as it is at `now_us`.
pub(crate) fn instance(summary: invoke::InstanceSummary, now_us: u64) -> api::Instance {
    api::Instance {
        instance_id: summary.id,
        function_name: summary.function,
        version: summary.version,
        state: state(summary.state),
        since_us: Some(signed(now_us.saturating_sub(summary.since_us))),
        invocations: Some(signed(summary.served)),
        memory_mb: i32::try_from(summary.memory_mb).ok(),
    }
}

fn state(state: InstanceState) -> api::InstanceState {
    match state {
        InstanceState::Starting => api::InstanceState::Starting,
        InstanceState::Idle => api::InstanceState::Idle,
        InstanceState::Busy => api::InstanceState::Busy,
        InstanceState::Ending => api::InstanceState::Ending,
    }
}

pub(crate) fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Bytes => "bytes",
        Unit::Mebibytes => "mebibytes",
        Unit::Seconds => "seconds",
        Unit::Milliseconds => "milliseconds",
        Unit::Microseconds => "microseconds",
        Unit::Count => "count",
    }
}

pub(crate) fn invocation(record: InvocationRecord) -> api::Invocation {
    api::Invocation {
        request_id: record.request_id,
        started_us: signed(record.started_us),
        function: record.function,
        version: record.version,
        instance: record.instance,
        caller: record.caller,
        outcome: outcome(record.outcome),
        error_type: record.error_type,
        rung: rung(record.rung),
        reason: record.reason,
        phases: api::Phases {
            queue_us: signed(record.phases.queue_us),
            sandbox_us: signed(record.phases.sandbox_us),
            init_us: signed(record.phases.init_us),
            handler_us: signed(record.phases.handler_us),
        },
        usage: api::Usage {
            user_us: signed(record.usage.user_us),
            system_us: signed(record.usage.system_us),
            peak_bytes: signed(record.usage.peak_bytes),
        },
        memory_mb: i32::try_from(record.memory_mb).unwrap_or(i32::MAX),
        billed_ms: signed(record.billed_ms),
        cost_nanodollars: signed(record.cost_nanodollars),
        request_bytes: signed(record.request_bytes),
        response_bytes: signed(record.response_bytes),
        log_group: record.log_group,
        log_stream: record.log_stream,
        imports: Some(record.imports.into_iter().map(import).collect()),
        isolation_level: record.isolation_level.map(i32::from),
    }
}

fn import(import: Import) -> api::Import {
    api::Import {
        package: import.package,
        modules: i32::try_from(import.modules).unwrap_or(i32::MAX),
        own_us: signed(import.own_us),
        total_us: signed(import.total_us),
    }
}

fn outcome(outcome: Outcome) -> api::Outcome {
    match outcome {
        Outcome::Success => api::Outcome::Success,
        Outcome::Error => api::Outcome::Error,
        Outcome::Timeout => api::Outcome::Timeout,
        Outcome::OutOfMemory => api::Outcome::OutOfMemory,
        Outcome::Crash => api::Outcome::Crash,
        Outcome::InitError => api::Outcome::InitError,
    }
}

fn rung(rung: Rung) -> api::Rung {
    match rung {
        Rung::Idle => api::Rung::Idle,
        Rung::Spare => api::Rung::Spare,
        Rung::Fork => api::Rung::Fork,
        Rung::Spawn => api::Rung::Spawn,
    }
}

pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The rung that a caller has named.
pub(crate) fn rung_of(rung: api::Rung) -> Rung {
    match rung {
        api::Rung::Idle => Rung::Idle,
        api::Rung::Spare => Rung::Spare,
        api::Rung::Fork => Rung::Fork,
        api::Rung::Spawn => Rung::Spawn,
    }
}
