//! The service: its parts, its start, and what it knows by heart.

use crate::catalog::{Catalog, Entry};
use crate::change::Rows;
use crate::packages::{Packages, Placed};
use crate::rows::{Cors, FunctionRow, Kind, UrlAuth};
use crate::{Components, FunctionsError, Runner, Unpacker, sharing};
use access::Access;
use access::policy::Document;
use bytes::Bytes;
use model::{Egress, FunctionAddress, FunctionName, LATEST, Language, Place, Runtime, Version};
use std::sync::Arc;
use store::{Blobs, DataDir, Scan, Store};
use wasm::CompileError;
use world::World;

const SCAN_ROWS: usize = 256;

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

    /// What a function's calls run now; `None` where there is no such function.
    pub fn current(&self, name: &FunctionName) -> Option<Arc<Version>> {
        self.catalog().get(name).map(|entry| Arc::clone(&entry.version))
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

    /// The resource policy of a function, where it has one.
    pub fn policy(&self, name: &FunctionName) -> Option<Arc<Document>> {
        self.catalog().get(name)?.policy.as_ref().map(|policy| Arc::clone(&policy.document))
    }

    /// How far out a function asks to connect.
    pub fn egress(&self, name: &FunctionName) -> Egress {
        self.catalog().get(name).map_or_else(Egress::default, |entry| entry.row.egress())
    }

    /// The archive of a function's present code. `sha256` in hexadecimal digits, as in its download URL.
    pub async fn code(&self, name: &FunctionName, sha256: &str) -> Result<Bytes, FunctionsError> {
        let entry = self.existing(name, None)?;
        if entry.row.code.sha256 != sha256 {
            return Err(FunctionsError::no_resource());
        }
        self.packages().archive(sha256).await
    }

    /// The function that a client addressed. Only `$LATEST` exists as a version yet.
    pub(crate) fn find(
        &self,
        text: &str,
        qualifier: Option<&str>,
    ) -> Result<(FunctionAddress, Arc<Entry>), FunctionsError> {
        let address = self.address(text, qualifier)?;
        let entry = self.existing(&address.name, address.qualifier.as_deref())?;
        Ok((address, entry))
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
        let known = qualifier.is_none_or(|qualifier| qualifier == LATEST);
        self.catalog().get(name).filter(|_| known).ok_or_else(missing)
    }

    /// Takes a function's rows from the store into memory, and lets go of the instances of a revision that is
    /// no more. Returns the version that can be called from now on, if there is a new one.
    pub(crate) async fn refresh(&self, name: &FunctionName) -> Result<Option<Arc<Version>>, FunctionsError> {
        let _one_at_a_time = self.0.refreshing.lock().await;
        let (rows, _) = self.rows(name).await?;
        self.adopt(name, rows)
    }

    /// Rows that were just read become what is known of a function.
    fn adopt(&self, name: &FunctionName, rows: Rows) -> Result<Option<Arc<Version>>, FunctionsError> {
        let known = self.catalog().get(name);
        let entry = match rows.function {
            None => None,
            Some(row) => {
                let version = self.version(name, &row)?;
                let damage = known.as_ref().filter(|known| known.row.code == row.code);
                let damage = damage.and_then(|known| known.damage.clone());
                let same = known.as_ref().map(|known| &known.version).filter(|known| ***known == version);
                Some(Arc::new(Entry {
                    version: same.cloned().unwrap_or_else(|| Arc::new(version)),
                    damage,
                    row,
                    policy: rows.policy.map(Into::into),
                    url: rows.url.map(Arc::new),
                }))
            }
        };
        let now = entry.as_ref().map(|entry| Arc::clone(&entry.version));
        let before = self.catalog().set(name, entry);
        self.reserve(before.as_ref().map(|before| &*before.version), now.as_deref());
        let other =
            |now: &&Arc<Version>| before.as_ref().is_none_or(|before| !Arc::ptr_eq(now, &before.version));
        let new = now.as_ref().filter(other).map(Arc::clone);
        if let Some(new) = &new {
            self.0.runner.prepare(new);
        }
        if let Some(before) = before
            && now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, &before.version))
        {
            self.packages().retire(&before.row.code.sha256, Arc::clone(&before.version));
            self.0.runner.retire(name, now.as_ref().map(|now| now.revision.as_str()));
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

    async fn load(&self) -> Result<(), FunctionsError> {
        let mut last = None;
        loop {
            let range = Kind::Function.range_after(last.as_ref());
            let rows = self.store().scan(range, Scan { limit: SCAN_ROWS, reverse: false }).await?;
            let parse = |(key, _, _): &store::Row| FunctionName::parse(&Kind::Function.name(key));
            let names = rows.iter().map(parse).collect::<Result<Vec<_>, _>>();
            let names = names.map_err(|error| FunctionsError::Internal(error.to_string()))?;
            for (name, (rows, _)) in names.iter().zip(self.rows_of(&names).await?) {
                self.adopt(name, rows)?;
                self.restore(name).await;
            }
            match rows.into_iter().next_back() {
                Some((key, _, _)) => last = Some(key),
                None => return Ok(()),
            }
        }
    }

    /// A function whose package was placed anew can run again.
    pub(crate) async fn repaired(&self, name: &FunctionName) {
        let _one_at_a_time = self.0.refreshing.lock().await;
        if let Some(entry) = self.catalog().get(name).filter(|entry| entry.damage.is_some()) {
            self.catalog().set(name, Some(Arc::new(Entry { damage: None, ..(*entry).clone() })));
        }
    }

    async fn restore(&self, name: &FunctionName) {
        let Some(entry) = self.catalog().get(name) else { return };
        if let Err(damage) = self.packages().restore(&entry.row.code.sha256).await {
            tracing::error!(function = %name, damage, "a function cannot run");
            self.catalog().set(name, Some(Arc::new(Entry { damage: Some(damage), ..(*entry).clone() })));
        }
    }

    pub(crate) fn version(&self, name: &FunctionName, row: &FunctionRow) -> Result<Version, FunctionsError> {
        let FunctionRow { config, code, revision, tags, .. } = row;
        let runtime =
            Runtime::parse(&config.runtime).map_err(|error| FunctionsError::Internal(error.to_string()))?;
        let unasked = sharing::unasked(runtime.language);
        Ok(Version {
            function: name.clone(),
            version: LATEST.into(),
            revision: revision.clone(),
            arn: self.place().function_arn(name, Some(LATEST)),
            runtime,
            handler: config.handler.clone(),
            code_dir: self.packages().folder(&code.sha256),
            memory_mb: config.memory_mb,
            tmp_mb: config.tmp_mb,
            timeout_s: config.timeout_s,
            environment: config.environment.clone(),
            role: config.role.clone(),
            log_group: config.log_group(name),
            snapstart: config.snapstart,
            concurrency: row.reserved,
            instance_concurrency: config.sharing.as_ref().map_or(unasked, |sharing| sharing.concurrency),
            weight: sharing::weight(tags)?,
        })
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

    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }
}
