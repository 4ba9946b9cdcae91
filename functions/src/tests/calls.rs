//! Invoke.

use super::stage::{ARN, Stage};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

/// Headers, body, and the status, code and part of the message that answer them.
type Refusal = (&'static [(&'static str, &'static str)], Bytes, u16, &'static str, &'static str);

const INVOKE: &str = "/2015-03-31/functions/hello/invocations";

#[tokio::test]
async fn events_go_in_and_results_come_out() {
    let stage = Stage::with_hello().await;
    let context = BASE64_STANDARD.encode(r#"{"client":{}}"#);
    let headers = [("x-amz-log-type", "Tail"), ("x-amz-client-context", context.as_str())];
    let answer = stage.send("POST", INVOKE, &headers, r#"{"a":1}"#.into()).await;
    assert_eq!((answer.status, &answer.body[..]), (200, br#"{"a":1}"#.as_slice()));
    assert_eq!(answer.header("x-amz-executed-version"), "$LATEST");
    assert_eq!(answer.header("x-amz-log-result"), BASE64_STANDARD.encode("START\n"));
    assert!(answer.headers.get("x-amz-function-error").is_none());
    let (version, call) = stage.echo.calls.lock().expect("not poisoned").pop().expect("a call");
    assert_eq!((version.handler.as_str(), version.log_group.as_str()), ("app.handler", "/aws/lambda/hello"));
    assert_eq!(call.client_context.as_deref(), Some(r#"{"client":{}}"#));
    assert_eq!((call.invoked_arn.as_str(), call.caller.as_str()), (ARN, "arn:aws:iam::000000000000:root"));
    assert_eq!((call.tail, call.request_id.len()), (true, 36));

    let empty = stage.send("POST", &format!("{INVOKE}?Qualifier=$LATEST"), &[], Bytes::new()).await;
    assert_eq!((empty.status, &empty.body[..]), (200, b"{}".as_slice()));
    let call = stage.echo.calls.lock().expect("not poisoned").pop().expect("a call").1;
    assert_eq!((call.invoked_arn, call.tail), (format!("{ARN}:$LATEST"), false));
}

#[tokio::test]
async fn dry_runs_run_nothing() {
    let stage = Stage::with_hello().await;
    let answer = stage.send("POST", INVOKE, &[("x-amz-invocation-type", "DryRun")], "1".into()).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert!(stage.echo.calls.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn a_function_that_fails_is_still_a_200() {
    let stage = Stage::with_hello().await;
    let answer = stage.send("POST", INVOKE, &[], r#""fail""#.into()).await;
    assert_eq!((answer.status, answer.header("x-amz-function-error")), (200, "Unhandled"));
    assert_eq!(&answer.body[..], br#"{"errorMessage":"boom","errorType":"E"}"#);
}

#[tokio::test]
async fn calls_that_do_not_run_say_why() {
    let stage = Stage::with_hello().await;
    let large = format!("\"{}\"", "x".repeat(6 * 1024 * 1024 - 1));
    let too_large =
        "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)";
    let json = "Could not parse request body into json: ";
    let context = "Client context must be a valid Base64-encoded JSON object.";
    let rows: &[Refusal] = &[
        (&[], large.into(), 413, "RequestTooLargeException", too_large),
        (&[], "{".into(), 400, "InvalidRequestContentException", json),
        (&[], "{} {}".into(), 400, "InvalidRequestContentException", json),
        (&[], Bytes::from_static(b"\"\xff\""), 400, "InvalidRequestContentException", json),
        (&[("x-amz-client-context", "e30")], "1".into(), 400, "InvalidRequestContentException", context),
        (&[("x-amz-client-context", "W10=")], "1".into(), 400, "InvalidRequestContentException", context),
        (
            &[("x-amz-invocation-type", "Event")],
            "1".into(),
            501,
            "NotImplementedException",
            "InvocationType Event is",
        ),
        (
            &[("x-amz-tenant-id", "t")],
            "1".into(),
            501,
            "NotImplementedException",
            "TenantId is not implemented",
        ),
        (&[], r#""throttle""#.into(), 429, "TooManyRequestsException", "dayfly up --concurrency"),
        (&[], r#""no runtime""#.into(), 502, "InvalidRuntimeException", "python3.12 is not installed"),
        (&[], r#""no sandbox""#.into(), 500, "ServiceException", "no sandbox could be made"),
        (&[], r#""stopping""#.into(), 503, "ServiceUnavailableException", "shutting down"),
    ];
    for (headers, body, status, code, message) in rows {
        let answer = stage.send("POST", INVOKE, headers, body.clone()).await;
        assert_eq!(answer.code(), (*status, *code), "{message}");
        assert!(answer.message().contains(message), "{}", answer.message());
    }
    let throttled = stage.send("POST", INVOKE, &[], r#""throttle""#.into()).await;
    assert_eq!(throttled.header("retry-after"), "2");
    assert_eq!(throttled.json()["Reason"], "ConcurrentInvocationLimitExceeded");
    let missing = stage.send("POST", &format!("{INVOKE}?Qualifier=7"), &[], "1".into()).await;
    assert_eq!(missing.message(), format!("Function not found: {ARN}:7"));
}
