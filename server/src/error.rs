//! Why the platform did not start, or had to stop.

use std::path::PathBuf;

/// What the person at the terminal does next decides the variant.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another address.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// As given.
        address: String,
        /// What the system said.
        why: String,
        /// Whether another process holds it.
        in_use: bool,
    },
    /// Another data directory, or end the process that holds it.
    #[error(transparent)]
    Data(#[from] store::DataDirError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] access::KeyError),
    /// No sandbox can be made here.
    #[error("cannot start the sandbox launcher: {0}")]
    Sandbox(#[from] sandbox::SandboxError),
    /// Protections that functions of different people need and this machine or version does not have.
    #[error("{}", .0.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>().join(", "))]
    NotForTenants(Vec<sandbox::Layer>),
    /// There is no root image to make sandboxes of.
    #[error("{why}")]
    Root {
        /// The folder that was named.
        folder: Option<PathBuf>,
        /// Why not.
        why: runtimes::ImageError,
    },
    /// A file or directory.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// Stored state cannot be read.
    #[error("stored state cannot be read: {0}")]
    State(String),
    /// The disk refused to make a write durable; the platform stops and recovers at its next start.
    #[error("the data directory failed and nothing more can be acknowledged: {0}")]
    Broken(String),
}
