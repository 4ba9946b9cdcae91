//! The command line, one file per command.

pub mod delete;
pub mod deploy;
pub mod describe;
pub mod doctor;
pub mod env;
pub mod invoke;
pub mod limits;
pub mod list;
pub mod logs;
pub mod metrics;
pub mod root;
pub mod up;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::pasted::Flags;
use crate::screen::Screen;
use clap::{Args, Parser, Subcommand};
use std::future::Future;
use std::path::PathBuf;

const AFTER: &str = "\
First steps:
  dayfly up                     start the platform
  dayfly deploy DIR             deploy a function from another terminal
  dayfly invoke NAME            call it, and see what it cost

No account, no telemetry; everything works offline.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the invoked function reported an error.";

/// Serverless that you own: one binary, AWS's API, every invocation explained.
#[derive(Debug, Parser)]
#[command(name = "dayfly", version, after_help = AFTER, max_term_width = 100)]
pub struct Dayfly {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Print results, and errors, as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// The platform to talk to [default: $AWS_ENDPOINT_URL, else the one that runs on the data directory, else
    /// http://127.0.0.1:4566].
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The platform's data directory [default: ~/.local/share/dayfly].
    #[arg(long, global = true, value_name = "DIR", env = "DAYFLY_DATA")]
    pub data: Option<PathBuf>,
}

impl Global {
    /// Those that name the platform.
    pub fn flags(&self) -> Flags {
        let from_environment = std::env::var_os("DAYFLY_DATA").map(PathBuf::from);
        let data = self.data.clone().filter(|data| Some(data) != from_environment.as_ref());
        Flags { data, endpoint: self.endpoint.clone() }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the platform.
    Up(up::Args),
    /// Deploy a function from a directory.
    Deploy(deploy::Args),
    /// Call a function and see what it cost.
    Invoke(invoke::Args),
    /// List functions.
    #[command(visible_alias = "ls")]
    List(list::Args),
    /// Show a function, its URL and its last invocations.
    Describe(describe::Args),
    /// Show a function's log, old or live.
    Logs(logs::Args),
    /// Delete a function.
    #[command(visible_alias = "rm")]
    Delete(delete::Args),
    /// Print what AWS SDKs and tools need: eval "$(dayfly env)".
    Env(env::Args),
    /// Show what this machine offers, what is missing, and how to fix it.
    Doctor(doctor::Args),
    /// Make root images for sandboxes.
    Root(root::Args),
    /// Show every limit, its value, and what lifts it.
    Limits(limits::Args),
    /// Print metrics for Prometheus, or the job that reads them.
    Metrics(metrics::Args),
}

impl Dayfly {
    /// Does what the command line says.
    pub fn run(self, screen: Screen) -> Result<Exit, Failure> {
        let flags = self.global.flags();
        let context = Context::new(screen, flags, self.global.data);
        match self.command {
            Command::Up(args) => up::run(args, &context),
            Command::Root(args) => root::run(args, &context),
            Command::Doctor(args) => doctor::run(args, &context),
            Command::Deploy(args) => block_on(deploy::run(args, &context)),
            Command::Invoke(args) => block_on(invoke::run(args, &context)),
            Command::List(args) => block_on(list::run(args, &context)),
            Command::Describe(args) => block_on(describe::run(args, &context)),
            Command::Logs(args) => block_on(logs::run(args, &context)),
            Command::Delete(args) => block_on(delete::run(args, &context)),
            Command::Env(args) => block_on(env::run(args, &context)),
            Command::Limits(args) => block_on(limits::run(args, &context)),
            Command::Metrics(args) => block_on(metrics::run(args, &context)),
        }
    }
}

/// Runs a client command to its end.
fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("this machine gives no event queue", error.to_string(), "ulimit -n"))?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Dayfly::command().debug_assert();
    }
}
