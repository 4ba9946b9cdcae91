//! The logs that functions write, as CloudWatch Logs shows them. Reads from `observe`; nothing here writes.

mod api;
mod cursor;
mod error;
mod rules;
#[cfg(test)]
mod tests;

use model::Place;
use observe::Observe;

pub use error::LogsError;

/// The log service. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    observe: Observe,
    place: Place,
}

impl Logs {
    /// Shows what `observe` keeps, under the ARNs of `place`.
    pub fn new(observe: Observe, place: Place) -> Self {
        Self { observe, place }
    }
}
