//! `dayfly delete`.

use crate::api::lambda;
use crate::context::{Context, explain};
use crate::failure::{Exit, Failure};
use serde_json::json;

/// Deletes a function with its URL and its permissions; its log stays until it is too old.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The function.
    name: String,
}

/// Runs it.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    if let Err(error) = lambda::delete(&client, &args.name).await {
        return Err(explain(&client, &args.name, error).await);
    }
    let screen = context.screen;
    if screen.json {
        screen.document(&json!({ "function": args.name, "deleted": true }));
    } else {
        screen.line(format!("{} deleted; its log is kept until it is too old", args.name));
    }
    Ok(Exit::Done)
}
