//! Marks compiled code as ours: a keyed hash over its name and its bytes. The key never leaves the data directory.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Of the key, and of a seal.
pub(crate) const BYTES: usize = 32;

/// The key of one data directory.
pub(crate) struct Key([u8; BYTES]);

impl Key {
    pub(crate) fn new(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// The seal of `code` under this name.
    pub(crate) fn seal(&self, name: &str, code: &[u8]) -> Vec<u8> {
        self.mac(name, code).finalize().into_bytes().to_vec()
    }

    /// Whether `seal` is that of `code` under this name; in constant time.
    pub(crate) fn fits(&self, name: &str, code: &[u8], seal: &[u8]) -> bool {
        self.mac(name, code).verify_slice(seal).is_ok()
    }

    fn mac(&self, name: &str, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length is a key");
        mac.update(&(name.len() as u64).to_le_bytes());
        mac.update(name.as_bytes());
        mac.update(code);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_fits_its_own_code_name_and_key_alone() {
        let key = Key::new([1; BYTES]);
        let seal = key.seal("name", b"code");
        let cases = [
            (&key, "name", &b"code"[..], true),
            (&key, "name", b"codf", false),
            (&key, "nam", b"ecode", false),
            (&Key::new([2; BYTES]), "name", b"code", false),
        ];
        for (key, name, code, expected) in cases {
            assert_eq!(key.fits(name, code, &seal), expected, "{name}");
        }
        assert!(!key.fits("name", b"code", &seal[1..]));
    }
}
