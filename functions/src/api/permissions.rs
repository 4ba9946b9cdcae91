//! AddPermission, GetPolicy, RemovePermission. A function has a policy, and each of its published versions its own.

use crate::change::{Change, Rows};
use crate::rows::{Kind, PolicyRow, VersionsRow};
use crate::{Functions, FunctionsError, statement};
use model::{FunctionAddress, LATEST, VersionName};
use wire::lambda::{
    AddPermissionRequest, AddPermissionResponse, GetPolicyRequest, GetPolicyResponse, RemovePermissionRequest,
};

pub(super) async fn add(
    functions: &Functions,
    input: AddPermissionRequest,
) -> Result<AddPermissionResponse, FunctionsError> {
    let owner = owner(functions, &input.function_name, input.qualifier.as_deref())?;
    let arn = functions.place().function_arn(&owner.name, owner.qualifier.as_deref());
    let statement = statement::statement(&input, &arn)?;
    let text = statement::text(&statement);
    let revision = functions.world().uuid();
    functions
        .change(&owner.name, |rows| {
            let policy = present(functions, rows, &owner)?;
            check_revision(policy, input.revision_id.as_deref())?;
            let document = statement::added(policy.map(|row| &row.document), statement.clone())?;
            let row = PolicyRow { document, revision: revision.clone() };
            Ok((set(functions, rows, &owner, Some(row))?, ()))
        })
        .await?;
    Ok(AddPermissionResponse { statement: Some(text) })
}

pub(super) fn get(
    functions: &Functions,
    input: GetPolicyRequest,
) -> Result<GetPolicyResponse, FunctionsError> {
    let (_, entry) = functions.find(&input.function_name, input.qualifier.as_deref())?;
    let policy = entry.policy.as_ref().ok_or_else(FunctionsError::no_resource)?;
    Ok(GetPolicyResponse {
        policy: Some(statement::text(&*policy.document)),
        revision_id: Some(policy.revision.clone()),
    })
}

pub(super) async fn remove(
    functions: &Functions,
    input: RemovePermissionRequest,
) -> Result<(), FunctionsError> {
    let owner = owner(functions, &input.function_name, input.qualifier.as_deref())?;
    let revision = functions.world().uuid();
    functions
        .change(&owner.name, |rows| {
            let policy = present(functions, rows, &owner)?;
            check_revision(policy, input.revision_id.as_deref())?;
            let policy = policy.ok_or_else(|| {
                let arn = functions.place().function_arn(&owner.name, owner.qualifier.as_deref());
                FunctionsError::NotFound(format!("No policy is associated with the given resource: {arn}"))
            })?;
            let document = statement::removed(policy, &input.statement_id)?;
            let row = document.map(|document| PolicyRow { document, revision: revision.clone() });
            Ok((set(functions, rows, &owner, row)?, ()))
        })
        .await
}

fn check_revision(policy: Option<&PolicyRow>, asked: Option<&str>) -> Result<(), FunctionsError> {
    match asked {
        Some(asked) if policy.is_none_or(|policy| policy.revision != asked) => {
            Err(FunctionsError::Stale("GetPolicy"))
        }
        _ => Ok(()),
    }
}

/// The policy of a function or of a version, where it has one.
fn present<'r>(
    functions: &Functions,
    rows: &'r Rows,
    owner: &FunctionAddress,
) -> Result<Option<&'r PolicyRow>, FunctionsError> {
    rows.existing(functions, &owner.name)?;
    let Some(qualifier) = &owner.qualifier else { return Ok(rows.policy.as_ref()) };
    let held = VersionsRow::number(qualifier).and_then(|number| rows.versions.live.get(&number));
    Ok(held.and_then(|held| held.policy.as_ref()))
}

/// Writes the policy of a function or of a version.
fn set(
    functions: &Functions,
    rows: &Rows,
    owner: &FunctionAddress,
    policy: Option<PolicyRow>,
) -> Result<Change, FunctionsError> {
    let name = owner.name.as_str();
    match (&owner.qualifier, policy) {
        (None, Some(policy)) => Ok(Change::default().put(Kind::Policy, name, &policy)),
        (None, None) => Ok(Change::default().delete(Kind::Policy, name)),
        (Some(number), policy) => {
            let version = VersionName { function: owner.name.clone(), version: number.clone() };
            rows.holding(functions, &version, |held| held.policy = policy)
        }
    }
}

/// Whose policy it is. There are no aliases yet.
fn owner(
    functions: &Functions,
    text: &str,
    qualifier: Option<&str>,
) -> Result<FunctionAddress, FunctionsError> {
    let address = functions.address(text, qualifier)?;
    if address.qualifier.as_deref() == Some(LATEST) {
        return Err(FunctionsError::Invalid(
            "We currently do not support adding policies for $LATEST.".into(),
        ));
    }
    functions.find(address.name.as_str(), address.qualifier.as_deref())?;
    Ok(address)
}
