//! The kept machine code: `wasm/<package>-<engine>.cwasm` in the data directory, and beside each its `.seal`.
//!
//! Machine code is believed as it is, so what is not exactly what was compiled here is removed, and compiled again.

use crate::engine;
use crate::seal::{self, Key};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use store::DataDir;
use world::World;

const FOLDER: &str = "wasm";
const KEY: &str = "wasm/seal.key";
const CODE: &str = "cwasm";
const SEAL: &str = "seal";

/// The folder.
pub(super) struct Kept {
    data: DataDir,
    key: Key,
    fingerprint: String,
}

impl Kept {
    pub(super) fn open(data: &DataDir, world: &World) -> io::Result<Self> {
        data.dir(FOLDER)?;
        let fingerprint = engine::fingerprint().map_err(|error| io::Error::other(format!("{error:#}")))?;
        let stored = data.read(KEY)?.and_then(|bytes| bytes.try_into().ok());
        let key = match stored {
            Some(key) => key,
            None => {
                let key = world.random::<{ seal::BYTES }>();
                data.write_atomic(KEY, &key, 0o600)?;
                key
            }
        };
        Ok(Self { data: data.clone(), key: Key::new(key), fingerprint })
    }

    /// What the code of a package is called.
    pub(super) fn name(&self, package: &Path) -> Option<String> {
        Some(format!("{}-{}", package.file_name()?.to_str()?, self.fingerprint))
    }

    /// Where the code is, once it is sure that it is ours.
    pub(super) fn find(&self, name: &str) -> io::Result<Option<PathBuf>> {
        let (code, seal) = (rel(name, CODE), rel(name, SEAL));
        let (Some(bytes), Some(sealed)) = (self.data.read(&code)?, self.data.read(&seal)?) else {
            return Ok(None);
        };
        if self.key.fits(name, &bytes, &sealed) {
            return Ok(Some(self.data.path().join(code)));
        }
        tracing::warn!(name, "kept machine code is not what was compiled; it is compiled again");
        self.data.remove(&seal)?;
        self.data.remove(&code)?;
        Ok(None)
    }

    /// Keeps code; its path. The code comes first, so that a crash between leaves code without a seal.
    pub(super) fn keep(&self, name: &str, code: &[u8]) -> io::Result<PathBuf> {
        self.data.remove(&rel(name, SEAL))?;
        let path = self.data.write_atomic(&rel(name, CODE), code, 0o644)?;
        // Instances run as users of their own.
        std::fs::set_permissions(&path, Permissions::from_mode(0o644))?;
        self.data.write_atomic(&rel(name, SEAL), &self.key.seal(name, code), 0o600)?;
        Ok(path)
    }

    /// Removes the code and seals whose names do not belong here any more.
    pub(super) fn sweep(&self, belongs: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in std::fs::read_dir(self.data.dir(FOLDER)?)? {
            let path = entry?.path();
            let (name, kind) =
                (path.file_stem().and_then(|n| n.to_str()), path.extension().and_then(|e| e.to_str()));
            if let (Some(name), Some(CODE | SEAL)) = (name, kind)
                && !(belongs(name) && name.ends_with(&self.fingerprint))
            {
                std::fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

fn rel(name: &str, kind: &str) -> String {
    format!("{FOLDER}/{name}.{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_kept_here_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        let kept = Kept::open(&data, &World::simulated(1)).unwrap();
        let name = kept.name(Path::new("/data/code/abc")).unwrap();
        assert_eq!(kept.find(&name).unwrap(), None);
        let path = kept.keep(&name, b"code").unwrap();
        assert_eq!(kept.find(&name).unwrap(), Some(path.clone()));
        // The key is kept too.
        let again = Kept::open(&data, &World::simulated(2)).unwrap();
        assert_eq!(again.find(&name).unwrap(), Some(path.clone()));

        type Spoil = fn(&Kept, &Path, &str);
        let cases: [(&str, Spoil); 3] = [
            ("other code", |_, path, _| std::fs::write(path, b"evil").unwrap()),
            ("no seal", |_, path, _| std::fs::remove_file(path.with_extension("seal")).unwrap()),
            ("another's seal", |kept, path, name| {
                kept.keep("other-x", b"code").unwrap();
                let seal = path.with_file_name("other-x.seal");
                std::fs::rename(seal, path.with_file_name(format!("{name}.seal"))).unwrap();
            }),
        ];
        for (case, spoil) in cases {
            kept.keep(&name, b"code").unwrap();
            spoil(&kept, &path, &name);
            assert_eq!(kept.find(&name).unwrap(), None, "{case}");
        }
    }

    #[test]
    fn code_goes_with_its_package_and_its_engine() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        let kept = Kept::open(&data, &World::simulated(1)).unwrap();
        let (stays, gone) =
            (kept.name(Path::new("/a/stays")).unwrap(), kept.name(Path::new("/a/gone")).unwrap());
        for name in [&stays, &gone, "stays-older"] {
            kept.keep(name, b"code").unwrap();
        }
        kept.sweep(|name| name.starts_with("stays-")).unwrap();
        for (name, expected) in [(stays.as_str(), true), (&gone, false), ("stays-older", false)] {
            assert_eq!(kept.find(name).unwrap().is_some(), expected, "{name}");
        }
        assert!(data.read(KEY).unwrap().is_some());
    }
}
