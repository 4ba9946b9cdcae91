//! CreateFunction.

use crate::change::Change;
use crate::rows::{FunctionRow, Kind};
use crate::{Functions, FunctionsError, rules};
use wire::lambda::{CreateFunctionRequest, FunctionConfiguration};

/// Places the package first and writes the row last, so that a function which exists can run.
pub(super) async fn create(
    functions: &Functions,
    input: CreateFunctionRequest,
) -> Result<FunctionConfiguration, FunctionsError> {
    let address = functions.address(&input.function_name, None)?;
    if address.qualifier.is_some() {
        return Err(FunctionsError::Invalid("A new function is named without a version or an alias.".into()));
    }
    let config = rules::created(&input)?;
    let tags = input.tags.unwrap_or_default();
    rules::tags(&tags)?;
    let zip = rules::created_code(input.code)?;
    let name = &address.name;
    if functions.catalog().get(name).is_some() {
        return Err(exists(name));
    }
    let placed = functions.place_package(zip).await?;
    if let Err(error) = functions.fits(&config.runtime, &placed).await {
        drop(placed);
        functions.sweep().await;
        return Err(error);
    }
    let row = FunctionRow {
        name: name.to_string(),
        config,
        code: placed.code.clone(),
        tags,
        revision: functions.world().uuid(),
        modified_us: functions.world().now().0,
        reserved: None,
        provisioned: None,
    };
    let written = functions
        .change(name, |rows| match rows.function {
            Some(_) => Err(exists(name)),
            None => Ok((Change::default().put(Kind::Function, name.as_str(), &row), ())),
        })
        .await;
    drop(placed);
    if let Err(error) = written {
        functions.sweep().await;
        return Err(error);
    }
    let (address, entry) = functions.find(name.as_str(), None)?;
    Ok(functions.shown(&entry, &address))
}

fn exists(name: &model::FunctionName) -> FunctionsError {
    FunctionsError::Conflict(format!("Function already exist: {name}"))
}
