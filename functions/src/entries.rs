//! From rows to what is known by heart: a function, its `$LATEST` and its published versions.

use crate::catalog::{Entry, Policy};
use crate::change::Rows;
use crate::rows::{FunctionRow, Kind};
use crate::{Functions, FunctionsError, sharing};
use model::{FunctionName, LATEST, Runtime, Version};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Scan;

const SCAN_ROWS: usize = 256;

impl Functions {
    /// Reads every function, and unpacks packages whose folders are missing.
    pub(crate) async fn load(&self) -> Result<(), FunctionsError> {
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

    /// A function whose package was placed anew can run again, and so can its versions of the same package.
    pub(crate) async fn repaired(&self, name: &FunctionName) {
        let _one_at_a_time = self.refreshing().await;
        if let Some(entry) = self.catalog().get(name) {
            let sha256 = entry.row.code.sha256.clone();
            self.mark(name, &entry, |code| if *code == sha256 { Some(None) } else { None });
        }
    }

    async fn restore(&self, name: &FunctionName) {
        let Some(entry) = self.catalog().get(name) else { return };
        let mut damages = BTreeMap::new();
        for version in entry.versions() {
            let sha256 = &version.row.code.sha256;
            if !damages.contains_key(sha256)
                && let Err(damage) = self.packages().restore(sha256).await
            {
                tracing::error!(function = %name, version = version.version.version, damage, "it cannot run");
                damages.insert(sha256.clone(), damage);
            }
        }
        if !damages.is_empty() {
            self.mark(name, &entry, |code| damages.get(code).cloned().map(Some));
        }
    }

    /// Notes of the versions of a function whether they can run, by their packages; `None`: nothing new.
    fn mark(
        &self,
        name: &FunctionName,
        entry: &Arc<Entry>,
        damage: impl Fn(&String) -> Option<Option<String>>,
    ) {
        let marked = |entry: &Arc<Entry>| {
            let mut entry = (**entry).clone();
            if let Some(damage) = damage(&entry.row.code.sha256) {
                entry.damage = damage;
            }
            entry
        };
        let mut now = marked(entry);
        now.published.values_mut().for_each(|version| *version = Arc::new(marked(version)));
        self.catalog().set(name, Some(Arc::new(now)));
    }

    /// What rows say of a function. Versions that are as they were stay the same allocations.
    pub(crate) fn entry(
        &self,
        name: &FunctionName,
        rows: Rows,
        known: Option<&Arc<Entry>>,
    ) -> Result<Option<Arc<Entry>>, FunctionsError> {
        let Some(row) = rows.function else { return Ok(None) };
        let mut fresh = rows.fresh;
        let mut published = BTreeMap::new();
        for (number, held) in rows.versions.live {
            let before = known.and_then(|known| known.published.get(&number));
            let Some(own) = fresh.remove(&number).or_else(|| before.map(|before| before.row.clone())) else {
                let text = format!("the row of version {number} of {name} is missing");
                return Err(FunctionsError::Internal(text));
            };
            let (tags, reserved, provisioned) = (row.tags.clone(), row.reserved, held.provisioned);
            let own = FunctionRow { tags, reserved, provisioned, ..own };
            let entry = self.one(name, &number.to_string(), own, held.policy.map(Into::into), before)?;
            published.insert(number, Arc::new(entry));
        }
        let policy = rows.policy.map(Into::into);
        let latest = self.one(name, LATEST, row, policy, known)?;
        Ok(Some(Arc::new(Entry { url: rows.url.map(Arc::new), published, ..latest })))
    }

    fn one(
        &self,
        name: &FunctionName,
        number: &str,
        row: FunctionRow,
        policy: Option<Policy>,
        known: Option<&Arc<Entry>>,
    ) -> Result<Entry, FunctionsError> {
        let version = self.version(name, number, &row)?;
        let damage = known.filter(|known| known.row.code == row.code).and_then(|known| known.damage.clone());
        let same = known.map(|known| &known.version).filter(|known| ***known == version);
        let version = same.cloned().unwrap_or_else(|| Arc::new(version));
        Ok(Entry { row, version, policy, damage, url: None, published: BTreeMap::new() })
    }

    /// What the engine is told of a version.
    pub(crate) fn version(
        &self,
        name: &FunctionName,
        number: &str,
        row: &FunctionRow,
    ) -> Result<Version, FunctionsError> {
        let FunctionRow { config, code, revision, tags, .. } = row;
        let runtime =
            Runtime::parse(&config.runtime).map_err(|error| FunctionsError::Internal(error.to_string()))?;
        let unasked = sharing::unasked(runtime.language);
        Ok(Version {
            function: name.clone(),
            version: number.into(),
            revision: revision.clone(),
            arn: self.place().function_arn(name, Some(number)),
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
}
