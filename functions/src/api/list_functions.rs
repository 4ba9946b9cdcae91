//! ListFunctions.

use crate::{Functions, FunctionsError};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use model::{FunctionName, LATEST};
use wire::lambda::{FunctionVersion, ListFunctionsRequest, ListFunctionsResponse};

/// AWS never answers with more.
const PAGE: usize = 50;

pub(super) fn list(
    functions: &Functions,
    input: ListFunctionsRequest,
) -> Result<ListFunctionsResponse, FunctionsError> {
    let after = input.marker.as_deref().filter(|marker| !marker.is_empty()).map(read_marker).transpose()?;
    let wanted = input.max_items.and_then(|items| usize::try_from(items).ok()).unwrap_or(PAGE).clamp(1, PAGE);
    let mut entries = functions.catalog().page(after.as_ref(), wanted + 1);
    let more = entries.len() > wanted;
    entries.truncate(wanted);
    let last = entries.last().filter(|_| more);
    let qualifier = (input.function_version == Some(FunctionVersion::All)).then_some(LATEST);
    Ok(ListFunctionsResponse {
        next_marker: last.map(|entry| marker(&entry.version.function)),
        functions: Some(entries.iter().map(|entry| functions.listed(entry, qualifier)).collect()),
    })
}

fn marker(last: &FunctionName) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(last.as_str())
}

fn read_marker(marker: &str) -> Result<FunctionName, FunctionsError> {
    let name = BASE64_URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.and_then(|name| FunctionName::parse(&name).ok())
        .ok_or_else(|| FunctionsError::Invalid("The marker is not one that ListFunctions gave.".into()))
}
