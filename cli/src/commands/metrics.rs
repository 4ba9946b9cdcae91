//! `dayfly metrics`.

use crate::api::platform;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use access::RootKey;

/// Prints the platform's metrics as Prometheus reads them, or what its configuration needs to read them by itself.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a job for the `scrape_configs` of Prometheus. It holds a token that opens nothing but the metrics.
    #[arg(long)]
    scrape_config: bool,
}

/// Runs it.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let text = if args.scrape_config { job(context)? } else { now(context).await? };
    if context.screen.json {
        context.screen.document(&serde_json::json!({ "text": text }));
    } else {
        context.screen.raw(text.as_bytes());
    }
    Ok(Exit::Done)
}

async fn now(context: &Context) -> Result<String, Failure> {
    Ok(platform::metrics(&context.client()?).await?)
}

fn job(context: &Context) -> Result<String, Failure> {
    let target = context.target()?;
    let credentials = target.credentials;
    if credentials.token.is_some() {
        let why = "the token follows from the root key, and these are the credentials of a session";
        return Err(Failure::new("there is no token for metrics", why, "dayfly metrics"));
    }
    let key = RootKey { access_key: credentials.access_key, secret_key: credentials.secret_key };
    Ok(format!(
        "- job_name: dayfly\n  metrics_path: {}\n  authorization:\n    credentials: {}\n  \
         static_configs:\n    - targets: [\"{}\"]\n",
        platform::METRICS,
        key.metrics_token(),
        target.endpoint.authority()
    ))
}
