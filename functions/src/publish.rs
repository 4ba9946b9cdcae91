//! What publishing a version of a function means. Pure.

use crate::FunctionsError;
use crate::change::{Change, Rows};
use crate::rows::{FunctionRow, Held, Kind, VersionsRow};
use model::{FunctionName, limit};

/// What `$LATEST` shall be published as.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// Of the version; `None`: that of `$LATEST`.
    pub description: Option<String>,
    /// The version's, if there will be a new one.
    pub revision: String,
}

/// A version that is there, or is about to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub number: u64,
    /// What is to be written, unless it was published before.
    new: Option<(VersionsRow, FunctionRow)>,
}

/// The version as which `latest` is published: the last one, if nothing has changed since.
pub(crate) fn publish(
    versions: &VersionsRow,
    last: Option<&FunctionRow>,
    latest: &FunctionRow,
    order: &Order,
) -> Result<Published, FunctionsError> {
    const MOST: u64 = limit("versions");
    if last.is_some_and(|last| is_same(last, latest, &versions.description)) {
        return Ok(Published { number: versions.last, new: None });
    }
    if versions.live.len() as u64 >= MOST {
        return Err(FunctionsError::Full(format!(
            "The function has {MOST} published versions (limit versions). Delete those that nobody calls."
        )));
    }
    let mut own = FunctionRow {
        tags: Default::default(),
        revision: order.revision.clone(),
        reserved: None,
        provisioned: None,
        ..latest.clone()
    };
    if let Some(description) = &order.description {
        own.config.description.clone_from(description);
    }
    let number = versions.last + 1;
    let mut versions = VersionsRow {
        last: number,
        description: latest.config.description.clone(),
        live: versions.live.clone(),
    };
    versions.live.insert(number, Held::default());
    Ok(Published { number, new: Some((versions, own)) })
}

/// Whether a published version is what `latest` is, which had this description when it was published.
fn is_same(published: &FunctionRow, latest: &FunctionRow, described: &str) -> bool {
    let mut config = published.config.clone();
    described.clone_into(&mut config.description);
    config == latest.config && published.code == latest.code
}

impl Published {
    /// Adds what is to be written.
    pub(crate) fn write(&self, name: &FunctionName, change: Change) -> Change {
        let Some((versions, own)) = &self.new else { return change };
        change.put(Kind::Versions, name.as_str(), versions).put(
            Kind::Version,
            &Kind::numbered(name, self.number),
            own,
        )
    }
}

impl Rows {
    /// Without one of the versions, or without any. `None`: there was none.
    pub(crate) fn unpublish(&self, name: &FunctionName, number: Option<u64>) -> Option<Change> {
        let mut versions = self.versions.clone();
        let gone: Vec<u64> =
            versions.live.keys().copied().filter(|n| number.is_none_or(|number| number == *n)).collect();
        versions.live.retain(|number, _| !gone.contains(number));
        let change = gone.iter().fold(Change::default(), |change, number| {
            change.delete(Kind::Version, &Kind::numbered(name, *number))
        });
        (!gone.is_empty()).then(|| change.put(Kind::Versions, name.as_str(), &versions))
    }
}
