//! `dayfly doctor`.

use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Shows what this machine offers.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("not written yet", "soon", "dayfly --help"))
}
