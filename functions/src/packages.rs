//! Packages: archives by the hash of their bytes, each unpacked once and shared by all functions that use it.

use crate::catalog::Catalog;
use crate::rows::{Code, Kind, encode};
use crate::{FunctionsError, Unpacker};
use bytes::Bytes;
use model::{Version, limit};
use sandbox::{UnpackError, UnpackLimits};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{BlobError, Blobs, Expect, Scan, Store, StoreError, Write};

/// Bounds of one package.
const LIMITS: UnpackLimits = UnpackLimits {
    zip_bytes: limit("zip-bytes"),
    unzipped_bytes: limit("unzipped-bytes"),
    entries: limit("zip-entries"),
};
/// Marks folders that are being removed, so that half a package is never taken for a whole one.
const DOOMED: &str = ".removed";
/// How an archive begins that holds nothing: with the end of its directory (APPNOTE.TXT, 4.3.16).
const NO_ENTRIES: &[u8] = b"PK\x05\x06";
const SCAN_ROWS: usize = 256;

/// The package store.
pub(crate) struct Packages {
    store: Store,
    blobs: Blobs,
    folder: PathBuf,
    unpacker: Arc<dyn Unpacker>,
    /// Held while packages are removed, and while someone says that a package is about to be used.
    door: tokio::sync::Mutex<()>,
    watched: Arc<Mutex<Watched>>,
    /// Versions that no function has any more, but that instances may still run.
    retired: Mutex<Vec<Arc<Version>>>,
}

/// What is not just used by a function, or removed: no sweep looks at any other package.
#[derive(Default)]
struct Watched {
    /// About to be used, and how often.
    pending: HashMap<String, usize>,
    /// Used by one less than before, so perhaps by nobody.
    doubtful: BTreeSet<String>,
}

/// A package that is in place, and stays there at least as long as this lives.
pub(crate) struct Placed {
    pub code: Code,
    _claim: Claim,
}

struct Claim {
    sha256: String,
    watched: Arc<Mutex<Watched>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut watched = locked(&self.watched);
        if let Some(count) = watched.pending.get_mut(&self.sha256) {
            *count -= 1;
            if *count == 0 {
                watched.pending.remove(&self.sha256);
                watched.doubtful.insert(std::mem::take(&mut self.sha256));
            }
        }
    }
}

impl Packages {
    pub(crate) fn new(store: Store, blobs: Blobs, folder: PathBuf, unpacker: Arc<dyn Unpacker>) -> Self {
        Self {
            store,
            blobs,
            folder,
            unpacker,
            door: tokio::sync::Mutex::default(),
            watched: Arc::default(),
            retired: Mutex::default(),
        }
    }

    /// Where a package is unpacked.
    pub(crate) fn folder(&self, sha256: &str) -> PathBuf {
        self.folder.join(sha256)
    }

