//! How one instance starts.

use model::Place;
use std::path::PathBuf;

/// What a plan needs to know of one instance beyond its function version.
#[derive(Debug, Clone)]
pub struct InstanceFacts {
    /// The instance.
    pub instance_id: String,
    /// Its log stream.
    pub log_stream: String,
    /// Port on the sandbox's loopback where the platform's endpoint listens; `None`: no endpoint.
    pub endpoint_port: Option<u16>,
    /// Session credentials of the function.
    pub credentials: Credentials,
    /// Account and region.
    pub place: Place,
}

/// A key that signs the function's own requests to the platform.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: String,
}

/// A host path that is visible inside the sandbox, read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Path on this machine.
    pub host: PathBuf,
    /// Absolute path inside.
    pub guest: PathBuf,
}

/// Which conversation an instance holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Frames over the socket on descriptor 3: `Spec::control` is on.
    Framed,
    /// The HTTP Runtime API on the first port of [`StartPlan::listen`].
    RuntimeApi,
}

/// Everything that starts an instance.
#[derive(Debug, Clone)]
pub struct StartPlan {
    /// Program and arguments, as seen inside.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory inside.
    pub workdir: PathBuf,
    /// What is visible inside besides the root image.
    pub binds: Vec<Bind>,
    /// How it speaks.
    pub protocol: Protocol,
    /// Loopback ports inside whose listeners are handed back, in this order: the Runtime API's where there is
    /// one, then the platform endpoint's.
    pub listen: Vec<u16>,
}
