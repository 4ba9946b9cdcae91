//! The service: its parts, its start, and what it knows by heart.

use crate::catalog::{Catalog, Entry};
use crate::change::Rows;
use crate::packages::{Packages, Placed};
use crate::rows::{Cors, UrlAuth};
use crate::{Components, FunctionsError, Runner, Unpacker};
use access::Access;
use access::policy::Document;
use bytes::Bytes;
use invoke::Snapshot;
use model::{Egress, FunctionAddress, FunctionName, LATEST, Language, Place, Runtime, Version};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Blobs, DataDir, Store};
use wasm::CompileError;
use world::World;

/// What the service is made of.
pub struct Parts {
    /// Where rows rest.
    pub store: Store,
    /// Where archives rest.
    pub blobs: Blobs,
    /// Where packages are unpacked.
    pub data: DataDir,
    /// What runs functions.
    pub runner: Arc<dyn Runner>,
    /// What unpacks packages.
    pub unpacker: Arc<dyn Unpacker>,
    /// Compiles components; `None`: this machine cannot run them.
    pub components: Option<Arc<dyn Components>>,
    /// Signs the URLs under which clients download code.
    pub access: Arc<Access>,
    /// Account and region.
    pub place: Place,
    /// Clock and chance.
    pub world: World,
    /// What the platform's owner chose.
    pub settings: Settings,
}

/// What the platform's owner chose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What stands after `http://<id>.` in function URLs, such as `lambda-url.localhost:4566`.
    pub url_authority: String,
    /// Calls of all functions at once.
    pub concurrency: u32,
    /// Mebibytes that all instances may be promised together.
    pub memory_mb: u64,
}

/// The function service. Cheap to clone.
#[derive(Clone)]
pub struct Functions(Arc<Inner>);

struct Inner {
    store: Store,
    packages: Packages,
    catalog: Catalog,
    /// Revisions of published versions that are not called before their snapshots are made.
    awaited: Mutex<HashSet<String>>,
    /// One at a time decides what more is promised.
    promising: tokio::sync::Mutex<()>,
    /// One reader of changed rows at a time, so that the memory ends at what the store ends at.
    refreshing: tokio::sync::Mutex<()>,
    runner: Arc<dyn Runner>,
    components: Option<Arc<dyn Components>>,
    access: Arc<Access>,
    place: Place,
    world: World,
    settings: Settings,
}

/// Where a function URL leads, and who may use it.
#[derive(Debug, Clone)]
pub struct UrlTarget {
    /// What runs.
    pub version: Arc<Version>,
    /// How callers are identified.
    pub auth: UrlAuth,
    /// Cross-origin rules, where the owner set some.
    pub cors: Option<Cors>,
    /// The function's resource policy, where it has one.
    pub policy: Option<Arc<Document>>,
}

impl Functions {
    /// The folder in the data directory where packages are unpacked.
    pub const PACKAGES: &str = "code";

    /// Reads every function into memory, unpacks packages whose folders are missing and removes those that
    /// nothing uses.
    pub async fn open(parts: Parts) -> Result<Self, FunctionsError> {
        let Parts { store, blobs, data, runner, unpacker, components, access, place, world, settings } =
            parts;
        let folder = data.dir(Self::PACKAGES).map_err(|error| FunctionsError::Internal(error.to_string()))?;
        let packages = Packages::new(store.clone(), blobs, folder, unpacker);
        let functions = Self(Arc::new(Inner {
            store,
            packages,
            catalog: Catalog::default(),
            awaited: Mutex::default(),
            promising: tokio::sync::Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
            runner,
            components,
            access,
            place,
            world,
            settings,
        }));
        functions.packages().clean().await?;
        functions.load().await?;
        functions.packages().sweep_all(functions.catalog()).await?;
        functions.sweep_components();
        functions.keep_promises();
        Ok(functions)
    }

    /// What calls of a function, or of one of its versions, run now; `None` where there is no such.
    pub fn current(&self, name: &FunctionName, qualifier: Option<&str>) -> Option<Arc<Version>> {
        self.existing(name, qualifier).ok().map(|entry| Arc::clone(&entry.version))
    }

