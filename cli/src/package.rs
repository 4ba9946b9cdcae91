//! The zip that is uploaded: the same bytes for the same files, whenever and wherever it is made.

use crate::failure::Failure;
use crate::figure;
use crate::pasted;
use crate::tree::Found;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Packages above this many bytes get a report of what is large in them.
pub const LARGE: u64 = 50 << 20;
/// What is smaller is not worth a line in that report.
pub const HEAVY: u64 = 1 << 20;

/// The files of a package, sorted by name.
#[derive(Debug, Clone, Default)]
pub struct Package {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    content: Content,
    bytes: u64,
    executable: bool,
}

#[derive(Debug, Clone)]
enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// A finished package.
#[derive(Debug, Clone)]
pub struct Zip {
    /// The archive.
    pub bytes: Vec<u8>,
    /// SHA-256 of the archive in base64, as `CodeSha256` has it.
    pub sha256: String,
}

impl Package {
    /// Adds files, replacing those of the same name.
    pub fn add(&mut self, files: impl IntoIterator<Item = Found>) -> Result<(), Failure> {
        for file in files {
            let meta = std::fs::metadata(&file.path).map_err(|error| unreadable(&file.path, &error))?;
            let executable = meta.permissions().mode() & 0o111 != 0;
            self.entries.insert(
                file.name,
                Entry { content: Content::File(file.path), bytes: meta.len(), executable },
            );
        }
        Ok(())
    }

    /// Adds a file that is not on this disk, replacing one of the same name.
    pub fn add_bytes(&mut self, name: String, bytes: Vec<u8>) {
        let entry = Entry { bytes: bytes.len() as u64, content: Content::Bytes(bytes), executable: false };
        self.entries.insert(name, entry);
    }

    /// Marks a file as a program, whatever its mode on this disk.
    pub fn make_executable(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.executable = true;
        }
    }

    /// Whether there is such a file.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// How many files.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes when unpacked.
    pub fn bytes(&self) -> u64 {
        self.entries.values().map(|entry| entry.bytes).sum()
    }

    /// The folders and files that weigh most, heaviest first. `node_modules` and its scopes are looked into.
    pub fn heaviest(&self, count: usize) -> Vec<(String, u64)> {
        let mut weights: BTreeMap<String, u64> = BTreeMap::new();
        for (name, entry) in &self.entries {
            *weights.entry(part(name)).or_default() += entry.bytes;
        }
        let mut weights: Vec<(String, u64)> = weights.into_iter().collect();
        weights.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        weights.truncate(count);
        weights
    }

    /// Refuses what the platform would refuse, before anything is compressed or sent.
    pub fn check(&self, project: &Path) -> Result<(), Failure> {
        let (bytes, allowed) = (self.bytes(), model::limit("unzipped-bytes"));
        if bytes > allowed {
            return Err(self.too_large(project, "unpacked", bytes, allowed));
        }
        let (files, allowed) = (self.entries.len() as u64, model::limit("zip-entries"));
        if files > allowed {
            return Err(Failure::new(
                format!("the package has {files} files"),
                format!("the limit zip-entries is {allowed}; the largest parts are {}", self.offenders()),
                self.leave_out(project),
            ));
        }
        Ok(())
    }

    /// Makes the archive.
    pub fn zip(&self, project: &Path) -> Result<Zip, Failure> {
        let broken = |error: zip::result::ZipError| {
            Failure::new("the package cannot be made", error.to_string(), "df -h .")
        };
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, entry) in &self.entries {
            let bytes = match &entry.content {
                Content::File(path) => {
                    Cow::Owned(std::fs::read(path).map_err(|error| unreadable(path, &error))?)
                }
                Content::Bytes(bytes) => Cow::Borrowed(bytes.as_slice()),
            };
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .compression_level(Some(6))
                .last_modified_time(DateTime::default())
                .unix_permissions(if entry.executable { 0o755 } else { 0o644 });
            writer.start_file(name.as_str(), options).map_err(broken)?;
            writer.write_all(&bytes).map_err(|error| broken(error.into()))?;
        }
        let bytes = writer.finish().map_err(broken)?.into_inner();
        let (size, allowed) = (bytes.len() as u64, model::limit("zip-bytes"));
        if size > allowed {
            return Err(self.too_large(project, "zipped", size, allowed));
        }
        let sha256 = STANDARD.encode(Sha256::digest(&bytes));
        Ok(Zip { bytes, sha256 })
    }

    fn too_large(&self, project: &Path, how: &str, bytes: u64, allowed: u64) -> Failure {
        Failure::new(
            format!("the package is too large: {} {how}", figure::bytes(bytes)),
            format!("{} is allowed; the largest parts are {}", figure::bytes(allowed), self.offenders()),
            self.leave_out(project),
        )
    }

    fn leave_out(&self, project: &Path) -> String {
        let name = self.heaviest(1).into_iter().next().map_or_else(String::new, |(name, _)| name);
        let file = project.join(".dayflyignore");
        let file = file.strip_prefix(".").unwrap_or(&file);
        format!("echo {} >> {}", pasted::word(&format!("/{name}")), pasted::path(file))
    }

    fn offenders(&self) -> String {
        let parts: Vec<String> = self
            .heaviest(5)
            .iter()
            .map(|(name, bytes)| format!("{name} {}", figure::bytes(*bytes)))
            .collect();
        parts.join(", ")
    }
}

