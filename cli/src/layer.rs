//! Installed dependencies, kept between deployments under the hash of what asked for them.

use crate::failure::Failure;
use crate::pasted;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use world::World;

/// Layers kept; the ones unused for longest go first.
const KEPT: usize = 20;
/// Part of every key: changes when layers are laid out differently.
const LAYOUT: &str = "1";

/// The layers of this user.
pub struct Layers {
    directory: PathBuf,
    world: World,
}

/// One layer on disk.
#[derive(Debug)]
pub struct Layer {
    /// The directory that holds it.
    pub path: PathBuf,
    /// Whether it was there already.
    pub cached: bool,
}

impl Layers {
    /// Layers below the user's cache directory.
    pub fn new(cache: &Path, world: World) -> Self {
        Self { directory: cache.join("layers"), world }
    }

    /// The key of a layer made from these parts, in this order.
    pub fn key(parts: &[&[u8]]) -> String {
        let mut hash = Sha256::new();
        for part in std::iter::once(&LAYOUT.as_bytes()).chain(parts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The layer of this key; where there is none, or `fresh` asks for a new one, `build` fills an empty directory.
    /// Nothing half-built is ever found under the key.
    pub fn get(
        &self,
        key: &str,
        fresh: bool,
        build: impl FnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<Layer, Failure> {
        let path = self.directory.join(key);
        if path.is_dir() && !fresh {
            self.touch(&path);
            return Ok(Layer { path, cached: true });
        }
        let partial = self.directory.join(format!("{key}.partial-{}", self.world.hex(4)));
        fs::create_dir_all(&partial).map_err(|error| self.unusable(&error))?;
        let built =
            build(&partial).and_then(|()| self.put(&partial, &path).map_err(|error| self.unusable(&error)));
        if built.is_err() {
            let _ = fs::remove_dir_all(&partial);
        }
        built?;
        self.evict(&path);
        Ok(Layer { path, cached: false })
    }

    fn put(&self, partial: &Path, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        }
        self.touch(partial);
        fs::rename(partial, path)
    }

    fn touch(&self, path: &Path) {
        let now = UNIX_EPOCH + Duration::from_micros(self.world.now().0);
        if let Ok(directory) = fs::File::open(path) {
            let _ = directory.set_modified(now);
        }
    }

    fn evict(&self, keep: &Path) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        let mut layers: Vec<_> = entries
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .filter(|(_, path)| path != keep)
            .collect();
        layers.sort();
        let surplus = (layers.len() + 1).saturating_sub(KEPT);
        for (_, path) in layers.into_iter().take(surplus) {
            let _ = fs::remove_dir_all(path);
        }
    }

    fn unusable(&self, error: &io::Error) -> Failure {
        Failure::new(
            "cannot keep installed dependencies",
            format!("{}: {error}", self.directory.display()),
            format!("df -h {}", pasted::path(self.directory.parent().unwrap_or(Path::new(".")))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .expect("readable")
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn built_once_and_whole_or_not_at_all() {
        let cache = tempfile::tempdir().expect("a directory");
        let layers = Layers::new(cache.path(), World::real());
        let write = |text: &'static str| {
            move |path: &Path| {
                fs::write(path.join("x"), text).expect("written");
                Ok(())
            }
        };
        let first = layers.get("k", false, write("1")).expect("built");
        let second = layers.get("k", false, |_| panic!("it is there already")).expect("found");
        assert_eq!((first.cached, second.cached), (false, true));
        let fresh = layers.get("k", true, write("2")).expect("built again");
        assert_eq!(fs::read_to_string(fresh.path.join("x")).expect("there"), "2");
        let failed = layers.get("bad", false, |_| Err(Failure::new("w", "y", "h")));
        assert_eq!(failed.expect_err("it failed").what, "w");
        assert_eq!(names(&cache.path().join("layers")), ["k"]);
    }

    #[test]
    fn only_so_many_are_kept() {
        let cache = tempfile::tempdir().expect("a directory");
        let world = World::simulated(1);
        let layers = Layers::new(cache.path(), world.clone());
        for index in 0..KEPT + 5 {
            world.advance(Duration::from_secs(1));
            layers.get(&format!("{index:03}"), false, |_| Ok(())).expect("built");
        }
        let left = names(&cache.path().join("layers"));
        assert_eq!((left.len(), left[0].as_str()), (KEPT, "005"));
    }

    #[test]
    fn keys_depend_on_every_part() {
        assert_ne!(Layers::key(&[b"ab", b"c"]), Layers::key(&[b"a", b"bc"]));
        assert_eq!(Layers::key(&[b"a"]).len(), 64);
    }
}