    /// What a function URL leads to.
    pub fn url(&self, url_id: &str) -> Option<UrlTarget> {
        let entry = self.catalog().by_url(url_id)?;
        let url = entry.url.as_ref()?;
        Some(UrlTarget {
            version: Arc::clone(&entry.version),
            auth: url.auth,
            cors: url.cors.clone(),
            policy: entry.policy.as_ref().map(|policy| Arc::clone(&policy.document)),
        })
    }

    /// The resource policy of a function or of one of its published versions, where it has one.
    pub fn policy(&self, name: &FunctionName, qualifier: Option<&str>) -> Option<Arc<Document>> {
        self.existing(name, qualifier).ok()?.policy.as_ref().map(|policy| Arc::clone(&policy.document))
    }

    /// How far out a function asks to connect.
    pub fn egress(&self, name: &FunctionName) -> Egress {
        self.catalog().get(name).map_or_else(Egress::default, |entry| entry.row.egress())
    }

    /// The archive of the code of one of a function's versions. `sha256` in hexadecimal digits, as in its download URL.
    pub async fn code(&self, name: &FunctionName, sha256: &str) -> Result<Bytes, FunctionsError> {
        let entry = self.existing(name, None)?;
        if entry.versions().all(|entry| entry.row.code.sha256 != sha256) {
            return Err(FunctionsError::no_resource());
        }
        self.packages().archive(sha256).await
    }

    /// The function, or the version of it, that a client addressed. Aliases do not exist yet.
    pub(crate) fn find(
        &self,
        text: &str,
        qualifier: Option<&str>,
    ) -> Result<(FunctionAddress, Arc<Entry>), FunctionsError> {
        let address = self.address(text, qualifier)?;
        let entry = self.existing(&address.name, address.qualifier.as_deref())?;
        Ok((address, entry))
    }

    /// The function that a client addressed whole, or its `$LATEST`.
    pub(crate) fn find_latest(&self, text: &str) -> Result<(FunctionAddress, Arc<Entry>), FunctionsError> {
        let (address, entry) = self.find(text, None)?;
        if entry.version.version == LATEST { Ok((address, entry)) } else { Err(FunctionsError::whole_only()) }
    }

    /// Reads a name in any of its forms.
    pub(crate) fn address(
        &self,
        text: &str,
        qualifier: Option<&str>,
    ) -> Result<FunctionAddress, FunctionsError> {
        FunctionAddress::parse(text, qualifier, self.place())
            .map_err(|error| FunctionsError::name(&error, self.place()))
    }

    fn existing(&self, name: &FunctionName, qualifier: Option<&str>) -> Result<Arc<Entry>, FunctionsError> {
        let missing = || FunctionsError::no_function(&self.place().function_arn(name, qualifier));
        let entry = self.catalog().get(name);
        let entry = entry.and_then(|entry| entry.at(qualifier.unwrap_or(LATEST)).cloned());
        entry.ok_or_else(missing)
    }

    /// Takes a function's rows from the store into memory, and lets go of the instances of a revision that is
    /// no more. Returns the versions that are new.
    pub(crate) async fn refresh(&self, name: &FunctionName) -> Result<Vec<Arc<Version>>, FunctionsError> {
        let _one_at_a_time = self.0.refreshing.lock().await;
        let (rows, _) = self.rows(name).await?;
        self.adopt(name, rows)
    }

