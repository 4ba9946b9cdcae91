//! The secrets that signatures are checked against, and where they rest.

use crate::session::base32;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use store::DataDir;
use world::World;

const SESSION_SECRET_FILE: &str = "session-secret";
/// Only the owner reads them.
const SECRET_MODE: u32 = 0o600;

/// The access key of the account's root principal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootKey {
    /// Access key id.
    #[serde(rename = "accessKeyId")]
    pub access_key: String,
    /// Secret access key.
    #[serde(rename = "secretAccessKey")]
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
    Malformed(&'static str),
    /// The key given by the environment cannot be used.
    #[error("the given root key cannot be used: {0}")]
    Unusable(&'static str),
}

impl Keys {
    /// Loads the keys of a data directory and draws what is missing into files that only their owner can read.
    /// A `given` root key takes the place of the stored one and is not stored.
    pub fn load(data: &DataDir, given: Option<RootKey>, world: &World) -> Result<Self, KeyError> {
        let root = match given {
            Some(key) => key.check()?,
            None => RootKey::load(data, world)?,
        };
        Ok(Self { root, session_secret: session_secret(data, world)? })
    }

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
    pub const FILE: &'static str = "root-key.json";

    /// Draws a new one in AWS's form: `AKIA` and 16 characters, and 40 characters of secret.
    pub fn draw(world: &World) -> Self {
        let access_key = format!("AKIA{}", base32(&world.random::<10>()));
        Self { access_key, secret_key: BASE64_STANDARD.encode(world.random::<30>()) }
    }

    /// Reads the text of a root key file.
    pub fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(text).ok().and_then(|key| key.check().ok())
    }

    fn check(self) -> Result<Self, KeyError> {
        let Self { access_key, secret_key } = &self;
        let plain = access_key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !plain || !(3..=128).contains(&access_key.len()) {
            return Err(KeyError::Unusable("its id must be 3 to 128 letters, digits and underscores"));
        }
        if access_key.starts_with("ASIA") {
            return Err(KeyError::Unusable("ids that begin with ASIA belong to session credentials"));
        }
        let printable = secret_key.bytes().all(|b| b.is_ascii_graphic());
        if !printable || !(8..=256).contains(&secret_key.len()) {
            return Err(KeyError::Unusable(
                "its secret must be 8 to 256 printable characters without spaces",
            ));
        }
        Ok(self)
    }

    fn load(data: &DataDir, world: &World) -> Result<Self, KeyError> {
        if let Some(text) = data.read(Self::FILE)? {
            return Self::parse(&text).ok_or(KeyError::Malformed(Self::FILE));
        }
        let key = Self::draw(world);
        let text = serde_json::to_vec_pretty(&key).expect("two strings are JSON");
        data.write_atomic(Self::FILE, &text, SECRET_MODE)?;
        Ok(key)
    }
}

fn session_secret(data: &DataDir, world: &World) -> Result<[u8; 32], KeyError> {
    if let Some(bytes) = data.read(SESSION_SECRET_FILE)? {
        return bytes.try_into().map_err(|_| KeyError::Malformed(SESSION_SECRET_FILE));
    }
    let secret = world.random::<32>();
    data.write_atomic(SESSION_SECRET_FILE, &secret, SECRET_MODE)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn first_boot_draws_keys_that_stay() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = DataDir::open(folder.path()).expect("opens");
        let world = World::real();
        let first = Keys::load(&data, None, &world).expect("loads");
        let second = Keys::load(&data, None, &world).expect("loads again");
        assert_eq!(first.root, second.root);
        assert_eq!(first.session_secret, second.session_secret);
        for name in [RootKey::FILE, SESSION_SECRET_FILE] {
            let mode = std::fs::metadata(folder.path().join(name)).expect("exists").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        data.write_atomic(RootKey::FILE, b"{}", SECRET_MODE).expect("writes");
        assert!(matches!(Keys::load(&data, None, &world), Err(KeyError::Malformed(_))));
    }

    #[test]
    fn a_given_key_is_used_and_not_stored() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = DataDir::open(folder.path()).expect("opens");
        let world = World::real();
        let given = RootKey { access_key: "AKIAMINE".into(), secret_key: "my-own-secret".into() };
        assert_eq!(Keys::load(&data, Some(given.clone()), &world).expect("loads").root, given);
        assert!(data.read(RootKey::FILE).expect("reads").is_none());
        for (id, secret) in
            [("", "long-enough"), ("a b", "long-enough"), ("AKIA", "short"), ("ASIAX", "12345678")]
        {
            let key = RootKey { access_key: id.into(), secret_key: secret.into() };
            assert!(matches!(Keys::load(&data, Some(key), &world), Err(KeyError::Unusable(_))), "{id}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let key = RootKey::draw(&World::simulated(3));
        assert!(!format!("{key:?}").contains(&key.secret_key));
        assert_eq!((key.access_key.len(), key.secret_key.len()), (20, 40));
    }
}
