//! PutProvisionedConcurrencyConfig, GetProvisionedConcurrencyConfig, ListProvisionedConcurrencyConfigs,
//! DeleteProvisionedConcurrencyConfig.
//!
//! AWS keeps instances of published versions and aliases ready and refuses `$LATEST`. Here `$LATEST` has them too.

use crate::capacity::may_provision;
use crate::catalog::Entry;
use crate::change::{Change, Rows};
use crate::rows::{FunctionRow, Kind, Provisioned};
use crate::{Functions, FunctionsError, time};
use invoke::{Provision, ProvisionState};
use model::{LATEST, VersionName};
use std::sync::Arc;
use wire::lambda::{
    DeleteProvisionedConcurrencyConfigRequest, GetProvisionedConcurrencyConfigRequest,
    GetProvisionedConcurrencyConfigResponse, ListProvisionedConcurrencyConfigsRequest,
    ListProvisionedConcurrencyConfigsResponse, ProvisionedConcurrencyConfigListItem,
    ProvisionedConcurrencyStatusEnum, PutProvisionedConcurrencyConfigRequest,
    PutProvisionedConcurrencyConfigResponse,
};

/// What AWS tells with the same fields in three shapes.
macro_rules! told {
    ($shape:ident, $shown:expr $(, $more:ident)?) => {{
        let shown: Shown = $shown;
        $shape {
            $($more,)?
            requested_provisioned_concurrent_executions: shown.requested,
            allocated_provisioned_concurrent_executions: shown.allocated,
            available_provisioned_concurrent_executions: shown.available,
            status: Some(shown.status),
            status_reason: shown.reason,
            last_modified: Some(shown.modified),
        }
    }};
}

pub(super) async fn put(
    functions: &Functions,
    input: PutProvisionedConcurrencyConfigRequest,
) -> Result<PutProvisionedConcurrencyConfigResponse, FunctionsError> {
    let (_, entry) = functions.find(&input.function_name, Some(&input.qualifier))?;
    let version = entry.version.name();
    let name = &version.function;
    let instances = u32::try_from(input.provisioned_concurrent_executions).unwrap_or(0);
    let modified_us = functions.world().now().0;
    let promising = functions.promising().await;
    functions
        .change(name, |rows| {
            let row = rows.existing(functions, name)?;
            let known = functions.catalog().get(name);
            let beside = known.map_or(0, |known| known.kept_ready_beside(Some(&version.version)));
            may_provision(instances.saturating_add(beside), row.reserved, functions.unreserved(None))?;
            let latest = version.version == LATEST;
            let memory_mb = if latest { row.config.memory_mb } else { entry.row.config.memory_mb };
            functions.check_memory(&version, instances, memory_mb)?;
            Ok((provision(functions, rows, &version, Some(Provisioned { instances, modified_us }))?, ()))
        })
        .await?;
    drop(promising);
    let (_, entry) = functions.find(&input.function_name, Some(&input.qualifier))?;
    Ok(told!(PutProvisionedConcurrencyConfigResponse, shown(functions, &entry)?))
}

pub(super) fn get(
    functions: &Functions,
    input: GetProvisionedConcurrencyConfigRequest,
) -> Result<GetProvisionedConcurrencyConfigResponse, FunctionsError> {
    let (_, entry) = functions.find(&input.function_name, Some(&input.qualifier))?;
    Ok(told!(GetProvisionedConcurrencyConfigResponse, shown(functions, &entry)?))
}

/// All on one page.
pub(super) fn list(
    functions: &Functions,
    input: ListProvisionedConcurrencyConfigsRequest,
) -> Result<ListProvisionedConcurrencyConfigsResponse, FunctionsError> {
    let (_, entry) = functions.find_latest(&input.function_name)?;
    let told = |entry: &Arc<Entry>| {
        let function_arn = Some(entry.version.arn.clone());
        let shown = shown(functions, entry).ok()?;
        Some(told!(ProvisionedConcurrencyConfigListItem, shown, function_arn))
    };
    let configs = entry.versions().filter_map(told).collect();
    Ok(ListProvisionedConcurrencyConfigsResponse {
        provisioned_concurrency_configs: Some(configs),
        next_marker: None,
    })
}

/// Deleting what is not there is no error, as on AWS.
pub(super) async fn delete(
    functions: &Functions,
    input: DeleteProvisionedConcurrencyConfigRequest,
) -> Result<(), FunctionsError> {
    let (_, entry) = functions.find(&input.function_name, Some(&input.qualifier))?;
    let version = entry.version.name();
    let _promising = functions.promising().await;
    functions.change(&version.function, |rows| Ok((provision(functions, rows, &version, None)?, ()))).await
}

/// Writes what a version is promised.
fn provision(
    functions: &Functions,
    rows: &Rows,
    version: &VersionName,
    provisioned: Option<Provisioned>,
) -> Result<Change, FunctionsError> {
    let name = &version.function;
    let row = rows.existing(functions, name)?;
    if version.version == LATEST {
        let row = FunctionRow { provisioned, ..row.clone() };
        return Ok(Change::default().put(Kind::Function, name.as_str(), &row));
    }
    rows.holding(functions, version, |held| held.provisioned = provisioned)
}

/// What was promised and how it is kept.
struct Shown {
    requested: Option<i32>,
    allocated: Option<i32>,
    available: Option<i32>,
    status: ProvisionedConcurrencyStatusEnum,
    reason: Option<String>,
    modified: String,
}

fn shown(functions: &Functions, entry: &Arc<Entry>) -> Result<Shown, FunctionsError> {
    let promised = entry.row.provisioned.ok_or(FunctionsError::NotProvisioned)?;
    let nothing = Provision { allocated: 0, available: 0, state: ProvisionState::InProgress };
    let kept = functions.runner().provision(&entry.version.name()).unwrap_or(nothing);
    let (status, reason) = match kept.state {
        ProvisionState::InProgress => (ProvisionedConcurrencyStatusEnum::InProgress, None),
        ProvisionState::Ready => (ProvisionedConcurrencyStatusEnum::Ready, None),
        ProvisionState::Failed(why) => (ProvisionedConcurrencyStatusEnum::Failed, Some(why.to_owned())),
    };
    let whole = |count: u32| i32::try_from(count).ok();
    Ok(Shown {
        requested: whole(promised.instances),
        allocated: whole(kept.allocated),
        available: whole(kept.available),
        status,
        reason,
        modified: time::modified(promised.modified_us),
    })
}
