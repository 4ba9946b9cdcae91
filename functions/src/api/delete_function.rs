//! DeleteFunction.

use crate::rows::{Kind, VersionsRow};
use crate::{Functions, FunctionsError};
use model::{FunctionName, LATEST};
use wire::lambda::{DeleteFunctionRequest, DeleteFunctionResponse};

const NO_CONTENT: i32 = 204;

/// Removes a function with its versions, its URL, its policy and its tags. Its log stays, as on AWS.
pub(super) async fn delete(
    functions: &Functions,
    input: DeleteFunctionRequest,
) -> Result<DeleteFunctionResponse, FunctionsError> {
    let address = functions.address(&input.function_name, input.qualifier.as_deref())?;
    let name = &address.name;
    match address.qualifier.as_deref() {
        None => {}
        Some(LATEST) => {
            return Err(FunctionsError::Invalid(
                "$LATEST version cannot be deleted without deleting the function.".into(),
            ));
        }
        Some(version) => return delete_version(functions, name, version).await,
    }
    functions
        .change(name, |rows| {
            rows.existing(functions, name)?;
            let versions = rows.unpublish(name, None).unwrap_or_default();
            let change = [Kind::Function, Kind::Policy, Kind::Url]
                .into_iter()
                .fold(versions, |change, kind| change.delete(kind, name.as_str()));
            let url = rows.url.as_ref().map(|url| &url.id);
            Ok((url.into_iter().fold(change, |change, id| change.delete(Kind::UrlId, id)), ()))
        })
        .await?;
    functions.sweep().await;
    Ok(DeleteFunctionResponse { status_code: Some(NO_CONTENT) })
}

/// Removes one version. That there is none is no error, as on AWS; its number is never given again.
async fn delete_version(
    functions: &Functions,
    name: &FunctionName,
    version: &str,
) -> Result<DeleteFunctionResponse, FunctionsError> {
    let number = VersionsRow::number(version);
    functions
        .change(name, |rows| {
            rows.existing(functions, name)?;
            let change = number.and_then(|number| rows.unpublish(name, Some(number)));
            Ok((change.unwrap_or_default(), ()))
        })
        .await?;
    functions.sweep().await;
    Ok(DeleteFunctionResponse { status_code: Some(NO_CONTENT) })
}
