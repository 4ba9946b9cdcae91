//! PutProvisionedConcurrencyConfig, GetProvisionedConcurrencyConfig, ListProvisionedConcurrencyConfigs,
//! DeleteProvisionedConcurrencyConfig.
//!
//! AWS keeps instances of published versions and aliases ready and refuses `$LATEST`. Here `$LATEST` is the one version
//! that there is, and the one that is taken.

use crate::capacity::may_provision;
use crate::catalog::Entry;
use crate::change::Change;
use crate::rows::{FunctionRow, Kind, Provisioned};
use crate::{Functions, FunctionsError, time};
use invoke::{Provision, ProvisionState};
use model::LATEST;
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
    let (address, _) = functions.find(&input.function_name, Some(&input.qualifier))?;
    let name = &address.name;
    let instances = u32::try_from(input.provisioned_concurrent_executions).unwrap_or(0);
    let modified_us = functions.world().now().0;
    let promising = functions.promising().await;
    functions
        .change(name, |rows| {
            let row = rows.existing(functions, name)?;
            may_provision(instances, row.reserved, functions.unreserved(None))?;
            functions.check_memory(name, instances, row.config.memory_mb)?;
            let provisioned = Some(Provisioned { instances, modified_us });
            let row = FunctionRow { provisioned, ..row.clone() };
            Ok((Change::default().put(Kind::Function, name.as_str(), &row), ()))
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

/// One function has one version, so there is one page.
pub(super) fn list(
    functions: &Functions,
    input: ListProvisionedConcurrencyConfigsRequest,
) -> Result<ListProvisionedConcurrencyConfigsResponse, FunctionsError> {
    let (address, entry) = functions.find(&input.function_name, None)?;
    let function_arn = Some(functions.place().function_arn(&address.name, Some(LATEST)));
    let item = |shown| told!(ProvisionedConcurrencyConfigListItem, shown, function_arn);
    let configs = shown(functions, &entry).ok().map(item).into_iter().collect();
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
    let (address, _) = functions.find(&input.function_name, Some(&input.qualifier))?;
    let name = &address.name;
    let _promising = functions.promising().await;
    functions
        .change(name, |rows| {
            let row = FunctionRow { provisioned: None, ..rows.existing(functions, name)?.clone() };
            Ok((Change::default().put(Kind::Function, name.as_str(), &row), ()))
        })
        .await
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
    let kept = functions.runner().provision(&entry.version.function).unwrap_or(nothing);
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
