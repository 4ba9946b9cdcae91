//! Why something could not be sandboxed.

/// Errors of this crate, by what the receiver does next.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The request itself is wrong; asking again will not help.
    #[error("invalid sandbox request: {0}")]
    Invalid(String),
    /// A step of the setup failed. Nothing of the function ran and nothing is left.
    #[error("sandbox setup failed at {step}: {source}")]
    Setup {
        /// The step: usually one of [`crate::STEPS`].
        step: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// This machine cannot make sandboxes as asked; `fix` says what its owner can do.
    #[error("this machine cannot make sandboxes: {why}; {fix}")]
    Unsupported {
        /// What is missing.
        why: String,
        /// What helps.
        fix: String,
    },
    /// A command ran past its time and was killed.
    #[error("the command ran past its {after_ms} ms")]
    TimedOut {
        /// Its limit, in milliseconds.
        after_ms: u64,
    },
    /// The launcher process is gone; only a restart of the platform helps.
    #[error("the launcher process is gone")]
    LauncherGone,
    /// Talking to the launcher failed.
    #[error("launcher: {0}")]
    Io(#[from] std::io::Error),
}
