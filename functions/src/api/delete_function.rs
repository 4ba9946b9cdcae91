//! DeleteFunction.

use crate::change::Change;
use crate::rows::Kind;
use crate::{Functions, FunctionsError};
use model::LATEST;
use wire::lambda::{DeleteFunctionRequest, DeleteFunctionResponse};

const NO_CONTENT: i32 = 204;

/// Removes a function with its URL, its policy and its tags. Its log stays, as on AWS.
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
        Some(version) => {
            return Err(FunctionsError::no_function(&functions.place().function_arn(name, Some(version))));
        }
    }
    functions
        .change(name, |rows| {
            rows.existing(functions, name)?;
            let change = [Kind::Function, Kind::Policy, Kind::Url]
                .into_iter()
                .fold(Change::default(), |change, kind| change.delete(kind, name.as_str()));
            let url = rows.url.as_ref().map(|url| &url.id);
            Ok((url.into_iter().fold(change, |change, id| change.delete(Kind::UrlId, id)), ()))
        })
        .await?;
    functions.sweep().await;
    Ok(DeleteFunctionResponse { status_code: Some(NO_CONTENT) })
}