    /// Stores an archive and unpacks it, where that was not done before.
    pub(crate) async fn place(&self, zip: Bytes) -> Result<Placed, FunctionsError> {
        let zip_bytes = zip.len() as u64;
        check_size(&zip)?;
        let sha256 = digest(zip.clone()).await?;
        let claim = self.claim(&sha256).await;
        let key = Kind::Package.key(&sha256);
        match self.store.commit(vec![(key.clone(), Expect::Absent)], vec![Write::Put(key, encode(&()))]).await
        {
            Ok(_) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.blobs.put(zip).await?;
        self.unpack(&sha256).await?;
        Ok(Placed { code: Code { sha256, zip_bytes }, _claim: claim })
    }

    /// Unpacks a stored package again where its folder is missing. The error is a text for the function's owner.
    pub(crate) async fn restore(&self, sha256: &str) -> Result<(), String> {
        let gone = |why: String| format!("{why}; update the function's code");
        self.unpack(sha256).await.map_err(|error| gone(format!("The package cannot be restored: {error}")))
    }

    /// The archive itself, compared with its hash.
    pub(crate) async fn archive(&self, sha256: &str) -> Result<Bytes, FunctionsError> {
        match self.blobs.get(sha256).await {
            Err(BlobError::Missing(_)) => Err(FunctionsError::no_resource()),
            other => Ok(other?),
        }
    }

    /// Takes note of a version that no function has any more, and of whose package that was.
    pub(crate) fn retire(&self, sha256: &str, version: Arc<Version>) {
        locked(&self.watched).doubtful.insert(sha256.to_owned());
        locked(&self.retired).push(version);
    }

    /// Removes the packages that neither a function nor an instance uses, of those that have been used less since the
    /// last time. The answer is how many it looked at: none that a function has kept.
    pub(crate) async fn sweep(&self, catalog: &Catalog) -> Result<usize, FunctionsError> {
        let _door = self.door.lock().await;
        let doubtful: Vec<String> = locked(&self.watched).doubtful.iter().cloned().collect();
        for sha256 in &doubtful {
            if self.will_be_used(sha256) {
                continue;
            }
            if !catalog.uses(sha256) {
                self.remove(sha256).await?;
            }
            locked(&self.watched).doubtful.remove(sha256);
        }
        Ok(doubtful.len())
    }

    /// The same of all packages that there are, after a start. Of a folder that no row names, the row is gone already: it
    /// was unpacked still when the platform had been killed and started again.
    pub(crate) async fn sweep_all(&self, catalog: &Catalog) -> Result<(), FunctionsError> {
        let folders = self.folders(is_digest).await?.into_iter();
        locked(&self.watched).doubtful.extend(folders.filter(|sha256| !catalog.uses(sha256)));
        self.sweep(catalog).await?;
        let mut last = None;
        loop {
            let range = Kind::Package.range_after(last.as_ref());
            let rows = self.store.scan(range, Scan { limit: SCAN_ROWS, reverse: false }).await?;
            let found = rows.iter().map(|(key, _, _)| Kind::Package.name(key));
            locked(&self.watched).doubtful.extend(found);
            self.sweep(catalog).await?;
            match rows.into_iter().next_back() {
                Some((key, _, _)) => last = Some(key),
                None => return Ok(()),
            }
        }
    }

    /// Removes what a crash left half-removed.
    pub(crate) async fn clean(&self) -> Result<(), FunctionsError> {
        let doomed = self.folders(|name| name.ends_with(DOOMED)).await?;
        let folder = self.folder.clone();
        off_thread(move || doomed.iter().try_for_each(|name| std::fs::remove_dir_all(folder.join(name))))
            .await
    }

    /// The names of the folders that are there, of those that are wanted.
    async fn folders(&self, wanted: fn(&str) -> bool) -> Result<Vec<String>, FunctionsError> {
        let folder = self.folder.clone();
        off_thread(move || {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(folder)? {
                names.extend(entry?.file_name().into_string().ok().filter(|name| wanted(name)));
            }
            Ok(names)
        })
        .await
    }

    async fn claim(&self, sha256: &str) -> Claim {
        let _door = self.door.lock().await;
        *locked(&self.watched).pending.entry(sha256.to_owned()).or_default() += 1;
        Claim { sha256: sha256.to_owned(), watched: Arc::clone(&self.watched) }
    }

    async fn unpack(&self, sha256: &str) -> Result<(), FunctionsError> {
        let folder = self.folder(sha256);
        if folder.is_dir() {
            return Ok(());
        }
        let zip = self.blobs.verified_path(sha256).await?;
        match self.unpacker.unpack(&zip, &folder, LIMITS).await {
            Ok(_) | Err(UnpackError::Exists) => Ok(()),
            Err(error) => Err(refusal(error)),
        }
    }

    /// Whether somebody is about to use the package, or an instance may run it still.
    fn will_be_used(&self, sha256: &str) -> bool {
        let mut retired = locked(&self.retired);
        retired.retain(|version| Arc::strong_count(version) > 1);
        let folder = self.folder(sha256);
        retired.iter().any(|version| version.code_dir == folder)
            || locked(&self.watched).pending.contains_key(sha256)
    }

    async fn remove(&self, sha256: &str) -> Result<(), FunctionsError> {
        let folder = self.folder(sha256);
        off_thread(move || remove_folder(&folder)).await?;
        self.blobs.delete(sha256).await?;
        self.store.commit(Vec::new(), vec![Write::Delete(Kind::Package.key(sha256))]).await?;
        Ok(())
    }
}

fn check_size(zip: &[u8]) -> Result<(), FunctionsError> {
    if zip.is_empty() || zip.starts_with(NO_ENTRIES) {
        return Err(FunctionsError::Invalid("Uploaded file must be a non-empty zip".into()));
    }
    if zip.len() as u64 > LIMITS.zip_bytes {
        let text = format!("Zipped size must be smaller than {} bytes", LIMITS.zip_bytes);
        return Err(FunctionsError::Invalid(text));
    }
    Ok(())
}

/// AWS's texts for packages that cannot be unpacked, and ours where AWS has none.
fn refusal(error: UnpackError) -> FunctionsError {
    match error {
        UnpackError::TooLarge { limit, allowed, .. } if limit == "unzipped-bytes" => {
            FunctionsError::Invalid(format!("Unzipped size must be smaller than {allowed} bytes"))
        }
        UnpackError::Refused { .. } | UnpackError::TooLarge { .. } => FunctionsError::Invalid(format!(
            "Could not unzip uploaded file. Please check your file, then try to upload again. ({error})"
        )),
        UnpackError::DiskFull => FunctionsError::Full(error.to_string()),
        UnpackError::Exists | UnpackError::Failed(_) => FunctionsError::Internal(error.to_string()),
    }
}

/// Whether a name is that of a package, and not of one that is being unpacked or removed.
fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn remove_folder(folder: &Path) -> std::io::Result<()> {
    let mut doomed = folder.as_os_str().to_owned();
    doomed.push(DOOMED);
    match std::fs::rename(folder, &doomed) {
        Ok(()) => std::fs::remove_dir_all(&doomed),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

async fn digest(bytes: Bytes) -> Result<String, FunctionsError> {
    off_thread(move || Ok(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())).await
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, FunctionsError> {
    let done =
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped)));
    done.map_err(|error| FunctionsError::Internal(format!("the package store failed: {error}")))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
