//! UpdateFunctionConfiguration.

use crate::change::Change;
use crate::rows::{FunctionRow, Kind};
use crate::{Functions, FunctionsError, rules};
use wire::lambda::{FunctionConfiguration, UpdateFunctionConfigurationRequest};

pub(super) async fn update(
    functions: &Functions,
    input: UpdateFunctionConfigurationRequest,
) -> Result<FunctionConfiguration, FunctionsError> {
    let (address, _) = functions.find(&input.function_name, None)?;
    let name = &address.name;
    let (revision, modified_us) = (functions.world().uuid(), functions.world().now().0);
    functions
        .change(name, |rows| {
            let row = rows.existing(functions, name)?;
            rules::revision(&row.revision, input.revision_id.as_deref())?;
            let config = rules::updated(&row.config, &input)?;
            let row = FunctionRow { config, revision: revision.clone(), modified_us, ..row.clone() };
            Ok((Change::default().put(Kind::Function, name.as_str(), &row), ()))
        })
        .await?;
    functions.sweep().await;
    let (address, entry) = functions.find(&input.function_name, None)?;
    Ok(functions.shown(&entry, &address))
}
