//! UpdateFunctionCode.

use crate::change::Change;
use crate::rows::{FunctionRow, Kind};
use crate::{Functions, FunctionsError, rules};
use std::sync::Arc;
use wire::lambda::{FunctionConfiguration, UpdateFunctionCodeRequest};

/// The same archive again is a new revision too, as on AWS. A dry run checks and answers as if done.
pub(super) async fn update(
    functions: &Functions,
    mut input: UpdateFunctionCodeRequest,
) -> Result<FunctionConfiguration, FunctionsError> {
    let zip = rules::updated_code(&mut input)?;
    let (address, entry) = functions.find(&input.function_name, None)?;
    let name = &address.name;
    rules::revision(&entry.row.revision, input.revision_id.as_deref())?;
    let placed = functions.place_package(zip).await?;
    if let Err(error) = functions.fits(&entry.row.config.runtime, &placed).await {
        drop(placed);
        functions.sweep().await;
        return Err(error);
    }
    if input.dry_run == Some(true) {
        let mut entry = Arc::unwrap_or_clone(entry);
        entry.row.code = placed.code.clone();
        drop(placed);
        functions.sweep().await;
        return Ok(functions.shown(&entry, &address));
    }
    let (revision, modified_us) = (functions.world().uuid(), functions.world().now().0);
    let written = functions
        .change(name, |rows| {
            let row = rows.existing(functions, name)?;
            rules::revision(&row.revision, input.revision_id.as_deref())?;
            let (code, revision) = (placed.code.clone(), revision.clone());
            let row = FunctionRow { code, revision, modified_us, ..row.clone() };
            Ok((Change::default().put(Kind::Function, name.as_str(), &row), ()))
        })
        .await;
    if written.is_ok() {
        functions.repaired(name).await;
    }
    drop(placed);
    functions.sweep().await;
    written?;
    let (address, entry) = functions.find(&input.function_name, None)?;
    Ok(functions.shown(&entry, &address))
}
