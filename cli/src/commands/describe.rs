//! `dayfly describe`.

use crate::advice;
use crate::api::lambda::{self, Configuration, Provisioned, UrlConfig};
use crate::api::platform::{self, Invocation, Which};
use crate::client::{CallError, Client};
use crate::context::{Context, explain};
use crate::failure::{Exit, Failure};
use crate::figure;
use crate::imports;
use crate::table::{Align, Table};
use model::LATEST;
use serde_json::{Value, json};

/// Cold starts that are shown, and those that advice and import cost are taken from.
const STARTS: usize = 5;
const STARTS_READ: usize = 50;
/// Published versions that are shown; a program is told of all.
const VERSIONS: usize = 10;
/// Records that those of one version are picked from.
const RECORDS_OF_VERSIONS: usize = 1000;
/// Enough of a package's hash to tell it from others.
const SHA256_DIGITS: usize = 12;

/// Shows a function, its URL, where the time of its last invocations and cold starts went, what its imports cost, and
/// what would make its starts shorter.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The function, or NAME:NUMBER for a published version.
    name: String,
    /// How many invocations to show.
    #[arg(short = 'n', long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    last: u16,
}

/// All that is known of a function.
struct Known {
    function: Configuration,
    url: Option<UrlConfig>,
    reserved: Option<u32>,
    provisioned: Option<Provisioned>,
    /// The published ones, the newest first.
    versions: Vec<Configuration>,
    records: Vec<Invocation>,
    starts: Vec<Invocation>,
}

/// Runs it.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    let function = match lambda::configuration(&client, &args.name).await {
        Ok(function) => function,
        Err(error) => return Err(explain(&client, &args.name, error).await),
    };
    let name = function.function_name.clone();
    let version = (function.version != LATEST).then(|| function.version.clone());
    let known = Known {
        url: lambda::url(&client, &name).await?,
        reserved: lambda::reserved(&client, &name).await?,
        provisioned: lambda::provisioned(&client, &name, &function.version).await?,
        versions: published(lambda::versions(&client, &name).await?),
        records: records(&client, &name, (version.as_deref(), usize::from(args.last)), Which::All).await?,
        starts: records(&client, &name, (version.as_deref(), STARTS_READ), Which::Cold).await?,
        function,
    };
    let endpoint = client.target().endpoint.url();
    if context.screen.json {
        context.screen.document(&known.document(context, &endpoint));
    } else {
        known.show(context, &endpoint);
    }
    Ok(Exit::Done)
}

/// The last `count` records of a function, or of one of its published versions.
async fn records(
    client: &Client,
    name: &str,
    (version, count): (Option<&str>, usize),
    which: Which,
) -> Result<Vec<Invocation>, CallError> {
    let Some(version) = version else { return platform::invocations(client, name, count, which).await };
    let mut found = platform::invocations(client, name, RECORDS_OF_VERSIONS, which).await?;
    found.retain(|record| record.version == version);
    found.truncate(count);
    Ok(found)
}

fn published(mut versions: Vec<Configuration>) -> Vec<Configuration> {
    versions.retain(|version| version.version != LATEST);
    versions.reverse();
    versions
}

impl Known {
    /// The starts that are shown, and that advice follows from.
    fn last_starts(&self) -> &[Invocation] {
        &self.starts[..self.starts.len().min(STARTS)]
    }

    fn advice(&self, context: &Context) -> Vec<String> {
        let advice = advice::of(&self.function, self.last_starts());
        advice.iter().map(|advice| context.flags.onto(advice)).collect()
    }

