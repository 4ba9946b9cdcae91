//! Immutable bytes under the name of their SHA-256: durable before they are named, checked on every read.

use crate::data_dir::{sync_dir, write_durably};
use crate::space::{free_bytes, has_room};
use crate::{BlobError, DataDir};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A content-addressed store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Blobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    temporary: AtomicU64,
    _dir: DataDir,
}

impl Blobs {
    /// Opens the blobs of a data directory and removes what an interrupted `put` left behind.
    pub fn open(dir: &DataDir) -> std::io::Result<Self> {
        let root = dir.dir("blobs")?;
        for entry in fs::read_dir(&root)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().ends_with(b".tmp") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self(Arc::new(Inner { root, temporary: AtomicU64::new(0), _dir: dir.clone() })))
    }

    /// Stores `bytes` durably; the answer is their name, 64 lower-case hexadecimal digits.
    pub async fn put(&self, bytes: Bytes) -> Result<String, BlobError> {
        self.off_thread(move |inner| inner.put(&bytes)).await
    }

    /// The bytes of that name, after comparing them with it.
    pub async fn get(&self, sha256: &str) -> Result<Bytes, BlobError> {
        let name = sha256.to_owned();
        self.off_thread(move |inner| inner.get(&name)).await
    }

    /// The file that holds a blob, after comparing its bytes with its name. Read it, never write it.
    pub async fn verified_path(&self, sha256: &str) -> Result<PathBuf, BlobError> {
        self.get(sha256).await?;
        Ok(self.0.path(sha256).expect("a blob that was read has a well-formed name"))
    }

    /// Whether there is such a blob, without reading it.
    pub fn contains(&self, sha256: &str) -> bool {
        self.0.path(sha256).is_some_and(|path| path.exists())
    }

    /// Size in bytes, without reading it.
    pub fn size(&self, sha256: &str) -> Result<u64, BlobError> {
        let missing = || BlobError::Missing(sha256.into());
        let path = self.0.path(sha256).ok_or_else(missing)?;
        match fs::metadata(path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(missing()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a blob; no error where there is none.
    pub async fn delete(&self, sha256: &str) -> Result<(), BlobError> {
        let name = sha256.to_owned();
        self.off_thread(move |inner| inner.delete(&name)).await
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .unwrap_or_else(|stopped| Err(BlobError::Io(std::io::Error::other(stopped))))
    }
}

impl Inner {
    /// `None` for names that no blob can have, so that no name is ever a path.
    fn path(&self, sha256: &str) -> Option<PathBuf> {
        let plain = sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        plain.then(|| self.root.join(&sha256[..2]).join(sha256))
    }

    fn put(&self, bytes: &[u8]) -> Result<String, BlobError> {
        let name = digest(bytes);
        let path = self.path(&name).expect("a digest is a well-formed name");
        if fs::read(&path).is_ok_and(|stored| digest(&stored) == name) {
            sync_dir(path.parent().expect("a blob lies in a folder"))?;
            return Ok(name);
        }
        let free = free_bytes(&self.root)?;
        if !has_room(free, bytes.len() as u64, false) {
            return Err(BlobError::Full { free_bytes: free });
        }
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.root.join(format!("{number}.tmp"));
        self.place(&temporary, &path, bytes).inspect_err(|_| _ = fs::remove_file(&temporary))?;
        Ok(name)
    }

    fn place(&self, temporary: &Path, path: &Path, bytes: &[u8]) -> Result<(), BlobError> {
        let folder = path.parent().expect("a blob lies in a folder");
        if !folder.exists() {
            fs::create_dir_all(folder)?;
            sync_dir(&self.root)?;
        }
        write_durably(temporary, bytes, 0o600).map_err(|error| self.full_or(error))?;
        fs::rename(temporary, path)?;
        Ok(sync_dir(folder)?)
    }

    fn full_or(&self, error: std::io::Error) -> BlobError {
        if error.kind() == ErrorKind::StorageFull {
            return BlobError::Full { free_bytes: free_bytes(&self.root).unwrap_or(0) };
        }
        error.into()
    }

    fn get(&self, name: &str) -> Result<Bytes, BlobError> {
        let missing = || BlobError::Missing(name.into());
        let path = self.path(name).ok_or_else(missing)?;
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing()),
            Err(error) => return Err(error.into()),
        };
        if digest(&bytes) != name {
            tracing::error!(blob = name, "a blob is damaged on disk and is not served");
            return Err(BlobError::Corrupt(name.into()));
        }
        Ok(Bytes::from(bytes))
    }

    fn delete(&self, name: &str) -> Result<(), BlobError> {
        let Some(path) = self.path(name) else { return Ok(()) };
        match fs::remove_file(&path) {
            Ok(()) => Ok(sync_dir(path.parent().expect("a blob lies in a folder"))?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
