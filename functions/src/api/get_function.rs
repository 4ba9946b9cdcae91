//! GetFunction and GetFunctionConfiguration.

use super::reserved;
use crate::{Functions, FunctionsError};
use access::{Credentials, Permit, Scope, presign};
use model::FunctionName;
use wire::lambda::{
    FunctionCodeLocation, FunctionConfiguration, GetFunctionConfigurationRequest, GetFunctionRequest,
    GetFunctionResponse,
};

/// As long as AWS's.
const DOWNLOAD_LIFE_S: u64 = 600;

pub(super) fn get(
    functions: &Functions,
    cx: &Permit,
    input: GetFunctionRequest,
) -> Result<GetFunctionResponse, FunctionsError> {
    let (address, entry) = functions.find(&input.function_name, input.qualifier.as_deref())?;
    let tags = &entry.row.tags;
    Ok(GetFunctionResponse {
        configuration: Some(functions.shown(&entry, &address)),
        code: Some(FunctionCodeLocation {
            repository_type: Some("S3".into()),
            location: Some(download(functions, cx, &address.name, &entry.row.code.sha256)?),
            ..FunctionCodeLocation::default()
        }),
        tags: (!tags.is_empty()).then(|| tags.clone()),
        concurrency: entry.row.reserved.and_then(reserved::shown),
        ..GetFunctionResponse::default()
    })
}

pub(super) fn configuration(
    functions: &Functions,
    input: GetFunctionConfigurationRequest,
) -> Result<FunctionConfiguration, FunctionsError> {
    let (address, entry) = functions.find(&input.function_name, input.qualifier.as_deref())?;
    Ok(functions.shown(&entry, &address))
}

/// A URL at the platform's own GetCode operation that works without further credentials, at the endpoint by
/// which this client knows the platform.
fn download(
    functions: &Functions,
    cx: &Permit,
    name: &FunctionName,
    sha256: &str,
) -> Result<String, FunctionsError> {
    let failed = |why: &dyn std::fmt::Display| FunctionsError::Internal(format!("no download URL: {why}"));
    let endpoint = &cx.request().endpoint;
    let uri = format!("{endpoint}/_dayfly/v1/functions/{name}/code/{sha256}");
    let host = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, host)| host);
    let request = http::Request::get(uri).header(http::header::HOST, host).body(());
    let mut request = request.map_err(|error| failed(&error))?.into_parts().0;
    let root = functions.access().root().clone();
    let credentials = Credentials { access_key: root.access_key, secret_key: root.secret_key, token: None };
    let (region, now) = (functions.place().region.as_str(), functions.world().now());
    let scope = Scope { region, service: wire::dayfly::SERVICE.signing_name, now };
    presign(&mut request, &credentials, scope, DOWNLOAD_LIFE_S).map_err(|error| failed(&error))?;
    Ok(request.uri.to_string())
}
