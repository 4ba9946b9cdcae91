//! AWS Lambda's operations.

use super::{encode, query};
use crate::client::{Answer, CallError, Client, Request};
use bytes::Bytes;
use http::Method;
use model::LATEST;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const SERVICE: &str = "lambda";
/// Pages of 50 functions or versions that are read at most.
const PAGES: usize = 200;
/// Longest synchronous call, with room for queueing and a cold start.
const INVOKE: Duration = Duration::from_secs(1000);

/// A function's configuration, as far as the CLI uses it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Configuration {
    /// Name.
    pub function_name: String,
    /// ARN.
    pub function_arn: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// Changes with every change.
    pub revision_id: String,
    /// Such as `python3.12`.
    pub runtime: String,
    /// Role ARN.
    pub role: String,
    /// Such as `app.handler`.
    pub handler: String,
    /// Bytes of the zip.
    pub code_size: u64,
    /// Base64 of the zip's SHA-256.
    pub code_sha256: String,
    /// Free text.
    pub description: String,
    /// Seconds.
    pub timeout: u32,
    /// Mebibytes.
    pub memory_size: u32,
    /// ISO time.
    pub last_modified: String,
    /// Variables.
    pub environment: Variables,
    /// Size of `/tmp`.
    pub ephemeral_storage: Storage,
    /// Whether instances are forked from a process that has loaded the code.
    pub snap_start: SnapStart,
    /// `Pending`, `Active`, `Failed`, …
    pub state: String,
    /// Why.
    pub state_reason: Option<String>,
    /// `InProgress`, `Successful`, `Failed`.
    pub last_update_status: String,
    /// Why.
    pub last_update_status_reason: Option<String>,
    /// Where its lines go.
    pub logging_config: Logging,
    /// Set where one instance serves several calls at once.
    pub capacity_provider_config: Capacity,
}

/// `CapacityProviderConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Capacity {
    /// Its only member.
    pub lambda_managed_instances_capacity_provider_config: Option<Managed>,
}

/// `LambdaManagedInstancesCapacityProviderConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Managed {
    /// Calls at once in one instance.
    pub per_execution_environment_max_concurrency: u32,
}

impl Capacity {
    /// Calls at once in one instance.
    pub fn at_once(&self) -> u32 {
        let managed = self.lambda_managed_instances_capacity_provider_config.as_ref();
        managed.map_or(1, |managed| managed.per_execution_environment_max_concurrency)
    }
}

/// `Environment`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Variables {
    /// Names and values.
    pub variables: BTreeMap<String, String>,
}

/// `EphemeralStorage`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Storage {
    /// Mebibytes.
    pub size: u32,
}

/// `SnapStart`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SnapStart {
    /// `PublishedVersions` or `None`.
    pub apply_on: String,
}

impl SnapStart {
    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.apply_on == "PublishedVersions"
    }
}

/// `LoggingConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Logging {
    /// Such as `/aws/lambda/hello`.
    pub log_group: String,
}

/// `ReservedConcurrentExecutions`, where there are any.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Reserved {
    reserved_concurrent_executions: Option<u32>,
}

/// How many instances are kept ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Provisioned {
    /// How many shall be.
    #[serde(rename(deserialize = "RequestedProvisionedConcurrentExecutions"))]
    pub requested: u32,
    /// How many are.
    #[serde(rename(deserialize = "AvailableProvisionedConcurrentExecutions"))]
    pub available: u32,
    /// `IN_PROGRESS`, `READY` or `FAILED`.
    #[serde(rename(deserialize = "Status"))]
    pub status: String,
    /// Why it failed.
    #[serde(rename(deserialize = "StatusReason"))]
    pub reason: Option<String>,
}

