//! ListFunctions.

use super::versions::{marker, number, read_marker, wanted};
use crate::catalog::Entry;
use crate::{Functions, FunctionsError};
use std::sync::Arc;
use wire::lambda::{FunctionVersion, ListFunctionsRequest, ListFunctionsResponse};

pub(super) fn list(
    functions: &Functions,
    input: ListFunctionsRequest,
) -> Result<ListFunctionsResponse, FunctionsError> {
    let after = input.marker.as_deref().filter(|marker| !marker.is_empty());
    let after = after.map(|marker| read_marker(marker, "ListFunctions")).transpose()?;
    let wanted = wanted(input.max_items);
    let all = input.function_version == Some(FunctionVersion::All);
    let entries = functions.catalog().page(after.as_ref().map(|(name, _)| name), wanted + 1);
    let mut found: Vec<Arc<Entry>> = if all {
        // The page may have ended between two versions.
        let half = after.as_ref().and_then(|(name, _)| functions.catalog().get(name));
        let later = half.iter().flat_map(Entry::versions);
        let later = later.filter(|entry| after.as_ref().is_some_and(|(_, after)| number(entry) > *after));
        later.chain(entries.iter().flat_map(Entry::versions)).take(wanted + 1).cloned().collect()
    } else {
        entries
    };
    let more = found.len() > wanted;
    found.truncate(wanted);
    let show = |entry: &Arc<Entry>| match all {
        true => functions.listed_version(entry),
        false => functions.listed(entry, None),
    };
    Ok(ListFunctionsResponse {
        next_marker: found.last().filter(|_| more).map(marker),
        functions: Some(found.iter().map(show).collect()),
    })
}
