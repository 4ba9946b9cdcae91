//! `dayfly limits`.

use crate::api::platform::{self, Limit};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::figure;
use crate::table::{Align, Table};
use model::Unit;

/// Shows every limit: with the running platform's values where one is reached, else the defaults.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub async fn run(_args: Args, context: &Context) -> Result<Exit, Failure> {
    let screen = context.screen;
    let asked = match context.client() {
        Ok(client) => {
            platform::limits(&client).await.ok().map(|limits| (client.target().endpoint.url(), limits))
        }
        Err(_) => None,
    };
    let (source, limits) = asked.unwrap_or_else(|| ("defaults; no platform is reached".into(), defaults()));
    if screen.json {
        screen.document(&serde_json::json!({ "source": source, "limits": limits }));
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        ("LIMIT", Align::Left),
        ("VALUE", Align::Right),
        ("BOUNDS", Align::Left),
        ("LIFTED BY", Align::Left),
    ]);
    for limit in limits {
        let value = shown(&limit);
        table.row([limit.name, value, limit.bounds, limit.lifted_by]);
    }
    screen.table(&table);
    screen.fact("values of", source);
    Ok(Exit::Done)
}

fn defaults() -> Vec<Limit> {
    let unit = |unit| match unit {
        Unit::Bytes => "bytes",
        Unit::Mebibytes => "mebibytes",
        Unit::Seconds => "seconds",
        Unit::Milliseconds => "milliseconds",
        Unit::Microseconds => "microseconds",
        Unit::Count => "count",
    };
    let limit = |limit: &model::Limit| Limit {
        name: limit.name.into(),
        value: limit.value,
        unit: unit(limit.unit).into(),
        bounds: limit.bounds.into(),
        lifted_by: limit.lifted_by.into(),
    };
    model::LIMITS.iter().map(limit).collect()
}

fn shown(limit: &Limit) -> String {
    match limit.unit.as_str() {
        "bytes" => figure::bytes(limit.value),
        "mebibytes" => format!("{} MB", limit.value),
        "seconds" => figure::duration(limit.value),
        "milliseconds" => format!("{} ms", limit.value),
        "microseconds" => format!("{} ms", figure::milliseconds(limit.value)),
        _ => limit.value.to_string(),
    }
}
