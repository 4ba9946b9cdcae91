//! Unpacking of packages: good ones come out as they went in, hostile ones leave nothing (security checks 66
//! to 68).
#![allow(unsafe_code, reason = "one test mounts a small file system")]

mod builder;
mod good;
mod hostile;
mod launcher;
mod place;

use std::fs::File;
use std::path::{Path, PathBuf};

use sandbox::{UnpackError, UnpackLimits, Unpacked, unpack};
use tempfile::TempDir;

const LIMITS: UnpackLimits =
    UnpackLimits { zip_bytes: 50 * 1024 * 1024, unzipped_bytes: 262_144_000, entries: 100_000 };

/// A directory with an archive in it, and a name in it to unpack to.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new(zip: &[u8]) -> Self {
        Self::within(&std::env::temp_dir(), zip)
    }

    /// In memory where that can be had: for many or large files, since a shared disk can take a minute for
    /// them.
    fn light(zip: &[u8]) -> Self {
        let memory = Path::new("/dev/shm");
        match tempfile::tempdir_in(memory) {
            Ok(_) => Self::within(memory, zip),
            Err(_) => Self::new(zip),
        }
    }

    fn within(base: &Path, zip: &[u8]) -> Self {
        let dir = tempfile::tempdir_in(base).unwrap();
        std::fs::write(dir.path().join("package.zip"), zip).unwrap();
        Bench { dir }
    }

    fn zip(&self) -> File {
        File::open(self.dir.path().join("package.zip")).unwrap()
    }

    fn dest(&self) -> PathBuf {
        self.dir.path().join("dest")
    }

    fn unpack(&self, limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
        unpack(&self.zip(), &self.dest(), limits)
    }

    /// Names in the directory, sorted.
    fn names(&self) -> Vec<String> {
        names(self.dir.path())
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = dir.read_dir().unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
