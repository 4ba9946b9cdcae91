//! `dayfly logs`.

use crate::api::lambda;
use crate::api::logs::{self, Event, Question};
use crate::client::Client;
use crate::context::{Context, explain};
use crate::failure::{Exit, Failure};
use crate::figure;
use owo_colors::OwoColorize as _;
use serde_json::json;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

const POLL: Duration = Duration::from_millis(500);
/// A line may be stored this much later than it was stamped, so a follower looks back that far.
const LATE_MS: u64 = 5000;
/// Events that a follower remembers so that none is shown twice.
const REMEMBERED: usize = 50_000;

/// Shows a function's log.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The function, or NAME:NUMBER for a published version.
    name: String,
    /// Keep showing new lines.
    #[arg(short, long)]
    follow: bool,
    /// How far to look back: 90s, 15m, 1h, 2d [default: 1h].
    #[arg(long, value_parser = figure::parse_span, default_value = "1h", hide_default_value = true)]
    since: u64,
    /// Only lines that match this CloudWatch filter pattern, such as ERROR.
    #[arg(long, value_name = "PATTERN")]
    filter: Option<String>,
}

/// Runs it.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    let function = match lambda::configuration(&client, &args.name).await {
        Ok(function) => function,
        Err(error) => return Err(explain(&client, &args.name, error).await),
    };
    let group = match function.logging_config.log_group.as_str() {
        "" => format!("/aws/lambda/{}", function.function_name),
        group => group.to_owned(),
    };
    // Streams are named YYYY/MM/DD/[VERSION]ID.
    let version = args.name.contains(':').then(|| format!("[{}]", function.version));
    let place = Place { group: &group, version: version.as_deref() };
    let mut since_ms = context.world.now().millis().saturating_sub(args.since.saturating_mul(1000));
    let mut seen = Seen::default();
    loop {
        let newest = read(&client, context, &args, (&place, since_ms), &mut seen).await?;
        if !args.follow {
            break;
        }
        since_ms = since_ms.max(newest.saturating_sub(LATE_MS));
        tokio::time::sleep(POLL).await;
    }
    if seen.order.is_empty() {
        let span = figure::duration(args.since);
        context.screen.note(format!("no lines in the last {span}; look further back with --since 7d"));
    }
    Ok(Exit::Done)
}

/// Where the lines are.
struct Place<'a> {
    group: &'a str,
    /// What the names of their streams contain; `None`: of all streams.
    version: Option<&'a str>,
}

impl Place<'_> {
    fn has(&self, event: &Event) -> bool {
        self.version.is_none_or(|version| event.log_stream_name.contains(version))
    }
}

/// Shows what is there from a moment on and was not shown before. Gives the newest stamp.
async fn read(
    client: &Client,
    context: &Context,
    args: &Args,
    (place, since_ms): (&Place<'_>, u64),
    seen: &mut Seen,
) -> Result<u64, Failure> {
    let mut newest = 0;
    let mut token = None;
    loop {
        let question =
            Question { group: place.group, since_ms, pattern: args.filter.as_deref(), token: token.take() };
        let page = match logs::filter(client, &question).await {
            Ok(page) => page,
            Err(error) if error.is_not_found() => return Ok(newest),
            Err(error) => return Err(error.into()),
        };
        for event in page.events {
            newest = newest.max(event.timestamp);
            if place.has(&event) && seen.is_new(&event.event_id) {
                show(context, &event);
            }
        }
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(newest);
        }
    }
}

fn show(context: &Context, event: &Event) {
    if context.screen.json {
        // One document per line, so that a follower's output can be read as it comes.
        let document = json!({
            "timestamp_ms": event.timestamp,
            "stream": event.log_stream_name,
            "message": event.message,
        });
        return context.screen.line(document.to_string());
    }
    let stamp = figure::instant(event.timestamp.saturating_mul(1000));
    for line in event.message.trim_end_matches('\n').split(['\n', '\r']) {
        context.screen.line(format!("{} {line}", stamp.dimmed()));
    }
}

/// The ids of events that were shown, as many as a follower needs to remember.
#[derive(Debug, Default)]
struct Seen {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    fn is_new(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_new_once() {
        let mut seen = Seen::default();
        assert!(seen.is_new("a"));
        assert!(!seen.is_new("a"));
        for index in 0..REMEMBERED {
            assert!(seen.is_new(&index.to_string()));
        }
        assert_eq!(seen.ids.len(), REMEMBERED);
        assert!(seen.is_new("a"), "it was long ago");
    }
}
