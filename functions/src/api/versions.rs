//! PublishVersion and ListVersionsByFunction, and what of them is a part of other operations.

use crate::catalog::Entry;
use crate::change::{Change, Rows};
use crate::publish::{self, Order, Published};
use crate::rows::FunctionRow;
use crate::shapes::base64_of_hex;
use crate::{Functions, FunctionsError, rules};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use invoke::Snapshot;
use model::{FunctionAddress, FunctionName};
use std::sync::Arc;
use wire::lambda::{
    FunctionConfiguration, ListVersionsByFunctionRequest, ListVersionsByFunctionResponse,
    PublishVersionRequest,
};

/// AWS never answers with more.
pub(super) const PAGE: usize = 50;

pub(super) async fn publish(
    functions: &Functions,
    input: PublishVersionRequest,
) -> Result<FunctionConfiguration, FunctionsError> {
    rules::refuse([(input.publish_to.is_some(), "PublishTo")])?;
    let (address, _) = functions.find_latest(&input.function_name)?;
    let name = &address.name;
    let order = Order { description: input.description.clone(), revision: functions.world().uuid() };
    let number = functions
        .change(name, |rows| {
            let row = rows.existing(functions, name)?;
            rules::revision(&row.revision, input.revision_id.as_deref())?;
            check_code(&row.code.sha256, input.code_sha256.as_deref())?;
            let published = functions.publish(name, rows, row, &order)?;
            Ok((published.write(name, Change::default()), published.number))
        })
        .await?;
    functions.show_published(name, number, true)
}

pub(super) fn list(
    functions: &Functions,
    input: ListVersionsByFunctionRequest,
) -> Result<ListVersionsByFunctionResponse, FunctionsError> {
    let (_, entry) = functions.find_latest(&input.function_name)?;
    let after = input.marker.as_deref().filter(|marker| !marker.is_empty());
    let after = after.map(|marker| read_marker(marker, "ListVersionsByFunction")).transpose()?;
    let page = wanted(input.max_items);
    let later =
        entry.versions().filter(|entry| after.as_ref().is_none_or(|(_, after)| number(entry) > *after));
    let mut found: Vec<_> = later.take(page + 1).collect();
    let more = found.len() > page;
    found.truncate(page);
    Ok(ListVersionsByFunctionResponse {
        next_marker: found.last().filter(|_| more).map(|entry| marker(entry)),
        versions: Some(found.into_iter().map(|entry| functions.listed_version(entry)).collect()),
    })
}

impl Functions {
    /// What publishing `latest` comes to, beside these rows.
    pub(super) fn publish(
        &self,
        name: &FunctionName,
        rows: &Rows,
        latest: &FunctionRow,
        order: &Order,
    ) -> Result<Published, FunctionsError> {
        let Rows { versions, fresh, .. } = rows;
        let known = self.catalog().get(name);
        let last = versions.live.contains_key(&versions.last).then_some(versions.last);
        let last = last.and_then(|last| {
            let known = known.as_ref().and_then(|known| known.published.get(&last));
            fresh.get(&last).or_else(|| known.map(|known| &known.row))
        });
        publish::publish(versions, last, latest, order)
    }

    /// A version that was just published, with its number in the ARN or without.
    pub(super) fn show_published(
        &self,
        name: &FunctionName,
        number: u64,
        qualified: bool,
    ) -> Result<FunctionConfiguration, FunctionsError> {
        let (address, entry) = self.find(name.as_str(), Some(&number.to_string()))?;
        if entry.version.snapstart && self.runner().snapshot(&entry.version) == Snapshot::Making {
            self.await_snapshot(&entry.version);
        }
        let qualifier = address.qualifier.filter(|_| qualified);
        Ok(self.shown(&entry, &FunctionAddress { qualifier, ..address }))
    }

    /// A version as lists show it.
    pub(super) fn listed_version(&self, entry: &Entry) -> FunctionConfiguration {
        self.listed(entry, Some(&entry.version.version))
    }
}

fn check_code(sha256: &str, asked: Option<&str>) -> Result<(), FunctionsError> {
    let now = base64_of_hex(sha256);
    match asked.filter(|asked| !asked.is_empty() && *asked != now) {
        None => Ok(()),
        Some(asked) => Err(FunctionsError::Invalid(format!(
            "CodeSHA256 ({asked}) is different from current CodeSHA256 in $LATEST ({now}). Please try again with the \
             CodeSHA256 in $LATEST."
        ))),
    }
}

/// How many a client wants on a page.
pub(super) fn wanted(max_items: Option<i32>) -> usize {
    max_items.and_then(|items| usize::try_from(items).ok()).unwrap_or(PAGE).clamp(1, PAGE)
}

/// The number of a version; 0 for `$LATEST`, which stands before them.
pub(super) fn number(entry: &Arc<Entry>) -> u64 {
    entry.version.version.parse().unwrap_or(0)
}

/// Where a page ended.
pub(super) fn marker(last: &Arc<Entry>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{}:{}", last.version.function, number(last)))
}

/// Reads that back.
pub(super) fn read_marker(marker: &str, operation: &str) -> Result<(FunctionName, u64), FunctionsError> {
    let text = BASE64_URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let read = |text: &str| {
        let (name, number) = text.split_once(':').unwrap_or((text, "0"));
        Some((FunctionName::parse(name).ok()?, number.parse().ok()?))
    };
    text.as_deref()
        .and_then(read)
        .ok_or_else(|| FunctionsError::Invalid(format!("The marker is not one that {operation} gave.")))
}
