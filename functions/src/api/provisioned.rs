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
    let told = told(functions, &entry)?;
    Ok(PutProvisionedConcurrencyConfigResponse {
        requested_provisioned_concurrent_executions: told.requested_provisioned_concurrent_executions,
        allocated_provisioned_concurrent_executions: told.allocated_provisioned_concurrent_executions,
        available_provisioned_concurrent_executions: told.available_provisioned_concurrent_executions,
        status: told.status,
        status_reason: told.status_reason,
        last_modified: told.last_modified,
    })
}

pub(super) fn get(
    functions: &Functions,
    input: GetProvisionedConcurrencyConfigRequest,
) -> Result<GetProvisionedConcurrencyConfigResponse, FunctionsError> {
    let (_, entry) = functions.find(&input.function_name, Some(&input.qualifier))?;
    told(functions, &entry)
}

/// One function has one version, so there is one page.
pub(super) fn list(
    functions: &Functions,
    input: ListProvisionedConcurrencyConfigsRequest,
) -> Result<ListProvisionedConcurrencyConfigsResponse, FunctionsError> {
    let (address, entry) = functions.find(&input.function_name, None)?;
    let function_arn = Some(functions.place().function_arn(&address.name, Some(LATEST)));
    let item = |told: GetProvisionedConcurrencyConfigResponse| ProvisionedConcurrencyConfigListItem {
        function_arn,
        requested_provisioned_concurrent_executions: told.requested_provisioned_concurrent_executions,
        allocated_provisioned_concurrent_executions: told.allocated_provisioned_concurrent_executions,
        available_provisioned_concurrent_executions: told.available_provisioned_concurrent_executions,
        status: told.status,
        status_reason: told.status_reason,
        last_modified: told.last_modified,
    };
    let configs = told(functions, &entry).ok().map(item).into_iter().collect();
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
fn told(
    functions: &Functions,
    entry: &Arc<Entry>,
) -> Result<GetProvisionedConcurrencyConfigResponse, FunctionsError> {
    let promised = entry.row.provisioned.ok_or(FunctionsError::NotProvisioned)?;
    let nothing = Provision { allocated: 0, available: 0, state: ProvisionState::InProgress };
    let kept = functions.runner().provision(&entry.version.function).unwrap_or(nothing);
    let (status, reason) = match kept.state {
        ProvisionState::InProgress => (ProvisionedConcurrencyStatusEnum::InProgress, None),
        ProvisionState::Ready => (ProvisionedConcurrencyStatusEnum::Ready, None),
        ProvisionState::Failed(why) => (ProvisionedConcurrencyStatusEnum::Failed, Some(why.to_owned())),
    };
    let whole = |count: u32| i32::try_from(count).ok();
    Ok(GetProvisionedConcurrencyConfigResponse {
        requested_provisioned_concurrent_executions: whole(promised.instances),
        allocated_provisioned_concurrent_executions: whole(kept.allocated),
        available_provisioned_concurrent_executions: whole(kept.available),
        status: Some(status),
        status_reason: reason,
        last_modified: Some(time::modified(promised.modified_us)),
    })
}
