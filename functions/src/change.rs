//! How rows change: read, decide, commit if nothing changed meanwhile, and tell the memory.

use crate::rows::{FunctionRow, Held, Kind, PolicyRow, UrlRow, VersionsRow, decode, encode};
use crate::{Functions, FunctionsError};
use bytes::Bytes;
use model::{FunctionName, VersionName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use store::{Expect, Key, Revision, StoreError, Write};

/// How often a decision is made anew before its caller has to try again.
const ATTEMPTS: usize = 32;

/// A function's rows as the store has them now.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub function: Option<FunctionRow>,
    pub policy: Option<PolicyRow>,
    pub url: Option<UrlRow>,
    pub versions: VersionsRow,
    /// Published versions that the memory does not know yet.
    pub fresh: BTreeMap<u64, FunctionRow>,
}

/// Rows, and what a commit that rests on them has to check.
pub(crate) type Checked = (Rows, Vec<(Key, Expect)>);

/// What to write, if all rows that were read still are the same.
#[derive(Debug, Default)]
pub(crate) struct Change(Vec<(Kind, String, Option<Bytes>)>);

impl Change {
    pub(crate) fn put<T: Serialize>(mut self, kind: Kind, name: &str, row: &T) -> Self {
        self.0.push((kind, name.into(), Some(encode(row))));
        self
    }

    pub(crate) fn delete(mut self, kind: Kind, name: &str) -> Self {
        self.0.push((kind, name.into(), None));
        self
    }
}