    fn document(&self, context: &Context, endpoint: &str) -> Value {
        let Self { function, url, .. } = self;
        json!({
            "name": function.function_name,
            "arn": function.function_arn,
            "version": function.version,
            "versions": self.versions.iter().map(version_document).collect::<Vec<_>>(),
            "runtime": function.runtime,
            "handler": function.handler,
            "memory_mb": function.memory_size,
            "timeout_s": function.timeout,
            "tmp_mb": function.ephemeral_storage.size,
            "role": function.role,
            "description": function.description,
            "environment": function.environment.variables.keys().collect::<Vec<_>>(),
            "code_bytes": function.code_size,
            "code_sha256": function.code_sha256,
            "state": function.state,
            "state_reason": function.state_reason,
            "last_modified": function.last_modified,
            "log_group": log_group(function),
            "reserved_concurrency": self.reserved,
            "provisioned": self.provisioned,
            "url": url.as_ref().map(|url| &url.function_url),
            "url_by_path": url.as_ref().and_then(|url| url.path_form(endpoint)),
            "url_auth": url.as_ref().map(|url| &url.auth_type),
            "invocations": self.records,
            "cold_starts": self.last_starts(),
            "imports": imports::cost(function, &self.starts).document(),
            "advice": self.advice(context),
        })
    }

    fn show(&self, context: &Context, endpoint: &str) {
        let (screen, now_us) = (context.screen, context.world.now().0);
        let Self { function, url, .. } = self;
        let facts = facts(function, url.as_ref(), endpoint);
        let promises = promises(self.reserved, self.provisioned.as_ref());
        let level = self.records.iter().find_map(|record| record.isolation_level);
        let isolation = level.map(|level| ("isolation", figure::isolation(level)));
        for (name, value) in facts.into_iter().chain(promises).chain(isolation) {
            screen.line(format!("{name:<12} {value}"));
        }
        screen.line("");
        if !self.versions.is_empty() {
            let (shown, all) = (self.versions.len().min(VERSIONS), self.versions.len());
            let which = if shown < all { format!(", the last {shown} of {all}") } else { String::new() };
            screen.line(format!("published versions{which}:"));
            screen.table(&versions(&self.versions[..shown]));
            screen.line("");
        }
        if self.records.is_empty() {
            let name = match function.version.as_str() {
                LATEST => function.function_name.clone(),
                version => format!("{}:{version}", function.function_name),
            };
            let next = format!("no invocation is recorded; next: dayfly invoke {name}");
            screen.note(context.flags.onto(&next));
        } else {
            screen.line("last invocations, times in milliseconds:");
            screen.table(&invocations(&self.records, now_us));
        }
        if !self.starts.is_empty() {
            self.show_starts(context, now_us);
        }
    }

    fn show_starts(&self, context: &Context, now_us: u64) {
        let screen = context.screen;
        screen.line("");
        screen.line("last cold starts, times in milliseconds:");
        screen.table(&cold_starts(self.last_starts(), now_us));
        screen.line("");
        let cost = imports::cost(&self.function, &self.starts);
        screen.line(context.flags.onto(&cost.line(&self.function, now_us)));
        if !cost.packages().is_empty() {
            screen.table(&imports::table(&self.function, cost.packages()));
        }
        let advice = self.advice(context);
        if !advice.is_empty() {
            screen.line("");
        }
        for advice in advice {
            screen.line(format!("{:<12} {advice}", "advice"));
        }
    }
}

fn log_group(function: &Configuration) -> String {
    match function.logging_config.log_group.as_str() {
        "" => format!("/aws/lambda/{}", function.function_name),
        group => group.to_owned(),
    }
}

fn facts(function: &Configuration, url: Option<&UrlConfig>, endpoint: &str) -> Vec<(&'static str, String)> {
    let mut state = function.state.clone();
    if let Some(reason) = &function.state_reason {
        state = format!("{state}: {reason}");
    }
    let variables: Vec<&str> = function.environment.variables.keys().map(String::as_str).collect();
    let mut facts = vec![
        ("name", function.function_name.clone()),
        ("runtime", format!("{}, handler {}", function.runtime, function.handler)),
        (
            "limits",
            format!(
                "{} MB memory, {} MB /tmp, {} s",
                function.memory_size, function.ephemeral_storage.size, function.timeout
            ),
        ),
        ("code", format!("{}, sha256 {}", figure::bytes(function.code_size), function.code_sha256)),
        ("environment", if variables.is_empty() { "-".into() } else { variables.join(", ") }),
        ("state", state),
        ("modified", function.last_modified.clone()),
        ("log", format!("{} (dayfly logs {})", log_group(function), function.function_name)),
        ("arn", function.function_arn.clone()),
    ];
    if !function.description.is_empty() {
        facts.insert(1, ("about", function.description.clone()));
    }
    if function.snap_start.is_on() {
        facts.push(("snapstart", "on: instances are copies of a process that has loaded the code".into()));
    }
    match url {
        Some(url) => {
            let who = if url.auth_type == "NONE" { "anybody" } else { "signed requests only" };
            facts.push(("url", format!("{} ({who})", url.path_form(endpoint).unwrap_or_default())));
            facts.push(("", url.function_url.clone()));
        }
        None => facts.push(("url", "none (dayfly deploy --public makes one)".into())),
    }
    facts
}

