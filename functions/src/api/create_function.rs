//! CreateFunction.

use crate::change::Change;
use crate::publish::Order;
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
    let order = Order { description: None, revision: functions.world().uuid() };
    let written = functions
        .change(name, |rows| {
            if rows.function.is_some() {
                return Err(exists(name));
            }
            let publishes =
                (input.publish == Some(true)).then(|| functions.publish(name, rows, &row, &order));
            let change = Change::default().put(Kind::Function, name.as_str(), &row);
            Ok(match publishes.transpose()? {
                None => (change, None),
                Some(published) => (published.write(name, change), Some(published.number)),
            })
        })
        .await;
    drop(placed);
    match written {
        Ok(None) => {}
        Ok(Some(number)) => return functions.show_published(name, number, false),
        Err(error) => {
            functions.sweep().await;
            return Err(error);
        }
    }
    let (address, entry) = functions.find(name.as_str(), None)?;
    Ok(functions.shown(&entry, &address))
}

fn exists(name: &model::FunctionName) -> FunctionsError {
    FunctionsError::Conflict(format!("Function already exist: {name}"))
}
