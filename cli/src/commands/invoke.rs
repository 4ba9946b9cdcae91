//! `dayfly invoke`.

use crate::advice;
use crate::api::lambda::{self, Configuration, Invoked};
use crate::api::platform::{self, Invocation};
use crate::bar::{self, Part};
use crate::client::Client;
use crate::context::{Context, explain};
use crate::failure::{Exit, Failure};
use crate::figure;
use crate::imports;
use crate::pasted;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use owo_colors::{AnsiColors, OwoColorize as _};
use serde_json::{Value, json};
use std::io::Read as _;
use std::time::Duration;

/// Records are written beside the hot path, so one may arrive a moment after its answer.
const RECORD_TRIES: u32 = 20;
const RECORD_PAUSE: Duration = Duration::from_millis(25);

/// Calls a function: its answer goes to standard output, what it took and cost to standard error.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The function, or NAME:NUMBER for a published version.
    name: String,
    /// The event: JSON, @FILE, or - for standard input.
    #[arg(short, long, value_name = "JSON|@FILE|-", default_value = "{}", allow_hyphen_values = true)]
    payload: String,
    /// Retire idle instances first, so that the call starts a new one; from this rung, where it can: a spare (a waiting
    /// copy of a template), fork (a new copy), or spawn (a new process).
    #[arg(long, value_name = "RUNG", num_args = 0..=1, require_equals = true, default_missing_value = "any")]
    cold: Option<Cold>,
    /// Draw where the time went.
    #[arg(long)]
    explain: bool,
}

/// How cold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Cold {
    /// The best there is.
    Any,
    /// A waiting copy of a template.
    Spare,
    /// A new copy of a template.
    Fork,
    /// A new process.
    Spawn,
}

impl Cold {
    fn rung(self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::Spare => Some("spare"),
            Self::Fork => Some("fork"),
            Self::Spawn => Some("spawn"),
        }
    }
}

/// Runs it.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let payload = payload(&args)?;
    let client = context.client()?;
    if let Some(cold) = args.cold
        && let Err(error) = platform::retire(&client, &args.name, cold.rung()).await
    {
        return Err(explain(&client, &args.name, error).await);
    }
    let invoked = match lambda::invoke(&client, &args.name, payload).await {
        Ok(invoked) => invoked,
        Err(error) => return Err(explain(&client, &args.name, error).await),
    };
    let record = record(&client, &invoked.request_id).await;
    let log = invoked.log.as_ref().and_then(|log| STANDARD.decode(log).ok()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log).into_owned();
    if context.screen.json {
        context.screen.document(&document(&args.name, &invoked, record.as_ref(), &log));
    } else {
        show(context, &args.name, &invoked, record.as_ref(), &log);
        if let Some(record) = record.as_ref().filter(|_| args.explain) {
            explain_time(context, record);
            if let Some(level) = record.isolation_level {
                context.screen.fact("isolation", figure::isolation(level));
            }
            if record.is_cold()
                && let Ok(function) = lambda::configuration(&client, &args.name).await
            {
                explain_start(context, &function, record);
            }
        }
    }
    Ok(if invoked.error.is_some() { Exit::FunctionError } else { Exit::Done })
}

fn payload(args: &Args) -> Result<Bytes, Failure> {
    let limit = model::limit("sync-payload");
    let bytes = match args.payload.as_str() {
        "-" => {
            let mut bytes = Vec::new();
            std::io::stdin().take(limit + 1).read_to_end(&mut bytes).map_err(|error| {
                Failure::new(
                    "cannot read the event from standard input",
                    error.to_string(),
                    "dayfly invoke --help",
                )
            })?;
            bytes
        }
        text => match text.strip_prefix('@') {
            Some(path) => std::fs::read(path).map_err(|error| {
                Failure::usage(
                    format!("cannot read the event from {path}"),
                    error.to_string(),
                    format!("ls -l {}", pasted::word(path)),
                )
            })?,
            None => text.as_bytes().to_vec(),
        },
    };
    let example = || format!("dayfly invoke {} --payload '{{\"key\": \"value\"}}'", args.name);
    if bytes.len() as u64 > limit {
        let why = format!("limit sync-payload is {}", figure::bytes(limit));
        return Err(Failure::usage("the event is too large", why, "dayfly limits"));
    }
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes) {
        return Err(Failure::usage("the event is not JSON", error.to_string(), example()));
    }
    Ok(bytes.into())
}

