//! AddPermission, GetPolicy, RemovePermission.

use crate::change::Change;
use crate::rows::{Kind, PolicyRow};
use crate::{Functions, FunctionsError, statement};
use model::{FunctionAddress, LATEST};
use wire::lambda::{
    AddPermissionRequest, AddPermissionResponse, GetPolicyRequest, GetPolicyResponse, RemovePermissionRequest,
};

pub(super) async fn add(
    functions: &Functions,
    input: AddPermissionRequest,
) -> Result<AddPermissionResponse, FunctionsError> {
    let address = unqualified(functions, &input.function_name, input.qualifier.as_deref())?;
    let name = &address.name;
    let statement = statement::statement(&input, &functions.place().function_arn(name, None))?;
    let text = statement::text(&statement);
    let revision = functions.world().uuid();
    functions
        .change(name, |rows| {
            rows.existing(functions, name)?;
            let policy = rows.policy.as_ref();
            check_revision(policy, input.revision_id.as_deref())?;
            let document = statement::added(policy.map(|row| &row.document), statement.clone())?;
            let row = PolicyRow { document, revision: revision.clone() };
            Ok((Change::default().put(Kind::Policy, name.as_str(), &row), ()))
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
    let address = unqualified(functions, &input.function_name, input.qualifier.as_deref())?;
    let name = &address.name;
    let revision = functions.world().uuid();
    functions
        .change(name, |rows| {
            rows.existing(functions, name)?;
            let policy = rows.policy.as_ref();
            check_revision(policy, input.revision_id.as_deref())?;
            let arn = functions.place().function_arn(name, None);
            let policy = policy.ok_or_else(|| {
                FunctionsError::NotFound(format!("No policy is associated with the given resource: {arn}"))
            })?;
            let change = match statement::removed(policy, &input.statement_id)? {
                Some(document) => {
                    let row = PolicyRow { document, revision: revision.clone() };
                    Change::default().put(Kind::Policy, name.as_str(), &row)
                }
                None => Change::default().delete(Kind::Policy, name.as_str()),
            };
            Ok((change, ()))
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

/// Policies belong to the function as a whole; versions and aliases, which could have their own, do not exist yet.
fn unqualified(
    functions: &Functions,
    text: &str,
    qualifier: Option<&str>,
) -> Result<FunctionAddress, FunctionsError> {
    let address = functions.address(text, qualifier)?;
    match address.qualifier.as_deref() {
        None => Ok(address),
        Some(LATEST) => {
            Err(FunctionsError::Invalid("We currently do not support adding policies for $LATEST.".into()))
        }
        Some(version) => {
            Err(FunctionsError::no_function(&functions.place().function_arn(&address.name, Some(version))))
        }
    }
}