/// A function URL's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UrlConfig {
    /// `http://<id>.lambda-url.<domain>:<port>/`.
    pub function_url: String,
    /// `NONE` or `AWS_IAM`.
    pub auth_type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Tags {
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Page {
    #[serde(alias = "Versions")]
    functions: Vec<Configuration>,
    next_marker: Option<String>,
}

/// What a call of a function answered.
#[derive(Debug)]
pub struct Invoked {
    /// What the handler returned, or the error it reported.
    pub payload: Bytes,
    /// `Unhandled` or `Handled`, if it failed.
    pub error: Option<String>,
    /// The last 4 KiB of its log, in base64.
    pub log: Option<String>,
    /// Names the call in logs and records.
    pub request_id: String,
}

impl UrlConfig {
    /// The id that stands first in the host name.
    pub fn id(&self) -> Option<&str> {
        self.function_url.split_once("://")?.1.split('.').next().filter(|id| !id.is_empty())
    }

    /// The form that needs no name resolution.
    pub fn path_form(&self, endpoint: &str) -> Option<String> {
        self.id().map(|id| format!("{endpoint}/_url/{id}/"))
    }
}

fn function(operation: &'static str, method: Method, version: &str, name: &str, rest: &str) -> Request {
    let path = format!("/{version}/functions/{}{rest}", encode(name));
    Request::new(operation, SERVICE, method, path)
}

/// CreateFunction.
pub async fn create(client: &Client, body: &Value) -> Result<Configuration, CallError> {
    let request = Request::new("CreateFunction", SERVICE, Method::POST, "/2015-03-31/functions".into());
    client.call(request.json(body)).await
}

/// GetFunctionConfiguration.
pub async fn configuration(client: &Client, name: &str) -> Result<Configuration, CallError> {
    client.call(function("GetFunctionConfiguration", Method::GET, "2015-03-31", name, "/configuration")).await
}

/// ListFunctions, every page.
pub async fn list(client: &Client) -> Result<Vec<Configuration>, CallError> {
    pages(client, "ListFunctions", "/2015-03-31/functions").await
}

/// ListVersionsByFunction, every page: `$LATEST`, then the published versions, the oldest first.
pub async fn versions(client: &Client, name: &str) -> Result<Vec<Configuration>, CallError> {
    pages(client, "ListVersionsByFunction", &format!("/2015-03-31/functions/{}/versions", encode(name))).await
}

async fn pages(
    client: &Client,
    operation: &'static str,
    path: &str,
) -> Result<Vec<Configuration>, CallError> {
    let mut all = Vec::new();
    let mut marker = None;
    for _ in 0..PAGES {
        let path = query(path.into(), &[("Marker", marker.take())]);
        let page: Page = client.call(Request::new(operation, SERVICE, Method::GET, path)).await?;
        all.extend(page.functions);
        marker = page.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() {
            break;
        }
    }
    Ok(all)
}

/// PublishVersion, of this revision of the function and no other.
pub async fn publish(client: &Client, name: &str, revision: &str) -> Result<Configuration, CallError> {
    let request = function("PublishVersion", Method::POST, "2015-03-31", name, "/versions");
    client.call(request.json(&json!({ "RevisionId": revision }))).await
}

/// UpdateFunctionCode.
pub async fn update_code(client: &Client, name: &str, zip: &str) -> Result<Configuration, CallError> {
    let request = function("UpdateFunctionCode", Method::PUT, "2015-03-31", name, "/code");
    client.call(request.json(&json!({ "ZipFile": zip }))).await
}

/// UpdateFunctionConfiguration.
pub async fn update_configuration(
    client: &Client,
    name: &str,
    body: &Value,
) -> Result<Configuration, CallError> {
    let request = function("UpdateFunctionConfiguration", Method::PUT, "2015-03-31", name, "/configuration");
    client.call(request.json(body)).await
}

/// DeleteFunction.
pub async fn delete(client: &Client, name: &str) -> Result<(), CallError> {
    client.send(function("DeleteFunction", Method::DELETE, "2015-03-31", name, "")).await.map(drop)
}

/// Invoke, synchronously, with the end of the log.
pub async fn invoke(client: &Client, name: &str, payload: Bytes) -> Result<Invoked, CallError> {
    let mut request = function("Invoke", Method::POST, "2015-03-31", name, "/invocations");
    request.headers.push(("x-amz-invocation-type", "RequestResponse".into()));
    request.headers.push(("x-amz-log-type", "Tail".into()));
    request.body = payload;
    request.patience = INVOKE;
    let Answer { headers, body } = client.send(request).await?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(Invoked {
        payload: body,
        error: header("x-amz-function-error"),
        log: header("x-amz-log-result"),
        request_id: header("x-amzn-requestid").unwrap_or_default(),
    })
}

/// GetFunctionConcurrency; `None` where nothing is reserved.
pub async fn reserved(client: &Client, name: &str) -> Result<Option<u32>, CallError> {
    let request = function("GetFunctionConcurrency", Method::GET, "2019-09-30", name, "/concurrency");
    let found: Reserved = client.call(request).await?;
    Ok(found.reserved_concurrent_executions)
}

/// PutFunctionConcurrency.
pub async fn reserve(client: &Client, name: &str, calls: u32) -> Result<(), CallError> {
    let request = function("PutFunctionConcurrency", Method::PUT, "2017-10-31", name, "/concurrency");
    client.send(request.json(&json!({ "ReservedConcurrentExecutions": calls }))).await.map(drop)
}

/// DeleteFunctionConcurrency.
pub async fn release(client: &Client, name: &str) -> Result<(), CallError> {
    let request = function("DeleteFunctionConcurrency", Method::DELETE, "2017-10-31", name, "/concurrency");
    client.send(request).await.map(drop)
}

fn kept(operation: &'static str, method: Method, name: &str, version: &str) -> Request {
    let rest = format!("/provisioned-concurrency?Qualifier={}", encode(version));
    function(operation, method, "2019-09-30", name, &rest)
}

/// GetProvisionedConcurrencyConfig; `None` where none are.
pub async fn provisioned(
    client: &Client,
    name: &str,
    version: &str,
) -> Result<Option<Provisioned>, CallError> {
    match client.call(kept("GetProvisionedConcurrencyConfig", Method::GET, name, version)).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// PutProvisionedConcurrencyConfig of `$LATEST`.
pub async fn provision(client: &Client, name: &str, instances: u32) -> Result<Provisioned, CallError> {
    let request = kept("PutProvisionedConcurrencyConfig", Method::PUT, name, LATEST);
    client.call(request.json(&json!({ "ProvisionedConcurrentExecutions": instances }))).await
}

/// DeleteProvisionedConcurrencyConfig of `$LATEST`.
pub async fn deprovision(client: &Client, name: &str) -> Result<(), CallError> {
    client.send(kept("DeleteProvisionedConcurrencyConfig", Method::DELETE, name, LATEST)).await.map(drop)
}

/// ListTags.
pub async fn tags(client: &Client, arn: &str) -> Result<BTreeMap<String, String>, CallError> {
    let path = format!("/2017-03-31/tags/{}", encode(arn));
    let found: Tags = client.call(Request::new("ListTags", SERVICE, Method::GET, path)).await?;
    Ok(found.tags)
}

/// TagResource, one tag.
pub async fn tag(client: &Client, arn: &str, key: &str, value: &str) -> Result<(), CallError> {
    let path = format!("/2017-03-31/tags/{}", encode(arn));
    let request = Request::new("TagResource", SERVICE, Method::POST, path);
    client.send(request.json(&json!({ "Tags": { key: value } }))).await.map(drop)
}

/// GetFunctionUrlConfig; `None` where there is no URL.
pub async fn url(client: &Client, name: &str) -> Result<Option<UrlConfig>, CallError> {
    match client.call(function("GetFunctionUrlConfig", Method::GET, "2021-10-31", name, "/url")).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// CreateFunctionUrlConfig.
pub async fn create_url(client: &Client, name: &str) -> Result<UrlConfig, CallError> {
    let request = function("CreateFunctionUrlConfig", Method::POST, "2021-10-31", name, "/url");
    client.call(request.json(&json!({ "AuthType": "NONE" }))).await
}

/// UpdateFunctionUrlConfig.
pub async fn open_url(client: &Client, name: &str) -> Result<UrlConfig, CallError> {
    let request = function("UpdateFunctionUrlConfig", Method::PUT, "2021-10-31", name, "/url");
    client.call(request.json(&json!({ "AuthType": "NONE" }))).await
}

/// DeleteFunctionUrlConfig.
pub async fn delete_url(client: &Client, name: &str) -> Result<(), CallError> {
    client
        .send(function("DeleteFunctionUrlConfig", Method::DELETE, "2021-10-31", name, "/url"))
        .await
        .map(drop)
}

/// AddPermission. A statement of that id that is there already stays.
pub async fn add_permission(client: &Client, name: &str, body: &Value) -> Result<(), CallError> {
    let request = function("AddPermission", Method::POST, "2015-03-31", name, "/policy");
    match client.send(request.json(body)).await {
        Err(error) if error.is_conflict() => Ok(()),
        answer => answer.map(drop),
    }
}

/// RemovePermission. A statement that is not there is fine.
pub async fn remove_permission(client: &Client, name: &str, statement: &str) -> Result<(), CallError> {
    let rest = format!("/policy/{}", encode(statement));
    match client.send(function("RemovePermission", Method::DELETE, "2015-03-31", name, &rest)).await {
        Err(error) if error.is_not_found() => Ok(()),
        answer => answer.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_url() {
        let url = UrlConfig {
            function_url: "http://abc123.lambda-url.localhost:4566/".into(),
            auth_type: "NONE".into(),
        };
        assert_eq!(
            url.path_form("http://127.0.0.1:4566").as_deref(),
            Some("http://127.0.0.1:4566/_url/abc123/")
        );
        assert_eq!(UrlConfig::default().path_form("http://a"), None);
    }

    #[test]
    fn names_are_encoded() {
        let request = function("GetFunction", Method::GET, "2015-03-31", "a/b:c", "");
        assert_eq!(request.path, "/2015-03-31/functions/a%2Fb%3Ac");
    }
}
