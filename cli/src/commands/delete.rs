//! `dayfly delete`.

use crate::api::lambda;
use crate::context::{Context, explain};
use crate::failure::{Exit, Failure};
use serde_json::json;

/// Deletes a function with its versions, its URL and its permissions; its log stays until it is too old.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The function, or NAME:NUMBER for one published version.
    name: String,
}

/// Runs it.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    // To delete a version that is not there is no error, to AWS.
    let known = match args.name.contains(':') {
        true => lambda::configuration(&client, &args.name).await.map(drop),
        false => Ok(()),
    };
    let deleted = match known {
        Ok(()) => lambda::delete(&client, &args.name).await,
        missing => missing,
    };
    if let Err(error) = deleted {
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
