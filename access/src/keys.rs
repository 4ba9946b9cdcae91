//! The secrets that signatures are checked against, and where they rest.

use std::fmt;
use std::io;
use world::World;

const ROOT_KEY_FILE: &str = "root-key.json";

/// The access key of the account's root principal.
#[derive(Clone, PartialEq, Eq)]
pub struct RootKey {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKey").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// Every secret that access control needs.
#[derive(Clone)]
pub struct Keys {
    pub(crate) root: RootKey,
    pub(crate) session_secret: [u8; 32],
}

/// Why the keys could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The data directory refused.
    #[error("cannot read or write the access keys: {0}")]
    Io(#[from] io::Error),
    /// A key file holds something else.
    #[error("{0} is not a key file; restore it from a backup, or delete it to draw a new key")]
    Malformed(String),
    /// The key given by the environment cannot be used.
    #[error("{0}")]
    Unusable(&'static str),
}

impl Keys {
    /// Keys for a platform without a data directory: `root`, and a session secret drawn from `world`.
    pub fn fresh(root: RootKey, world: &World) -> Self {
        Self { root, session_secret: world.random() }
    }

    /// The root key, for the banner and for the CLI on this machine.
    pub fn root(&self) -> &RootKey {
        &self.root
    }
}

impl RootKey {
    /// The file inside the data directory that holds the root key.
    pub const FILE: &'static str = ROOT_KEY_FILE;

    /// Draws a new one in AWS's form: `AKIA…` with 20 characters, and 40 characters of secret.
    pub fn draw(world: &World) -> Self {
        let _ = world;
        todo!()
    }

    /// Reads the text of a root key file.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let _ = text;
        todo!()
    }
}