impl Functions {
    /// Lets `decide` turn rows into a change and an answer, until its change could be committed whole.
    pub(crate) async fn change<T>(
        &self,
        name: &FunctionName,
        mut decide: impl FnMut(&Rows) -> Result<(Change, T), FunctionsError>,
    ) -> Result<T, FunctionsError> {
        for _ in 0..ATTEMPTS {
            let (rows, checks) = self.rows(name).await?;
            let (Change(change), answer) = decide(&rows)?;
            if change.is_empty() {
                return Ok(answer);
            }
            let writes = change.into_iter().map(|(kind, name, row)| match row {
                Some(row) => Write::Put(kind.key(&name), row),
                None => Write::Delete(kind.key(&name)),
            });
            match self.store().commit(checks, writes.collect()).await {
                Ok(_) => {
                    self.hand_over(name).await?;
                    for version in self.refresh(name).await? {
                        self.runner().prepared(&version).await;
                    }
                    return Ok(answer);
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let arn = self.place().function_arn(name, None);
        Err(FunctionsError::Conflict(format!(
            "The operation cannot be performed at this time. An update is in progress for resource: {arn}"
        )))
    }

    /// The rows of a function, and what a commit that rests on them has to check.
    pub(crate) async fn rows(&self, name: &FunctionName) -> Result<Checked, FunctionsError> {
        self.rows_of(std::slice::from_ref(name)).await?.pop().ok_or_else(other_number)
    }

    /// The same of several functions, in one look at the store.
    pub(crate) async fn rows_of(&self, names: &[FunctionName]) -> Result<Vec<Checked>, FunctionsError> {
        for _ in 1..ATTEMPTS {
            let mut rows = self.read_known(names).await?;
            if self.read_fresh(names, &mut rows).await? {
                return Ok(rows);
            }
        }
        // What is missing for so long was not just deleted; who needs it says so.
        let mut rows = self.read_known(names).await?;
        self.read_fresh(names, &mut rows).await?;
        Ok(rows)
    }

    /// The rows of functions, without their versions.
    async fn read_known(&self, names: &[FunctionName]) -> Result<Vec<Checked>, FunctionsError> {
        let keys: Vec<Key> = names.iter().flat_map(|name| KINDS.map(|kind| kind.function(name))).collect();
        let found = self.store().get(&keys).await?;
        if found.len() != keys.len() {
            return Err(other_number());
        }
        let (mut keys, mut found) = (keys.into_iter(), found.into_iter());
        let mut next = || Some((keys.next()?, found.next()?));
        let rows = names.iter().map(|_| rows(std::array::from_fn(|_| next())));
        rows.collect()
    }

    /// Reads the published versions that the memory does not know: what it knows of one is true for good. Whether all
    /// are there: one may have been deleted since the other rows were read.
    async fn read_fresh(&self, names: &[FunctionName], rows: &mut [Checked]) -> Result<bool, FunctionsError> {
        let unknown: Vec<(usize, u64, Key)> = std::iter::zip(names, &*rows)
            .enumerate()
            .flat_map(|(index, (name, (rows, _)))| {
                let known = self.catalog().get(name);
                let is_new = move |number: &u64| {
                    known.as_ref().is_none_or(|known| !known.published.contains_key(number))
                };
                let numbers = rows.versions.live.keys().copied().filter(is_new);
                numbers.map(move |number| (index, number, Kind::Version.key(&Kind::numbered(name, number))))
            })
            .collect();
        if unknown.is_empty() {
            return Ok(true);
        }
        let mut whole = true;
        let keys: Vec<Key> = unknown.iter().map(|(_, _, key)| key.clone()).collect();
        let found = self.store().get(&keys).await?;
        for ((index, number, key), found) in unknown.into_iter().zip(found) {
            match read(&key, found)? {
                Some(row) => drop(rows[index].0.fresh.insert(number, row)),
                None => whole = false,
            }
        }
        Ok(whole)
    }
}

/// The rows that a function may have, in the order in which they are read.
const KINDS: [Kind; 4] = [Kind::Function, Kind::Policy, Kind::Url, Kind::Versions];

type Found = (Key, Option<(Bytes, Revision)>);

fn rows(found: [Option<Found>; 4]) -> Result<Checked, FunctionsError> {
    let [Some(function), Some(policy), Some(url), Some(versions)] = found else { return Err(other_number()) };
    let expect = |(key, row): &Found| {
        (key.clone(), row.as_ref().map_or(Expect::Absent, |(_, revision)| Expect::At(*revision)))
    };
    let checks = [&function, &policy, &url, &versions].map(expect).to_vec();
    let rows = Rows {
        function: read(&function.0, function.1)?,
        policy: read(&policy.0, policy.1)?,
        url: read(&url.0, url.1)?,
        versions: read(&versions.0, versions.1)?.unwrap_or_default(),
        fresh: BTreeMap::new(),
    };
    Ok((rows, checks))
}

fn other_number() -> FunctionsError {
    FunctionsError::Internal("the store answered another number of rows than was asked".into())
}

impl Rows {
    /// The function, or that there is none.
    pub(crate) fn existing(
        &self,
        functions: &Functions,
        name: &FunctionName,
    ) -> Result<&FunctionRow, FunctionsError> {
        let missing = || FunctionsError::no_function(&functions.place().function_arn(name, None));
        self.function.as_ref().ok_or_else(missing)
    }

    /// What is to be written where something is changed that a published version may have changed, or that there is no
    /// such version.
    pub(crate) fn holding(
        &self,
        functions: &Functions,
        version: &VersionName,
        edit: impl FnOnce(&mut Held),
    ) -> Result<Change, FunctionsError> {
        let mut versions = self.versions.clone();
        let VersionName { function, version } = version;
        let missing =
            || FunctionsError::no_function(&functions.place().function_arn(function, Some(version)));
        let held = VersionsRow::number(version).and_then(|number| versions.live.get_mut(&number));
        edit(held.ok_or_else(missing)?);
        Ok(Change::default().put(Kind::Versions, function.as_str(), &versions))
    }
}

fn read<T: DeserializeOwned>(
    key: &Key,
    found: Option<(Bytes, Revision)>,
) -> Result<Option<T>, FunctionsError> {
    found.map(|(bytes, _)| decode(key, &bytes)).transpose()
}
