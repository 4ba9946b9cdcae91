//! Invoke.

use crate::catalog::Entry;
use crate::{Functions, FunctionsError};
use access::Permit;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use invoke::{Answer, Done, Refused};
use model::{Call, FunctionAddress, limit};
use serde::de::IgnoredAny;
use wire::lambda::{self, InvocationRequest, InvocationResponse, InvocationType, LogType};
use wire::{Error, Value};

const OK: i32 = 200;
const NO_CONTENT: i32 = 204;
/// What a function gets where the client sent nothing.
const EMPTY_EVENT: &[u8] = b"{}";

pub(super) async fn invoke(
    functions: &Functions,
    cx: &Permit,
    input: InvocationRequest,
) -> Result<InvocationResponse, Error> {
    let (address, entry) = functions.find(&input.function_name, input.qualifier.as_deref())?;
    check_served(&input)?;
    check_payload(input.payload.as_deref().unwrap_or_default())?;
    let client_context = input.client_context.as_deref().map(client_context).transpose()?;
    check_state(functions, &entry, &address)?;
    let executed_version = Some(entry.version.version.clone());
    if input.invocation_type == Some(InvocationType::DryRun) {
        return Ok(InvocationResponse {
            status_code: Some(NO_CONTENT),
            executed_version,
            ..InvocationResponse::default()
        });
    }
    let payload = input.payload.filter(|payload| !payload.is_empty());
    let call = Call {
        request_id: cx.request().request_id.clone(),
        payload: payload.unwrap_or(Bytes::from_static(EMPTY_EVENT)),
        exchange: false,
        invoked_arn: functions.place().function_arn(&address.name, address.qualifier.as_deref()),
        client_context,
        trace: None,
        caller: cx.caller().arn.clone(),
        from: cx.caller().instance.clone(),
        tail: input.log_type == Some(LogType::Tail),
    };
    let runner = functions.runner();
    if !call.tail {
        let outcome = runner.answer(&entry.version, call).await.map_err(refusal)?;
        return Ok(answer(outcome, None, executed_version));
    }
    let Done { outcome, tail, .. } = runner.invoke(&entry.version, call).await.map_err(refusal)?;
    Ok(answer(outcome, tail, executed_version))
}

fn answer(outcome: Answer, tail: Option<Vec<u8>>, executed_version: Option<String>) -> InvocationResponse {
    let (function_error, payload) = match outcome {
        Answer::Returned(payload) => (None, payload),
        Answer::Failed(payload) => (Some("Unhandled".to_owned()), payload),
    };
    InvocationResponse {
        status_code: Some(OK),
        function_error,
        log_result: tail.map(|tail| BASE64_STANDARD.encode(tail)),
        payload: Some(payload),
        executed_version,
        durable_execution_arn: None,
    }
}

fn check_served(input: &InvocationRequest) -> Result<(), FunctionsError> {
    let unsupported = |what: &str| Err(FunctionsError::Unsupported(what.into()));
    if input.invocation_type == Some(InvocationType::Event) {
        return unsupported("InvocationType Event");
    }
    if input.tenant_id.is_some() {
        return unsupported("TenantId");
    }
    if input.durable_execution_name.is_some() {
        return unsupported("DurableExecutionName");
    }
    Ok(())
}

fn check_payload(payload: &[u8]) -> Result<(), Error> {
    const MOST: u64 = limit("sync-payload");
    let bytes = payload.len();
    if bytes as u64 > MOST {
        let text = format!(
            "{bytes} byte payload is too large for the RequestResponse invocation type (limit {MOST} bytes)"
        );
        return Err(Error::modeled(&lambda::REQUEST_TOO_LARGE_EXCEPTION, text));
    }
    if payload.is_empty() {
        return Ok(());
    }
    let parsed = std::str::from_utf8(payload)
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_str::<IgnoredAny>(text).map_err(|error| error.to_string()));
    parsed.map(drop).map_err(|why| {
        let text = format!("Could not parse request body into json: {why}");
        Error::modeled(&lambda::INVALID_REQUEST_CONTENT_EXCEPTION, text)
    })
}

/// The decoded JSON of `X-Amz-Client-Context`.
fn client_context(encoded: &str) -> Result<String, Error> {
    let refuse = |text: &str| Error::modeled(&lambda::INVALID_REQUEST_CONTENT_EXCEPTION, text);
    if encoded.len() as u64 > limit("client-context-bytes") {
        return Err(refuse("Client context must be at most 3583 bytes of Base64."));
    }
    let decoded = BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded
        .filter(|text| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok())
        .ok_or_else(|| refuse("Client context must be a valid Base64-encoded JSON object."))
}

fn check_state(
    functions: &Functions,
    entry: &Entry,
    address: &FunctionAddress,
) -> Result<(), FunctionsError> {
    if functions.is_pending(&entry.version) {
        return Err(FunctionsError::NotReady);
    }
    let Some(damage) = &entry.damage else { return Ok(()) };
    let arn = functions.place().function_arn(&address.name, None);
    Err(FunctionsError::Conflict(format!(
        "The operation cannot be performed at this time. The function is currently in the following state: \
         Failed ({arn}: {damage})"
    )))
}

fn refusal(refused: Refused) -> Error {
    let text = refused.to_string();
    match refused {
        Refused::Throttled { reason, limit, lifted_by, retry_after_s } => {
            let text = format!("Rate Exceeded. The limit {limit} is reached; what lifts it: {lifted_by}");
            Error::modeled(&lambda::TOO_MANY_REQUESTS_EXCEPTION, text)
                .with("Reason", Value::Str(reason.into()))
                .retry_after(retry_after_s)
        }
        Refused::Looped => Error::modeled(&lambda::RECURSIVE_INVOCATION_EXCEPTION, text),
        Refused::MissingRuntime(why) => Error::modeled(&lambda::INVALID_RUNTIME_EXCEPTION, why),
        Refused::Sandbox(why) => {
            tracing::error!(why, "no sandbox could be made");
            Error::modeled(&lambda::SERVICE_EXCEPTION, text)
        }
        Refused::ShuttingDown => Error::unavailable("The platform is shutting down."),
    }
}