    /// Rows that were just read become what is known of a function.
    pub(crate) fn adopt(&self, name: &FunctionName, rows: Rows) -> Result<Vec<Arc<Version>>, FunctionsError> {
        let known = self.catalog().get(name);
        let now = self.entry(name, rows, known.as_ref())?;
        let before = self.catalog().set(name, now.clone());
        let version = |entry: &Option<Arc<Entry>>| entry.as_ref().map(|entry| Arc::clone(&entry.version));
        self.reserve(version(&before).as_deref(), version(&now).as_deref());
        let at = |entry: &Option<Arc<Entry>>, version: &Version| {
            entry
                .as_ref()
                .and_then(|entry| entry.at(&version.version))
                .map(|entry| Arc::clone(&entry.version))
        };
        let versions = now.iter().flat_map(Entry::versions).map(|entry| &entry.version);
        let is_new = |now: &&Arc<Version>| at(&before, now).is_none_or(|before| !Arc::ptr_eq(now, &before));
        let new: Vec<Arc<Version>> = versions.filter(is_new).cloned().collect();
        // What was published long ago is prepared when somebody calls it.
        let newest = now.as_ref().and_then(|now| now.versions().next_back());
        let soon = |version: &&Arc<Version>| {
            let newest = newest.is_some_and(|newest| Arc::ptr_eq(&newest.version, version));
            before.is_some() || newest || version.version == LATEST
        };
        new.iter().filter(soon).for_each(|version| self.0.runner.prepare(version));
        for was in before.iter().flat_map(Entry::versions) {
            let now = at(&now, &was.version);
            if now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, &was.version)) {
                self.packages().retire(&was.row.code.sha256, Arc::clone(&was.version));
                let keep = now.as_ref().map(|now| now.revision.as_str());
                self.0.runner.retire(&was.version.name(), keep);
                locked(&self.0.awaited).remove(&was.version.revision);
            }
        }
        Ok(new)
    }

    /// Stores an archive and unpacks it. One that is refused leaves nothing behind.
    pub(crate) async fn place_package(&self, zip: Bytes) -> Result<Placed, FunctionsError> {
        let placed = self.packages().place(zip).await;
        if placed.is_err() {
            self.sweep().await;
        }
        placed
    }

    /// Removes what nothing uses any more. Failing to is no reason to fail a request that succeeded.
    pub(crate) async fn sweep(&self) {
        if let Err(error) = self.packages().sweep(self.catalog()).await {
            tracing::warn!(%error, "unused packages could not be removed");
        }
        self.sweep_components();
    }

    fn sweep_components(&self) {
        if let Some(Err(error)) = self.0.components.as_ref().map(|components| components.sweep()) {
            tracing::warn!(%error, "unused machine code could not be removed");
        }
    }

    /// Whether a package that was just placed can run. Components are compiled here, so that what is wrong with one is
    /// told to whoever deploys it, and its first call does not wait.
    pub(crate) async fn fits(&self, runtime: &str, placed: &Placed) -> Result<(), FunctionsError> {
        if Runtime::parse(runtime).map(|runtime| runtime.language) != Ok(Language::Wasm) {
            return Ok(());
        }
        let components = self.0.components.as_ref().ok_or_else(|| {
            FunctionsError::Unsupported("The runtime wasm on this machine's processor".into())
        })?;
        components.compile(&self.packages().folder(&placed.code.sha256)).await.map_err(|error| match error {
            CompileError::Unfit(why) => FunctionsError::Invalid(why),
            CompileError::Failed(why) => FunctionsError::Internal(why),
        })
    }

    /// From now on, the version waits for its snapshot, which is being made.
    pub(crate) fn await_snapshot(&self, version: &Version) {
        locked(&self.0.awaited).insert(version.revision.clone());
    }

    /// Whether a version cannot be called yet, since its snapshot is still being made.
    pub(crate) fn is_pending(&self, version: &Version) -> bool {
        if !version.snapstart || !locked(&self.0.awaited).contains(&version.revision) {
            return false;
        }
        let pending = self.runner().snapshot(version) == Snapshot::Making;
        if !pending {
            locked(&self.0.awaited).remove(&version.revision);
        }
        pending
    }

    pub(crate) async fn refreshing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.refreshing.lock().await
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn packages(&self) -> &Packages {
        &self.0.packages
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    /// Held by whoever decides what more is promised.
    pub(crate) async fn promising(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.promising.lock().await
    }

    pub(crate) fn runner(&self) -> &dyn Runner {
        &*self.0.runner
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0.access
    }

    /// Account and region.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
