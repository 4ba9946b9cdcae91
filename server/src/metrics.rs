//! The platform in numbers, in the words of Prometheus: what it is, what every function did, what runs and waits now.

use crate::Ready;
use crate::memory;
use invoke::{Engine, InstanceState};
use model::{Outcome, Rung};
use observe::{Counts, DURATIONS_US, Tally};
use std::collections::BTreeMap;
use wire::{Exposition, Sort};

/// The label of the functions that are not counted by name. No function can be called so.
const OTHERS: &str = "(others)";
const MICROSECONDS: f64 = 1e6;

/// A family with one value a function.
type Plain = (&'static str, Sort, &'static str, fn(&Counts) -> f64);

const PLAIN: [Plain; 6] = [
    ("dayfly_queue_seconds_total", Sort::Counter, "Time that calls waited for an instance.", |c| {
        seconds(c.queue_us)
    }),
    ("dayfly_start_seconds_total", Sort::Counter, "Time to make sandboxes and to load code.", |c| {
        seconds(c.start_us)
    }),
    ("dayfly_billed_seconds_total", Sort::Counter, "Billed time.", |c| c.billed_ms as f64 / 1e3),
    ("dayfly_cost_dollars_total", Sort::Counter, "What the calls cost.", |c| c.cost_nanodollars as f64 / 1e9),
    ("dayfly_cpu_user_seconds_total", Sort::Counter, "User CPU time.", |c| seconds(c.user_us)),
    ("dayfly_cpu_system_seconds_total", Sort::Counter, "System CPU time.", |c| seconds(c.system_us)),
];

/// Everything, as a text.
pub(crate) fn text(ready: &Ready, started_us: u64, engine: &Engine, tally: &Tally) -> String {
    let mut page = Exposition::default();
    platform(&mut page, ready, started_us);
    calls(&mut page, tally);
    for (name, sort, help, value) in PLAIN {
        page.family(name, sort, help);
        each(tally, |function, counts| page.sample(name, &[("function", function)], value(counts)));
    }
    durations(&mut page, tally);
    let name = "dayfly_memory_peak_bytes";
    page.family(name, Sort::Gauge, "The most memory that one of its instances has held.");
    each(tally, |function, counts| page.sample(name, &[("function", function)], counts.peak_bytes as f64));
    now(&mut page, engine);
    page.into_text()
}

fn platform(page: &mut Exposition, ready: &Ready, started_us: u64) {
    page.family("dayfly_build_info", Sort::Gauge, "What runs.");
    page.sample("dayfly_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    page.family("process_start_time_seconds", Sort::Gauge, "When it was started, since 1970.");
    page.sample("process_start_time_seconds", &[], seconds(started_us));
    page.family("process_resident_memory_bytes", Sort::Gauge, "Memory of the server process.");
    page.sample("process_resident_memory_bytes", &[], memory::resident_bytes() as f64);
    page.family("dayfly_isolation_level", Sort::Gauge, "How sandboxes are isolated; 3 is everything.");
    page.sample("dayfly_isolation_level", &[], f64::from(ready.level));
    page.family("dayfly_isolation_layer", Sort::Gauge, "Whether sandboxes have a layer of protection.");
    for layer in &ready.protections {
        page.sample("dayfly_isolation_layer", &[("layer", &layer.name)], f64::from(u8::from(layer.on)));
    }
}

fn calls(page: &mut Exposition, tally: &Tally) {
    let name = "dayfly_invocations_total";
    page.family(name, Sort::Counter, "Calls that have ended, by where their instance came from.");
    each(tally, |function, counts| {
        for (rung, count) in &counts.rungs {
            page.sample(name, &[("function", function), ("rung", word_of_rung(*rung))], *count as f64);
        }
    });
    let name = "dayfly_errors_total";
    page.family(name, Sort::Counter, "Calls that ended badly, by how.");
    each(tally, |function, counts| {
        for (how, count) in &counts.failures {
            page.sample(name, &[("function", function), ("outcome", word_of_outcome(*how))], *count as f64);
        }
    });
    let name = "dayfly_throttles_total";
    page.family(name, Sort::Counter, "Calls that were refused, by the limit that was reached.");
    each(tally, |function, counts| {
        for (limit, count) in &counts.throttled {
            page.sample(name, &[("function", function), ("limit", limit)], *count as f64);
        }
    });
}

fn durations(page: &mut Exposition, tally: &Tally) {
    page.family(
        "dayfly_duration_seconds",
        Sort::Histogram,
        "Event handed over until the answer was complete.",
    );
    let bounds: Vec<String> =
        DURATIONS_US.iter().map(|us| seconds(*us).to_string()).chain(["+Inf".to_owned()]).collect();
    each(tally, |function, counts| {
        let mut calls = 0;
        for (bound, count) in bounds.iter().zip(counts.durations) {
            calls += count;
            let labels = [("function", function), ("le", bound.as_str())];
            page.sample("dayfly_duration_seconds_bucket", &labels, calls as f64);
        }
        let labels = [("function", function)];
        page.sample("dayfly_duration_seconds_sum", &labels, seconds(counts.handler_us));
        page.sample("dayfly_duration_seconds_count", &labels, calls as f64);
    });
}

fn now(page: &mut Exposition, engine: &Engine) {
    let mut instances: BTreeMap<(String, &str), u32> = BTreeMap::new();
    for instance in engine.instances() {
        *instances.entry((instance.function, word_of_state(instance.state))).or_default() += 1;
    }
    page.family("dayfly_instances", Sort::Gauge, "Instances by what they do now.");
    for ((function, state), count) in &instances {
        page.sample("dayfly_instances", &[("function", function), ("state", state)], f64::from(*count));
    }
    page.family("dayfly_queue_length", Sort::Gauge, "Calls that wait for an instance now.");
    for (function, waiting) in engine.queues() {
        page.sample("dayfly_queue_length", &[("function", &function)], waiting as f64);
    }
}

fn each(tally: &Tally, mut with: impl FnMut(&str, &Counts)) {
    for (function, counts) in tally.functions() {
        with(if function.is_empty() { OTHERS } else { function }, counts);
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / MICROSECONDS
}

fn word_of_rung(rung: Rung) -> &'static str {
    match rung {
        Rung::Idle => "idle",
        Rung::Spare => "spare",
        Rung::Fork => "fork",
        Rung::Spawn => "spawn",
    }
}

fn word_of_outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Error => "error",
        Outcome::Timeout => "timeout",
        Outcome::OutOfMemory => "out-of-memory",
        Outcome::Crash => "crash",
        Outcome::InitError => "init-error",
    }
}

fn word_of_state(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Starting => "starting",
        InstanceState::Idle => "idle",
        InstanceState::Busy => "busy",
        InstanceState::Ending => "ending",
    }
}
