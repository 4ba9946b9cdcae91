//! A program that can be forked, as the server holds it.

use super::Sandbox;
use crate::protocol::Report;
use crate::{SandboxError, Spec};
use std::sync::OnceLock;

/// A program in a sandbox of its own that is forked into others. Dropping it ends it; those that were forked live on.
#[derive(Debug)]
pub struct Template {
    /// Where it runs itself.
    pub sandbox: Sandbox,
    number: OnceLock<u64>,
}

impl Template {
    pub(super) fn new(sandbox: Sandbox) -> Self {
        Self { sandbox, number: OnceLock::new() }
    }

    /// Waits until it can be forked. Call it once.
    ///
    /// # Errors
    /// Why it cannot: what it said itself, or what the launcher found in it.
    pub async fn ready(&self) -> Result<(), String> {
        match self.sandbox.answer().await {
            Some(Report::Ready { template }) => {
                let _ = self.number.set(template);
                Ok(())
            }
            Some(Report::Refused { why }) => Err(why),
            _ => Err("it ended while it was made".to_owned()),
        }
    }

    pub(super) fn number(&self) -> Option<u64> {
        self.number.get().copied()
    }
}

impl Sandbox {
    /// Gives a program that waits for its work ([`Spec::waits`]) what it needs for it: the files that `spec` binds, and
    /// its limits. `/tmp` keeps its size where `tmp_bytes` is 0.
    ///
    /// # Errors
    /// [`SandboxError::Setup`] names the step: `assign` where it does not wait, or not any more. The sandbox is of no
    /// use then.
    pub async fn assign(&self, spec: Spec) -> Result<(), SandboxError> {
        spec.check_bounds()?;
        self.furnish(super::furniture(&spec)).await
    }
}
