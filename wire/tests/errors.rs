//! One error in every envelope.

use http::Response;
use serde_json::Value as Json;
use wire::{Dialect, Error, Protocol, Value};

fn rest(error: &Error) -> Response<bytes::Bytes> {
    let dialect = Dialect { protocol: Protocol::RestJson, service: Some(&wire::lambda::SERVICE) };
    wire::encode_error(dialect, error, "the-id")
}

fn json(response: &Response<bytes::Bytes>) -> Json {
    serde_json::from_slice(response.body()).expect("the body is JSON")
}

#[test]
fn modeled_errors_of_rest_json() {
    let error = Error::modeled(&wire::lambda::RESOURCE_NOT_FOUND_EXCEPTION, "Function not found: f");
    let response = rest(&error);
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["x-amzn-errortype"], "ResourceNotFoundException");
    assert_eq!(response.headers()["x-amzn-requestid"], "the-id");
    assert_eq!(json(&response), serde_json::json!({"Type": "User", "Message": "Function not found: f"}));
}

#[test]
fn throttling_says_why_and_when() {
    let error = Error::modeled(&wire::lambda::TOO_MANY_REQUESTS_EXCEPTION, "Rate Exceeded.")
        .with("Reason", Value::Str("ConcurrentInvocationLimitExceeded".into()))
        .retry_after(2);
    let response = rest(&error);
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "2");
    let expected = serde_json::json!({
        "Type": "User", "message": "Rate Exceeded.", "Reason": "ConcurrentInvocationLimitExceeded",
    });
    assert_eq!(json(&response), expected);
}

#[test]
fn errors_without_a_shape() {
    let response = rest(&Error::unrecognized_client());
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["x-amzn-errortype"], "UnrecognizedClientException");
    let expected = serde_json::json!({"message": "The security token included in the request is invalid."});
    assert_eq!(json(&response), expected);
    assert_eq!(rest(&Error::request_too_large("too large")).status(), 413);
    assert_eq!(rest(&Error::internal()).status(), 500);
}

#[test]
fn json_services() {
    let dialect = Dialect { protocol: Protocol::Json11, service: Some(&wire::logs::SERVICE) };
    let missing =
        Error::modeled(&wire::logs::RESOURCE_NOT_FOUND_EXCEPTION, "The specified log group does not exist.");
    let response = wire::encode_error(dialect, &missing, "the-id");
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["content-type"], "application/x-amz-json-1.1");
    let expected = serde_json::json!({
        "__type": "ResourceNotFoundException", "message": "The specified log group does not exist.",
    });
    assert_eq!(json(&response), expected);
    assert_eq!(wire::encode_error(dialect, &Error::unrecognized_client(), "").status(), 400);
    assert_eq!(wire::encode_error(dialect, &Error::request_too_large("too large"), "").status(), 413);
}

#[test]
fn query_services() {
    let dialect = Dialect { protocol: Protocol::Query, service: Some(&wire::sts::SERVICE) };
    let response = wire::encode_error(dialect, &Error::invalid_signature("a < b & \"c\""), "the-id");
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["content-type"], "text/xml");
    let expected = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                    <Code>SignatureDoesNotMatch</Code><Message>a &lt; b &amp; &quot;c&quot;</Message></Error>\
                    <RequestId>the-id</RequestId></ErrorResponse>";
    assert_eq!(std::str::from_utf8(response.body()), Ok(expected));
}

#[test]
fn a_message_cannot_forge_a_header() {
    let error = Error::modeled(&wire::lambda::TOO_MANY_REQUESTS_EXCEPTION, "x")
        .with("retryAfterSeconds", Value::Str("1\r\nset-cookie: a=b".into()));
    let response = rest(&error);
    assert!(response.headers().get("retry-after").is_none());
    assert!(response.headers().get("set-cookie").is_none());
}
