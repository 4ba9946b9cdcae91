//! `dayfly up`.

use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Starts the platform.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("not linked yet", "server is being written", "dayfly --help"))
}
