//! UpdateFunctionCode.

use crate::change::Change;
use crate::publish::Order;
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
    let (address, entry) = functions.find_latest(&input.function_name)?;
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
    let order = Order { description: None, revision: functions.world().uuid() };
    let (revision, modified_us) = (functions.world().uuid(), functions.world().now().0);
    let written = functions
        .change(name, |rows| {
            let row = rows.existing(functions, name)?;
            rules::revision(&row.revision, input.revision_id.as_deref())?;
            let (code, revision) = (placed.code.clone(), revision.clone());
            let row = FunctionRow { code, revision, modified_us, ..row.clone() };
            let publishes =
                (input.publish == Some(true)).then(|| functions.publish(name, rows, &row, &order));
            let published = publishes.transpose()?;
            let change = Change::default().put(Kind::Function, name.as_str(), &row);
            Ok(match published {
                None => (change, None),
                Some(published) => (published.write(name, change), Some(published.number)),
            })
        })
        .await;
    if written.is_ok() {
        functions.repaired(name).await;
    }
    drop(placed);
    functions.sweep().await;
    if let Some(number) = written? {
        return functions.show_published(name, number, true);
    }
    let (address, entry) = functions.find_latest(&input.function_name)?;
    Ok(functions.shown(&entry, &address))
}
