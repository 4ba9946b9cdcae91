//! `dayfly list`.

use crate::api::lambda::{self, Configuration};
use crate::api::platform::{self, Invocation, Which};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::figure;
use crate::table::{Align, Table};
use serde_json::{Value, json};

/// Records per function that `--cost` looks at.
const RECORDS: usize = 200;

/// Lists functions.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show what each function's last invocations took and cost instead of its settings.
    #[arg(long)]
    cost: bool,
}

/// Runs it.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    let screen = context.screen;
    let functions = lambda::list(&client).await?;
    if functions.is_empty() && !screen.json {
        screen.note(context.flags.onto("no function was deployed yet; next, in its folder: dayfly deploy"));
        return Ok(Exit::Done);
    }
    if args.cost {
        let mut spent = Vec::new();
        for function in &functions {
            let records =
                platform::invocations(&client, &function.function_name, RECORDS, Which::All).await?;
            spent.push(Spent::sum(&function.function_name, &records));
        }
        show_cost(context, &spent);
    } else if screen.json {
        screen.document(&json!({ "functions": functions.iter().map(document).collect::<Vec<_>>() }));
    } else {
        screen.table(&settings(&functions, context.world.now().seconds()));
    }
    Ok(Exit::Done)
}

fn document(function: &Configuration) -> Value {
    json!({
        "name": function.function_name,
        "arn": function.function_arn,
        "runtime": function.runtime,
        "handler": function.handler,
        "memory_mb": function.memory_size,
        "timeout_s": function.timeout,
        "code_bytes": function.code_size,
        "code_sha256": function.code_sha256,
        "last_modified": function.last_modified,
    })
}

fn settings(functions: &[Configuration], now_s: u64) -> Table {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("RUNTIME", Align::Left),
        ("HANDLER", Align::Left),
        ("MEMORY MB", Align::Right),
        ("TIMEOUT S", Align::Right),
        ("CODE", Align::Right),
        ("MODIFIED", Align::Left),
    ]);
    for function in functions {
        let modified = figure::parse_modified(&function.last_modified).map(|then| now_s.saturating_sub(then));
        table.row([
            function.function_name.clone(),
            function.runtime.clone(),
            function.handler.clone(),
            function.memory_size.to_string(),
            function.timeout.to_string(),
            figure::bytes(function.code_size),
            modified.map_or_else(|| function.last_modified.clone(), figure::age),
        ]);
    }
    table
}

/// What a function's recorded invocations took and cost: the middle ones, so that one odd call does not show.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
struct Spent {
    function: String,
    calls: usize,
    /// Middle time of a call that had to make its instance, in microseconds.
    cold_us: Option<u64>,
    /// Middle time of a call on an instance that was there.
    warm_us: Option<u64>,
    /// Of warm calls; of cold ones where no warm one is recorded. So are the next two.
    user_us: Option<u64>,
    system_us: Option<u64>,
    cost_nanodollars: Option<u64>,
    /// The most of all.
    peak_bytes: Option<u64>,
}

impl Spent {
    fn sum(function: &str, records: &[Invocation]) -> Self {
        let (cold, warm): (Vec<&Invocation>, Vec<&Invocation>) =
            records.iter().partition(|record| record.is_cold());
        let usual = if warm.is_empty() { &cold } else { &warm };
        let middle = |records: &[&Invocation], value: fn(&Invocation) -> u64| {
            figure::median(&mut records.iter().map(|record| value(record)).collect::<Vec<_>>())
        };
        Self {
            function: function.to_owned(),
            calls: records.len(),
            cold_us: middle(&cold, Invocation::total_us),
            warm_us: middle(&warm, Invocation::total_us),
            user_us: middle(usual, |record| record.usage.user_us),
            system_us: middle(usual, |record| record.usage.system_us),
            cost_nanodollars: middle(usual, |record| record.cost_nanodollars),
            peak_bytes: records.iter().map(|record| record.usage.peak_bytes).max(),
        }
    }
}

fn show_cost(context: &Context, spent: &[Spent]) {
    let screen = context.screen;
    if screen.json {
        return screen.document(&json!({ "functions": spent }));
    }
    let mut table = Table::new(&[
        ("FUNCTION", Align::Left),
        ("CALLS", Align::Right),
        ("COLD MS", Align::Right),
        ("WARM MS", Align::Right),
        ("USER MS", Align::Right),
        ("SYSTEM MS", Align::Right),
        ("PEAK MB", Align::Right),
        ("COST PER MILLION", Align::Right),
    ]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    for spent in spent {
        table.row([
            spent.function.clone(),
            spent.calls.to_string(),
            or_dash(spent.cold_us.map(figure::milliseconds)),
            or_dash(spent.warm_us.map(figure::milliseconds)),
            or_dash(spent.user_us.map(figure::milliseconds)),
            or_dash(spent.system_us.map(figure::milliseconds)),
            or_dash(spent.peak_bytes.map(figure::megabytes)),
            or_dash(spent.cost_nanodollars.map(|cost| figure::dollars(cost as f64 * 1e6))),
        ]);
    }
    screen.table(&table);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::platform::{Phases, Usage};

    fn record(rung: &str, ms: u64) -> Invocation {
        Invocation {
            rung: rung.into(),
            phases: Phases { handler_us: ms * 1000, ..Phases::default() },
            usage: Usage { user_us: ms, system_us: 1, peak_bytes: ms },
            cost_nanodollars: ms * 2,
            ..Invocation::default()
        }
    }

    #[test]
    fn the_middle_of_each_kind() {
        let spent =
            Spent::sum("a", &[record("spawn", 90), record("idle", 3), record("idle", 1), record("idle", 2)]);
        assert_eq!((spent.calls, spent.cold_us, spent.warm_us), (4, Some(90_000), Some(2000)));
        assert_eq!((spent.user_us, spent.cost_nanodollars, spent.peak_bytes), (Some(2), Some(4), Some(90)));
        let cold = Spent::sum("a", &[record("spawn", 90)]);
        assert_eq!((cold.warm_us, cold.user_us), (None, Some(90)));
        assert_eq!(Spent::sum("a", &[]).peak_bytes, None);
    }
}
