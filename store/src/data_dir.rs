//! The data directory: one owner at a time, one format version, files that appear whole or not at all.

use crate::DataDirError;
use crate::fail::fail_point;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

/// The version of everything below the data directory. Raise it when an older build could not read what this
/// one writes, or would remove it. 2: functions have published versions, whose packages a build that knows none removes.
const FORMAT: u32 = 2;
const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "lock";

/// The data directory, held by this process as long as a clone lives.
#[derive(Debug, Clone)]
pub struct DataDir(Arc<Held>);

#[derive(Debug)]
struct Held {
    path: PathBuf,
    temporary: AtomicU64,
    _lock: File,
}

impl DataDir {
    /// Opens `path`, or makes it (mode 0700) where there is none, and locks it against other processes.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.into(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let path = &path.canonicalize().map_err(unusable)?;
        let known = path.join(FORMAT_FILE).try_exists().map_err(unusable)?;
        if !known && holds_foreign_files(path).map_err(unusable)? {
            return Err(DataDirError::Foreign { path: path.into() });
        }
        let lock = lock(path)?;
        let dir = Self(Arc::new(Held { path: path.clone(), temporary: AtomicU64::new(0), _lock: lock }));
        dir.check_format()?;
        Ok(dir)
    }

    /// Where it is, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The directory `name` in it, made (mode 0700) where there is none.
    pub fn dir(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.path.join(inside(name)?);
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok(path)
    }

    /// Puts `bytes` durably at `rel`, replacing what was there. A crash leaves the old file or the new one.
    pub fn write_atomic(&self, rel: &str, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
        let target = self.0.path.join(inside(rel)?);
        let folder = target.parent().expect("a path below the data directory has a parent");
        let number = self.0.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!(".{number}.tmp"));
        write_durably(&temporary, bytes, mode)
            .and_then(|()| fs::rename(&temporary, &target))
            .inspect_err(|_| _ = fs::remove_file(&temporary))?;
        fail_point!("file.before-directory-sync");
        sync_dir(folder)?;
        Ok(target)
    }

    /// The bytes at `rel`; `None` where there is no such file.
    pub fn read(&self, rel: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.0.path.join(inside(rel)?)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the file at `rel`; no error where there is none.
    pub fn remove(&self, rel: &str) -> io::Result<()> {
        match fs::remove_file(self.0.path.join(inside(rel)?)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn check_format(&self) -> Result<(), DataDirError> {
        let path = self.0.path.join(FORMAT_FILE);
        let unusable = |source| DataDirError::Unusable { path: path.clone(), source };
        let found = self.read(FORMAT_FILE).map_err(unusable)?;
        match found.map(|bytes| parse_format(&bytes)) {
            Some(Some(FORMAT)) => return Ok(()),
            Some(Some(found)) if found > FORMAT => {
                return Err(DataDirError::Newer { path: self.0.path.clone(), found, known: FORMAT });
            }
            Some(None) => {
                return Err(DataDirError::Damaged {
                    path,
                    what: "it does not say `dayfly <version>`".into(),
                });
            }
            Some(Some(_)) | None => {}
        }
        let line = format!("dayfly {FORMAT}\n");
        self.write_atomic(FORMAT_FILE, line.as_bytes(), 0o600).map(drop).map_err(unusable)
    }
}

/// Writes a new file and waits until its bytes are on disk; its name is durable once its directory is synced.
pub(crate) fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    fail_point!("file.before-sync", error)?;
    file.sync_all()?;
    fail_point!("file.before-rename");
    Ok(())
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn parse_format(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.strip_prefix("dayfly ")?.trim_end().parse().ok()
}

/// Whether someone else's files are there. Ours without a format file are those of a start that was cut off.
fn holds_foreign_files(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let ours = name == LOCK_FILE || name.as_encoded_bytes().ends_with(b".tmp") || name == "lost+found";
        if !ours {
            return Ok(true);
        }
    }
    Ok(false)
}

fn lock(dir: &Path) -> Result<File, DataDirError> {
    let path = dir.join(LOCK_FILE);
    let unusable = |source| DataDirError::Unusable { path: path.clone(), source };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            return Err(DataDirError::InUse { path: dir.into(), pid: pid.unwrap_or(0) });
        }
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
    }
    // Always the same width, in place: a full disk shall not keep an existing directory from opening.
    file.write_all_at(format!("{:>10}\n", std::process::id()).as_bytes(), 0).map_err(unusable)?;
    Ok(file)
}

/// `rel` where it cannot leave the directory.
fn inside(rel: &str) -> io::Result<&Path> {
    let path = Path::new(rel);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if plain && !rel.is_empty() {
        return Ok(path);
    }
    Err(io::Error::new(ErrorKind::InvalidInput, format!("{rel:?} is not a path below the data directory")))
}
