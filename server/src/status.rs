//! The platform's own service: what it is, what it protects, what every invocation cost.

use crate::shapes::{instance, interpreter, invocation, layer, signed, unit};
use crate::{Options, Ready, metrics};
use access::Permit;
use functions::Functions;
use invoke::{Engine, InstanceSummary};
use model::{FunctionAddress, FunctionName, LATEST, LIMITS};
use observe::{Observe, RecordsQuery};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use wire::dayfly::{self as api, Dayfly};
use wire::{Error, Exposition};
use world::World;

/// Serves `wire/models/dayfly.json`.
pub(crate) struct Status {
    pub(crate) ready: Arc<OnceLock<Ready>>,
    pub(crate) started_us: u64,
    pub(crate) options: Options,
    pub(crate) engine: Arc<Engine>,
    pub(crate) observe: Observe,
    pub(crate) functions: Functions,
    pub(crate) world: World,
    pub(crate) lookout_us: Arc<AtomicU64>,
}

const RECORDS_DEFAULT: i32 = 20;

impl Dayfly for Status {
    type Cx = Permit;

    async fn get_status(
        &self,
        _cx: &Permit,
        _input: api::GetStatusRequest,
    ) -> Result<api::GetStatusResponse, Error> {
        let now_us = self.world.now().0;
        let ready = self.ready.get().ok_or_else(|| Error::unavailable("Dayfly is starting."))?;
        Ok(api::GetStatusResponse {
            endpoint: ready.endpoint.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            account: self.options.place.account.clone(),
            region: self.options.place.region.clone(),
            data_directory: Some(ready.data.display().to_string()),
            started_us: Some(signed(self.started_us)),
            lookout_us: Some(signed(self.lookout_us.load(Ordering::Relaxed))),
            protections: api::Protections {
                level: i32::from(ready.level),
                layers: ready.protections.iter().map(layer).collect(),
            },
            runtimes: ready.runtimes.iter().map(interpreter).collect(),
            instances: self.engine.instances().into_iter().map(|it| instance(it, now_us)).collect(),
        })
    }

    async fn get_metrics(
        &self,
        _cx: &Permit,
        _input: api::GetMetricsRequest,
    ) -> Result<api::GetMetricsResponse, Error> {
        let ready = self.ready.get().ok_or_else(|| Error::unavailable("Dayfly is starting."))?;
        let text = metrics::text(ready, self.started_us, &self.engine, &self.observe.tally().await);
        Ok(api::GetMetricsResponse { content_type: Some(Exposition::CONTENT_TYPE.into()), text: text.into() })
    }

    async fn list_limits(
        &self,
        _cx: &Permit,
        _input: api::ListLimitsRequest,
    ) -> Result<api::ListLimitsResponse, Error> {
        let limits = LIMITS.iter().map(|limit| api::Limit {
            name: limit.name.into(),
            value: signed(self.options.value_of(limit)),
            unit: unit(limit.unit).into(),
            bounds: limit.bounds.into(),
            lifted_by: limit.lifted_by.into(),
        });
        Ok(api::ListLimitsResponse { limits: limits.collect() })
    }

    async fn list_invocations(
        &self,
        _cx: &Permit,
        input: api::ListInvocationsRequest,
    ) -> Result<api::ListInvocationsResponse, Error> {
        let query = RecordsQuery {
            function: Some(input.function_name),
            since_us: u64::try_from(input.since_us.unwrap_or(0)).unwrap_or(0),
            cold_only: input.cold_only.unwrap_or(false),
            limit: usize::try_from(input.limit.unwrap_or(RECORDS_DEFAULT)).unwrap_or(0),
        };
        let records = self.observe.records(query).await.map_err(|why| unreadable(&why))?;
        Ok(api::ListInvocationsResponse { invocations: records.into_iter().map(invocation).collect() })
    }

    async fn get_invocation(
        &self,
        _cx: &Permit,
        input: api::GetInvocationRequest,
    ) -> Result<api::GetInvocationResponse, Error> {
        let record = self.observe.record_by_id(&input.request_id).await.map_err(|why| unreadable(&why))?;
        let record = record.ok_or_else(|| {
            let message = format!("No record of an invocation {} is kept.", input.request_id);
            Error::modeled(&api::RESOURCE_NOT_FOUND_EXCEPTION, message)
        })?;
        Ok(api::GetInvocationResponse { invocation: invocation(record) })
    }

    async fn retire_instances(
        &self,
        _cx: &Permit,
        input: api::RetireInstancesRequest,
    ) -> Result<api::RetireInstancesResponse, Error> {
        let address = FunctionAddress::parse(&input.function_name, None, self.functions.place());
        let address = address.map_err(|e| Error::validation(e.to_string()))?;
        let version = address.qualifier.as_deref().unwrap_or(LATEST);
        let of = |i: &&InstanceSummary| i.function == address.name.as_str() && i.version == version;
        let retired = self.engine.instances().iter().filter(of).count();
        match (input.next_rung, self.functions.current(&address.name, Some(version))) {
            (Some(rung), Some(version)) => self.engine.restart(&version, crate::shapes::rung_of(rung)).await,
            (_, Some(version)) => self.engine.retire(&version.name(), None),
            (_, None) => {}
        }
        Ok(api::RetireInstancesResponse { retired: i32::try_from(retired).unwrap_or(i32::MAX) })
    }

    async fn get_code(
        &self,
        _cx: &Permit,
        input: api::GetCodeRequest,
    ) -> Result<api::GetCodeResponse, Error> {
        let name = FunctionName::parse(&input.function_name).map_err(|e| Error::validation(e.to_string()))?;
        let code = self.functions.code(&name, &input.sha256).await?;
        Ok(api::GetCodeResponse { content_type: Some("application/zip".into()), code })
    }
}

fn unreadable(why: &observe::QueryError) -> Error {
    tracing::error!(%why, "records cannot be read");
    Error::internal()
}