/// The part of the package that a file belongs to: the first folder, or a module below `node_modules`.
fn part(name: &str) -> String {
    let mut depth = 1;
    if let Some(rest) = name.strip_prefix("node_modules/") {
        depth = if rest.starts_with('@') { 3 } else { 2 };
    }
    let end = name.match_indices('/').nth(depth - 1).map_or(name.len(), |(at, _)| at + 1);
    name[..end].to_owned()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        format!("cannot pack {}", path.display()),
        error.to_string(),
        format!("ls -l {}", pasted::path(path)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree(files: &[(&str, &str, u32)]) -> (tempfile::TempDir, Package) {
        let root = tempfile::tempdir().expect("a directory");
        let mut package = Package::default();
        for (name, text, mode) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).expect("set");
            package.add([Found { name: (*name).to_owned(), path }]).expect("readable");
        }
        (root, package)
    }

    #[test]
    fn same_files_same_bytes() {
        let a = tree(&[("b/x.py", "1", 0o600), ("a.py", "2", 0o640), ("run", "3", 0o700)]);
        let b = tree(&[("run", "3", 0o755), ("a.py", "2", 0o644), ("b/x.py", "1", 0o664)]);
        let old = fs::File::open(a.0.path().join("a.py")).expect("there");
        old.set_modified(std::time::UNIX_EPOCH).expect("set");
        let (a, b) = (a.1.zip(Path::new(".")).expect("zipped"), b.1.zip(Path::new(".")).expect("zipped"));
        assert_eq!(a.bytes, b.bytes);
        assert_eq!(a.sha256.len(), 44);
        let c = tree(&[("run", "3", 0o755), ("a.py", "2!", 0o644), ("b/x.py", "1", 0o664)]);
        assert_ne!(c.1.zip(Path::new(".")).expect("zipped").sha256, a.sha256);
    }

    #[test]
    fn the_archive_reads_back() {
        let (_root, mut package) = tree(&[("bootstrap", "#!/bin/sh", 0o644), ("data/x", "y", 0o600)]);
        package.make_executable("bootstrap");
        let zip = package.zip(Path::new(".")).expect("zipped");
        let mut archive = zip::ZipArchive::new(Cursor::new(zip.bytes)).expect("readable");
        let modes: Vec<(String, u32)> = (0..archive.len())
            .map(|index| {
                let file = archive.by_index(index).expect("there");
                (file.name().expect("text").into_owned(), file.unix_mode().expect("set") & 0o777)
            })
            .collect();
        assert_eq!(modes, [("bootstrap".to_owned(), 0o755), ("data/x".to_owned(), 0o644)]);
    }

    #[test]
    fn the_heaviest_parts() {
        let (_root, package) = tree(&[
            ("app.py", "12", 0o644),
            ("numpy/a", "1234", 0o644),
            ("numpy/b/c", "1234", 0o644),
            ("node_modules/@aws/sdk/x", "123456", 0o644),
            ("node_modules/left/x", "1", 0o644),
        ]);
        let heaviest = package.heaviest(3);
        let names: Vec<&str> = heaviest.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["numpy/", "node_modules/@aws/sdk/", "app.py"]);
        assert_eq!(package.bytes(), 17);
    }

    #[test]
    fn too_large_is_said_before_it_is_sent() {
        let (root, _) = tree(&[("big/file", "", 0o644)]);
        let path = root.path().join("big/file");
        fs::File::create(&path).and_then(|file| file.set_len(300 << 20)).expect("sparse");
        let mut package = Package::default();
        package.add([Found { name: "big/file".into(), path }]).expect("readable");
        let failure = package.check(Path::new("my app")).expect_err("it is too large");
        assert_eq!(failure.what, "the package is too large: 300 MB unpacked");
        assert_eq!(failure.why, "250 MB is allowed; the largest parts are big/ 300 MB");
        assert_eq!(failure.hint, "echo /big/ >> 'my app/.dayflyignore'");
        assert_eq!(package.check(Path::new(".")).expect_err("as before").hint, "echo /big/ >> .dayflyignore");
    }
}