async fn record(client: &Client, request_id: &str) -> Option<Invocation> {
    for _ in 0..RECORD_TRIES {
        match platform::invocation(client, request_id).await {
            Ok(record) => return Some(record),
            Err(error) if error.is_not_found() => tokio::time::sleep(RECORD_PAUSE).await,
            Err(_) => return None,
        }
    }
    None
}

fn document(name: &str, invoked: &Invoked, record: Option<&Invocation>, log: &str) -> Value {
    let payload: Value = serde_json::from_slice(&invoked.payload)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&invoked.payload).into_owned()));
    json!({
        "function": name,
        "request_id": invoked.request_id,
        "error": invoked.error,
        "payload": payload,
        "record": record,
        "log": log,
    })
}

fn show(context: &Context, name: &str, invoked: &Invoked, record: Option<&Invocation>, log: &str) {
    let screen = context.screen;
    screen.raw(&invoked.payload);
    if !invoked.payload.ends_with(b"\n") {
        screen.raw(b"\n");
    }
    if invoked.error.is_some() {
        for line in log.lines() {
            screen.note(format!("  {} {line}", "|".dimmed()));
        }
    }
    let outcome = match (&invoked.error, record) {
        (None, _) => "success".green().to_string(),
        (Some(_), Some(record)) => record.outcome.red().to_string(),
        (Some(_), None) => "error".red().to_string(),
    };
    let words = match record {
        Some(record) => summary(record),
        None => format!("no record of request {}", invoked.request_id),
    };
    screen.note(format!("{} {outcome}: {words}", name.bold()));
    if invoked.error.is_some() {
        screen.fact("next", context.flags.onto(&format!("dayfly logs {name}")));
    }
}

/// What a cold one imported, and what would make it shorter.
fn explain_start(context: &Context, function: &Configuration, record: &Invocation) {
    if !record.imports.is_empty() {
        context.screen.note("  importing took, in milliseconds:");
        let table = imports::table(function, &record.imports).render(false);
        table.lines().for_each(|line| context.screen.note(format!("  {line}")));
    }
    for advice in advice::of(function, std::slice::from_ref(record)) {
        context.screen.fact("advice", context.flags.onto(&advice));
    }
}

/// A bar of the call's phases.
fn explain_time(context: &Context, record: &Invocation) {
    let phases = &record.phases;
    let part = |name, micros, colour| Part { name, micros, colour };
    let parts = [
        part("queue: waiting for an instance", phases.queue_us, AnsiColors::Yellow),
        part("sandbox: making or handing over its sandbox", phases.sandbox_us, AnsiColors::Magenta),
        part("init: starting the runtime and loading the code", phases.init_us, AnsiColors::Cyan),
        part("handler: running it", phases.handler_us, AnsiColors::Green),
    ];
    bar::draw(&parts).into_iter().for_each(|line| context.screen.note(line));
}

fn summary(record: &Invocation) -> String {
    let ms = figure::milliseconds;
    format!(
        "{} ms ({}: {}), user {} ms, system {} ms, peak {} MB, cost {}, request {}",
        ms(record.total_us()),
        record.rung,
        record.reason,
        ms(record.usage.user_us),
        ms(record.usage.system_us),
        figure::megabytes(record.usage.peak_bytes),
        figure::dollars(record.cost_nanodollars as f64),
        record.request_id,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::platform::{Phases, Usage};

    #[test]
    fn one_line_says_it_all() {
        let record = Invocation {
            request_id: "11111111-2222-4333-8444-555555555555".into(),
            rung: "spawn".into(),
            reason: "first instance".into(),
            phases: Phases { queue_us: 9000, sandbox_us: 2000, init_us: 30_000, handler_us: 250 },
            usage: Usage { user_us: 21_500, system_us: 4200, peak_bytes: 12 << 20 },
            cost_nanodollars: 2083,
            ..Invocation::default()
        };
        assert_eq!(
            summary(&record),
            "41.2 ms (spawn: first instance), user 21.5 ms, system 4.20 ms, peak 12.0 MB, cost $0.0000021, \
             request 11111111-2222-4333-8444-555555555555"
        );
    }

    #[test]
    fn events() {
        let check = |text: &str| {
            let args = Args { name: "a".into(), payload: text.into(), cold: None, explain: false };
            payload(&args)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(|failure| failure.what)
        };
        assert_eq!(check("{\"a\": 1}"), Ok("{\"a\": 1}".into()));
        assert_eq!(check("{a: 1}"), Err("the event is not JSON".into()));
        assert_eq!(check("@/nonexistent"), Err("cannot read the event from /nonexistent".into()));
        let long = format!("\"{}\"", "x".repeat(6 << 20));
        assert_eq!(check(&long), Err("the event is too large".into()));
    }
}