fn promises(reserved: Option<u32>, provisioned: Option<&Provisioned>) -> Vec<(&'static str, String)> {
    let reserved = reserved.map(|calls| ("reserved", format!("{calls} calls at once, and no more")));
    let provisioned = provisioned.map(|kept| {
        let reason = kept.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let words =
            format!("{} of {} instances ready, {}{reason}", kept.available, kept.requested, kept.status);
        ("provisioned", words)
    });
    reserved.into_iter().chain(provisioned).collect()
}

fn versions(versions: &[Configuration]) -> Table {
    let mut table = Table::new(&[
        ("VERSION", Align::Right),
        ("MODIFIED", Align::Left),
        ("MEMORY MB", Align::Right),
        ("RUNTIME", Align::Left),
        ("SHA256", Align::Left),
        ("ABOUT", Align::Left),
    ]);
    for version in versions {
        table.row([
            version.version.clone(),
            version.last_modified.clone(),
            version.memory_size.to_string(),
            version.runtime.clone(),
            version.code_sha256.chars().take(SHA256_DIGITS).collect(),
            version.description.clone(),
        ]);
    }
    table
}

fn version_document(version: &Configuration) -> Value {
    json!({
        "version": version.version,
        "arn": version.function_arn,
        "description": version.description,
        "runtime": version.runtime,
        "memory_mb": version.memory_size,
        "timeout_s": version.timeout,
        "code_bytes": version.code_size,
        "code_sha256": version.code_sha256,
        "last_modified": version.last_modified,
    })
}

fn invocations(records: &[Invocation], now_us: u64) -> Table {
    let mut table = Table::new(&[
        ("STARTED", Align::Left),
        ("OUTCOME", Align::Left),
        ("FROM", Align::Left),
        ("TOTAL", Align::Right),
        ("HANDLER", Align::Right),
        ("USER", Align::Right),
        ("SYSTEM", Align::Right),
        ("PEAK MB", Align::Right),
        ("COST", Align::Right),
        ("REQUEST", Align::Left),
    ]);
    for record in records {
        let outcome = match &record.error_type {
            Some(kind) => format!("{} ({kind})", record.outcome),
            None => record.outcome.clone(),
        };
        table.row([
            figure::age(now_us.saturating_sub(record.started_us) / 1_000_000),
            outcome,
            record.rung.clone(),
            figure::milliseconds(record.total_us()),
            figure::milliseconds(record.phases.handler_us),
            figure::milliseconds(record.usage.user_us),
            figure::milliseconds(record.usage.system_us),
            figure::megabytes(record.usage.peak_bytes),
            figure::dollars(record.cost_nanodollars as f64),
            short(&record.request_id),
        ]);
    }
    table
}

fn cold_starts(starts: &[Invocation], now_us: u64) -> Table {
    let mut table = Table::new(&[
        ("STARTED", Align::Left),
        ("QUEUE", Align::Right),
        ("SANDBOX", Align::Right),
        ("INIT", Align::Right),
        ("REQUEST", Align::Left),
        ("FROM", Align::Left),
    ]);
    for start in starts {
        table.row([
            figure::age(now_us.saturating_sub(start.started_us) / 1_000_000),
            figure::milliseconds(start.phases.queue_us),
            figure::milliseconds(start.phases.sandbox_us),
            figure::milliseconds(start.phases.init_us),
            short(&start.request_id),
            format!("{}: {}", start.rung, start.reason),
        ]);
    }
    table
}

/// Enough of a request's id to find it again.
fn short(request_id: &str) -> String {
    request_id.split('-').next().unwrap_or_default().to_owned()
}
