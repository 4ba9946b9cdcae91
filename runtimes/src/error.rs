//! Why an instance cannot be started as asked.

/// Why there is no start plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No such interpreter on this machine: the operator installs one. Never replaced by another version.
    #[error("{asked} is not installed on this machine (found: {found}); {hint}")]
    MissingRuntime {
        /// The identifier as the function names it, such as `python3.12`.
        asked: String,
        /// What is there, such as `python3.11, nodejs20.x`; `none` where nothing is.
        found: String,
        /// How to get it.
        hint: String,
    },
    /// The package has no program that can be started: the function's owner fixes it. The text is AWS's,
    /// such as `fork/exec /var/task/bootstrap: permission denied`; its error type is `Runtime.InvalidEntrypoint`.
    #[error("{0}")]
    InvalidEntrypoint(String),
    /// The package's program is one of another kind of machine. Answered like [`PlanError::InvalidEntrypoint`], as AWS
    /// does, but known by a type of its own in the record.
    #[error("{0}")]
    BadArch(String),
}
