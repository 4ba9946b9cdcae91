//! The rows of every function, in memory.

use crate::capacity::Promised;
use crate::rows::{FunctionRow, PolicyRow, UrlRow, VersionsRow};
use access::policy::Document;
use model::{FunctionName, LATEST, Version};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A function as the store had it at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub row: FunctionRow,
    /// What the engine runs; the same allocation as long as the revision is the same.
    pub version: Arc<Version>,
    pub policy: Option<Policy>,
    pub url: Option<Arc<UrlRow>>,
    /// Why it cannot run: its package is gone or damaged.
    pub damage: Option<String>,
    /// Its published versions, each with the tags and the reservation of the function.
    pub published: BTreeMap<u64, Arc<Entry>>,
}

impl Entry {
    /// `$LATEST` and the published versions, in their order.
    pub(crate) fn versions(self: &Arc<Self>) -> impl DoubleEndedIterator<Item = &Arc<Self>> {
        std::iter::once(self).chain(self.published.values())
    }

    /// `$LATEST` or a published version.
    pub(crate) fn at(self: &Arc<Self>, qualifier: &str) -> Option<&Arc<Self>> {
        if qualifier == LATEST {
            return Some(self);
        }
        self.published.get(&VersionsRow::number(qualifier)?)
    }

    /// Instances that are kept ready for its versions but this one.
    pub(crate) fn kept_ready_beside(self: &Arc<Self>, qualifier: Option<&str>) -> u32 {
        let others = self.versions().filter(|entry| Some(entry.version.version.as_str()) != qualifier);
        others.map(|entry| entry.row.kept_ready()).sum()
    }
}

/// A function's resource policy.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub document: Arc<Document>,
    pub revision: String,
}

impl From<PolicyRow> for Policy {
    fn from(row: PolicyRow) -> Self {
        Self { document: Arc::new(row.document), revision: row.revision }
    }
}

/// Every function by name, and by its URL's id.
#[derive(Debug, Default)]
pub(crate) struct Catalog(RwLock<Tables>);

#[derive(Debug, Default)]
struct Tables {
    functions: BTreeMap<FunctionName, Arc<Entry>>,
    urls: HashMap<String, FunctionName>,
    /// How many versions use a package, by its hash.
    users: HashMap<String, usize>,
    /// The packages of all versions together, each as often as it is used.
    package_bytes: u64,
}

impl Tables {
    fn note(&mut self, entry: &Arc<Entry>) {
        for code in entry.versions().map(|entry| &entry.row.code) {
            self.package_bytes += code.zip_bytes;
            match self.users.get_mut(&code.sha256) {
                Some(users) => *users += 1,
                None => drop(self.users.insert(code.sha256.clone(), 1)),
            }
        }
        if let Some(url) = &entry.url {
            self.urls.insert(url.id.clone(), entry.version.function.clone());
        }
    }

    fn forget(&mut self, entry: &Arc<Entry>) {
        for code in entry.versions().map(|entry| &entry.row.code) {
            self.package_bytes -= code.zip_bytes;
            if let Some(users) = self.users.get_mut(&code.sha256) {
                *users -= 1;
                if *users == 0 {
                    self.users.remove(&code.sha256);
                }
            }
        }
        if let Some(url) = &entry.url {
            self.urls.remove(&url.id);
        }
    }
}

impl Catalog {
    pub(crate) fn get(&self, name: &FunctionName) -> Option<Arc<Entry>> {
        self.read().functions.get(name).cloned()
    }

    pub(crate) fn by_url(&self, url_id: &str) -> Option<Arc<Entry>> {
        let tables = self.read();
        tables.urls.get(url_id).and_then(|name| tables.functions.get(name)).cloned()
    }

    /// At most `limit` functions whose names come after `after`, by name.
    pub(crate) fn page(&self, after: Option<&FunctionName>, limit: usize) -> Vec<Arc<Entry>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.read();
        tables
            .functions
            .range((start, Bound::Unbounded))
            .take(limit)
            .map(|(_, entry)| entry.clone())
            .collect()
    }

    /// Number of functions, and the size of the packages of all their versions in bytes.
    pub(crate) fn totals(&self) -> (usize, u64) {
        let tables = self.read();
        (tables.functions.len(), tables.package_bytes)
    }

    /// What functions but `except` have been promised, all together.
    pub(crate) fn promised(&self, except: Option<&FunctionName>) -> Promised {
        let tables = self.read();
        let others = tables.functions.iter().filter(|(name, _)| Some(*name) != except);
        others.fold(Promised::default(), |sum, (_, entry)| sum.with(entry))
    }

    /// The versions for which instances are kept ready.
    pub(crate) fn provisioned(&self) -> Vec<Arc<Entry>> {
        let tables = self.read();
        let versions = tables.functions.values().flat_map(Entry::versions);
        versions.filter(|entry| entry.row.kept_ready() > 0).cloned().collect()
    }

    /// Whether a function uses the package.
    pub(crate) fn uses(&self, sha256: &str) -> bool {
        self.read().users.contains_key(sha256)
    }

    /// Sets what is known of `name`; the answer is what was known before.
    pub(crate) fn set(&self, name: &FunctionName, entry: Option<Arc<Entry>>) -> Option<Arc<Entry>> {
        let mut tables = self.write();
        let before = match &entry {
            Some(entry) => tables.functions.insert(name.clone(), Arc::clone(entry)),
            None => tables.functions.remove(name),
        };
        // First what was, then what is: they may share a URL or a package.
        before.iter().for_each(|before| tables.forget(before));
        entry.iter().for_each(|entry| tables.note(entry));
        before
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
