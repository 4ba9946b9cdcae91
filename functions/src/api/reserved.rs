//! PutFunctionConcurrency, GetFunctionConcurrency, DeleteFunctionConcurrency.

use crate::capacity::may_reserve;
use crate::change::Change;
use crate::rows::{FunctionRow, Kind};
use crate::{Functions, FunctionsError};
use model::FunctionName;
use wire::lambda::{
    Concurrency, DeleteFunctionConcurrencyRequest, GetFunctionConcurrencyRequest,
    GetFunctionConcurrencyResponse, PutFunctionConcurrencyRequest,
};

pub(super) async fn put(
    functions: &Functions,
    input: PutFunctionConcurrencyRequest,
) -> Result<Concurrency, FunctionsError> {
    let name = &unqualified(functions, &input.function_name)?;
    let asked = u32::try_from(input.reserved_concurrent_executions).unwrap_or(0);
    let _promising = functions.promising().await;
    functions
        .change(name, |rows| {
            let row = rows.existing(functions, name)?;
            let others = functions.catalog().promised(Some(name)).calls;
            let entry = functions.catalog().get(name);
            let kept_ready = entry.map_or(0, |entry| entry.kept_ready_beside(None));
            may_reserve(functions.settings().concurrency, others, row.reserved, asked, kept_ready)?;
            let row = FunctionRow { reserved: Some(asked), ..row.clone() };
            Ok((Change::default().put(Kind::Function, name.as_str(), &row), ()))
        })
        .await?;
    Ok(Concurrency { reserved_concurrent_executions: Some(input.reserved_concurrent_executions) })
}

pub(super) fn get(
    functions: &Functions,
    input: GetFunctionConcurrencyRequest,
) -> Result<GetFunctionConcurrencyResponse, FunctionsError> {
    let name = unqualified(functions, &input.function_name)?;
    let (_, entry) = functions.find(name.as_str(), None)?;
    let reserved_concurrent_executions = entry.row.reserved.and_then(|calls| i32::try_from(calls).ok());
    Ok(GetFunctionConcurrencyResponse { reserved_concurrent_executions })
}

pub(super) async fn delete(
    functions: &Functions,
    input: DeleteFunctionConcurrencyRequest,
) -> Result<(), FunctionsError> {
    let name = &unqualified(functions, &input.function_name)?;
    let _promising = functions.promising().await;
    functions
        .change(name, |rows| {
            let row = FunctionRow { reserved: None, ..rows.existing(functions, name)?.clone() };
            Ok((Change::default().put(Kind::Function, name.as_str(), &row), ()))
        })
        .await
}

/// As GetFunction shows it.
pub(super) fn shown(reserved: u32) -> Option<Concurrency> {
    let calls = i32::try_from(reserved).ok()?;
    Some(Concurrency { reserved_concurrent_executions: Some(calls) })
}

/// Concurrency is reserved for functions, not for their versions.
fn unqualified(functions: &Functions, text: &str) -> Result<FunctionName, FunctionsError> {
    let address = functions.address(text, None)?;
    match address.qualifier {
        None => Ok(address.name),
        Some(_) => Err(FunctionsError::whole_only()),
    }
}
