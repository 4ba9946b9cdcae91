//! TagResource, UntagResource, ListTags.

use crate::catalog::Entry;
use crate::change::Change;
use crate::rows::{FunctionRow, Kind};
use crate::{Functions, FunctionsError, rules};
use model::FunctionAddress;
use std::collections::BTreeMap;
use wire::lambda::{ListTagsRequest, ListTagsResponse, TagResourceRequest, UntagResourceRequest};

pub(super) async fn add(functions: &Functions, input: TagResourceRequest) -> Result<(), FunctionsError> {
    change(functions, &input.resource, |tags| {
        tags.extend(input.tags.clone());
        rules::tags(tags)
    })
    .await
}

pub(super) async fn remove(functions: &Functions, input: UntagResourceRequest) -> Result<(), FunctionsError> {
    change(functions, &input.resource, |tags| {
        tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(())
    })
    .await
}

pub(super) fn list(
    functions: &Functions,
    input: ListTagsRequest,
) -> Result<ListTagsResponse, FunctionsError> {
    check_kind(&input.resource)?;
    let (address, entry) = functions.find(&input.resource, None)?;
    unqualified(&address)?;
    Ok(ListTagsResponse { tags: Some(entry.row.tags.clone()) })
}

async fn change(
    functions: &Functions,
    resource: &str,
    mut edit: impl FnMut(&mut BTreeMap<String, String>) -> Result<(), FunctionsError>,
) -> Result<(), FunctionsError> {
    check_kind(resource)?;
    let (address, _) = functions.find(resource, None)?;
    unqualified(&address)?;
    let name = &address.name;
    let _promising = functions.promising().await;
    let moved = functions
        .change(name, |rows| {
            let row = rows.existing(functions, name)?;
            let before = row.egress();
            let mut tags = row.tags.clone();
            edit(&mut tags)?;
            let row = FunctionRow { tags, ..row.clone() };
            let moved = row.egress() != before;
            Ok((Change::default().put(Kind::Function, name.as_str(), &row), moved))
        })
        .await?;
    if moved {
        // What is told to an instance at its start is no longer true.
        let entry = functions.catalog().get(name);
        for Entry { version, row, .. } in entry.iter().flat_map(Entry::versions).map(|entry| &**entry) {
            functions.runner().retire(&version.name(), None);
            if row.kept_ready() > 0 {
                functions.runner().promise(version, row.kept_ready());
            }
        }
    }
    Ok(())
}

fn unqualified(address: &FunctionAddress) -> Result<(), FunctionsError> {
    if address.qualifier.is_none() {
        return Ok(());
    }
    let text = "Tags on function aliases and versions are not supported. Please specify a function ARN.";
    Err(FunctionsError::Invalid(text.into()))
}

/// Other kinds of resource can have tags on AWS; only functions exist here.
fn check_kind(resource: &str) -> Result<(), FunctionsError> {
    if resource.split(':').nth(5) == Some("function") {
        return Ok(());
    }
    Err(FunctionsError::no_resource())
}
