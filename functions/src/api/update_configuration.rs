//! UpdateFunctionConfiguration.

use crate::change::Change;
use crate::rows::{FunctionRow, Kind};
use crate::{Functions, FunctionsError, rules};
use wire::lambda::{FunctionConfiguration, UpdateFunctionConfigurationRequest};

pub(super) async fn update(
    functions: &Functions,
    input: UpdateFunctionConfigurationRequest,
) -> Result<FunctionConfiguration, FunctionsError> {
    let (address, entry) = functions.find_latest(&input.function_name)?;
    let name = &address.name;
    let (revision, modified_us) = (functions.world().uuid(), functions.world().now().0);
    let promising = functions.promising().await;
    functions
        .change(name, |rows| {
            let row = rows.existing(functions, name)?;
            rules::revision(&row.revision, input.revision_id.as_deref())?;
            let config = rules::updated(&row.config, &input)?;
            if config.memory_mb > row.config.memory_mb {
                functions.check_memory(&entry.version.name(), row.kept_ready(), config.memory_mb)?;
            }
            let row = FunctionRow { config, revision: revision.clone(), modified_us, ..row.clone() };
            Ok((Change::default().put(Kind::Function, name.as_str(), &row), ()))
        })
        .await?;
    drop(promising);
    functions.sweep().await;
    let (address, entry) = functions.find_latest(&input.function_name)?;
    Ok(functions.shown(&entry, &address))
}
