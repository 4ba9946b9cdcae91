//! Plays a trace against the engine's own rules: `cargo xtask bench trace` does.
//!
//! Reads one JSON document: `end_us`; `functions`, their number; `calls`, a list of `[at_us, function, lasts_us]` in
//! order; `starts_us`, what starts take, used in turn; `slow_us`. Writes another: `starts`, `slow` (of these, above
//! `slow_us`), `warm`, `refused`, and `instance_us` of each function.

use invoke::{Bounds, Visit, rehearse};
use model::{FunctionName, LATEST, Runtime, Version};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use world::Moment;

/// More than a trace of some thousand small functions needs: what is rehearsed is what is kept, not what is refused.
const AMPLE_MB: u64 = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let asked: Value = serde_json::from_reader(std::io::stdin().lock())?;
    let number = |name: &str| asked[name].as_u64().ok_or(format!("{name} is not a number"));
    let list = |name: &str| asked[name].as_array().ok_or(format!("{name} is not a list"));
    let visits: Vec<Visit> =
        list("calls")?.iter().map(visit).collect::<Option<_>>().ok_or("a call has three numbers")?;
    let functions: Vec<Arc<Version>> = (0..number("functions")?).map(function).collect::<Result<_, _>>()?;
    let starts: Vec<u64> = list("starts_us")?.iter().filter_map(Value::as_u64).collect();
    let slow = Duration::from_micros(number("slow_us")?);
    let mut turn = starts.iter().copied().cycle().map(Duration::from_micros);
    let start = || turn.next().unwrap_or_default();
    let bounds = Bounds { memory_mb: AMPLE_MB, starts_in_all: 8, ..Bounds::default() };
    let done = rehearse(bounds, &functions, &visits, Moment(number("end_us")?), start);
    let instance_us: Vec<u128> = done.instance_time.iter().map(Duration::as_micros).collect();
    let instance_us: Vec<u64> = instance_us.into_iter().map(u64::try_from).collect::<Result<_, _>>()?;
    let said = json!({
        "starts": done.started.len(),
        "slow": done.started.iter().filter(|took| **took > slow).count(),
        "warm": done.warm,
        "refused": done.refused,
        "instance_us": instance_us,
    });
    println!("{said}");
    Ok(())
}

fn visit(call: &Value) -> Option<Visit> {
    let number = |index: usize| call.get(index)?.as_u64();
    let function = usize::try_from(number(1)?).ok()?;
    Some(Visit { at: Moment(number(0)?), function, lasts: Duration::from_micros(number(2)?) })
}

fn function(number: u64) -> Result<Arc<Version>, Box<dyn Error>> {
    let name = format!("app-{number}");
    Ok(Arc::new(Version {
        function: FunctionName::parse(&name).map_err(|error| error.to_string())?,
        version: LATEST.into(),
        revision: "1".into(),
        arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{name}:{LATEST}"),
        runtime: Runtime::parse("python3.12").map_err(|error| error.to_string())?,
        handler: "app.handler".into(),
        code_dir: "/var/task".into(),
        memory_mb: 128,
        tmp_mb: 512,
        timeout_s: 900,
        environment: BTreeMap::new(),
        role: String::new(),
        log_group: String::new(),
        snapstart: false,
        concurrency: None,
        instance_concurrency: 1,
        weight: 1,
    }))
}
