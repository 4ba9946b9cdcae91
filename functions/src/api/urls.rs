//! Function URL configurations.

use crate::catalog::Entry;
use crate::change::Change;
use crate::rows::{Kind, UrlRow};
use crate::shapes::buffered;
use crate::{Functions, FunctionsError};
use model::{FunctionName, LATEST};
use std::sync::Arc;
use wire::lambda::{
    CreateFunctionUrlConfigRequest, CreateFunctionUrlConfigResponse, DeleteFunctionUrlConfigRequest,
    FunctionUrlConfig, GetFunctionUrlConfigRequest, GetFunctionUrlConfigResponse,
    ListFunctionUrlConfigsRequest, ListFunctionUrlConfigsResponse, UpdateFunctionUrlConfigRequest,
    UpdateFunctionUrlConfigResponse,
};
use world::World;

const ID_LENGTH: usize = 32;

pub(super) async fn create(
    functions: &Functions,
    input: CreateFunctionUrlConfigRequest,
) -> Result<CreateFunctionUrlConfigResponse, FunctionsError> {
    buffered(input.invoke_mode)?;
    let (name, _) = owner(functions, &input.function_name, input.qualifier.as_deref())?;
    let now_us = functions.world().now().0;
    let row = UrlRow {
        id: fresh_id(functions.world()),
        auth: input.auth_type.into(),
        cors: input.cors.map(Into::into),
        created_us: now_us,
        modified_us: now_us,
    };
    functions
        .change(&name, |rows| {
            rows.existing(functions, &name)?;
            if rows.url.is_some() {
                let arn = functions.place().function_arn(&name, None);
                return Err(FunctionsError::Conflict(format!(
                    "Failed to create function url config for [functionArn = {arn}]. Error message:  \
                     FunctionUrlConfig exists for this Lambda function"
                )));
            }
            let change = Change::default().put(Kind::Url, name.as_str(), &row);
            Ok((change.put(Kind::UrlId, &row.id, &name.as_str()), ()))
        })
        .await?;
    let FunctionUrlConfig { function_url, function_arn, creation_time, cors, auth_type, invoke_mode, .. } =
        functions.url_shown(&name, &row);
    Ok(CreateFunctionUrlConfigResponse {
        function_url,
        function_arn,
        auth_type,
        cors,
        creation_time,
        invoke_mode,
    })
}

pub(super) fn get(
    functions: &Functions,
    input: GetFunctionUrlConfigRequest,
) -> Result<GetFunctionUrlConfigResponse, FunctionsError> {
    let (name, entry) = owner(functions, &input.function_name, input.qualifier.as_deref())?;
    let url = entry.url.as_ref().ok_or_else(FunctionsError::no_resource)?;
    let shown = functions.url_shown(&name, url);
    Ok(GetFunctionUrlConfigResponse {
        function_url: shown.function_url,
        function_arn: shown.function_arn,
        auth_type: shown.auth_type,
        cors: shown.cors,
        creation_time: shown.creation_time,
        last_modified_time: shown.last_modified_time,
        invoke_mode: shown.invoke_mode,
    })
}

pub(super) async fn update(
    functions: &Functions,
    input: UpdateFunctionUrlConfigRequest,
) -> Result<UpdateFunctionUrlConfigResponse, FunctionsError> {
    buffered(input.invoke_mode)?;
    let (name, _) = owner(functions, &input.function_name, input.qualifier.as_deref())?;
    let modified_us = functions.world().now().0;
    let row = functions
        .change(&name, |rows| {
            rows.existing(functions, &name)?;
            let mut row = rows.url.as_ref().ok_or_else(FunctionsError::no_resource)?.clone();
            row.auth = input.auth_type.map_or(row.auth, Into::into);
            row.cors = input.cors.clone().map(Into::into).or(row.cors);
            row.modified_us = modified_us;
            Ok((Change::default().put(Kind::Url, name.as_str(), &row), row))
        })
        .await?;
    let shown = functions.url_shown(&name, &row);
    Ok(UpdateFunctionUrlConfigResponse {
        function_url: shown.function_url,
        function_arn: shown.function_arn,
        auth_type: shown.auth_type,
        cors: shown.cors,
        creation_time: shown.creation_time,
        last_modified_time: shown.last_modified_time,
        invoke_mode: shown.invoke_mode,
    })
}

pub(super) async fn delete(
    functions: &Functions,
    input: DeleteFunctionUrlConfigRequest,
) -> Result<(), FunctionsError> {
    let (name, _) = owner(functions, &input.function_name, input.qualifier.as_deref())?;
    functions
        .change(&name, |rows| {
            rows.existing(functions, &name)?;
            let url = rows.url.as_ref().ok_or_else(FunctionsError::no_resource)?;
            let change = Change::default().delete(Kind::Url, name.as_str());
            Ok((change.delete(Kind::UrlId, &url.id), ()))
        })
        .await
}

/// At most one: only aliases, which do not exist yet, could have more.
pub(super) fn list(
    functions: &Functions,
    input: ListFunctionUrlConfigsRequest,
) -> Result<ListFunctionUrlConfigsResponse, FunctionsError> {
    let (name, entry) = owner(functions, &input.function_name, None)?;
    let urls = entry.url.iter().map(|url| functions.url_shown(&name, url));
    Ok(ListFunctionUrlConfigsResponse { function_url_configs: urls.collect(), next_marker: None })
}

fn owner(
    functions: &Functions,
    text: &str,
    qualifier: Option<&str>,
) -> Result<(FunctionName, Arc<Entry>), FunctionsError> {
    let (address, entry) = functions.find(text, qualifier)?;
    if entry.version.version == LATEST {
        Ok((address.name, entry))
    } else {
        Err(FunctionsError::whole_only())
    }
}

fn fresh_id(world: &World) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    world.random::<ID_LENGTH>().iter().map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect()
}
