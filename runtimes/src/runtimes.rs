//! All interpreters of this machine, and the plans that follow from them.

use crate::{InstanceFacts, Interpreter, PlanError, StartPlan};
use model::Version;

/// What this machine can run.
#[derive(Debug)]
pub struct Runtimes {
    found: Vec<Interpreter>,
}

impl Runtimes {
    /// The interpreters, newest first within a language.
    pub fn found(&self) -> &[Interpreter] {
        &self.found
    }

    /// How an instance of `version` starts.
    pub fn plan(&self, version: &Version, _facts: &InstanceFacts) -> Result<StartPlan, PlanError> {
        Err(PlanError::InvalidEntrypoint(version.handler.clone()))
    }
}
