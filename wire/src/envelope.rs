//! Errors on the wire: one envelope per protocol.

use crate::codec::{Codec, Element, xml_members};
use crate::message::{document, stamp};
use crate::{Dialect, Error, Kind, Location, Protocol, Shape, Value, rest};
use bytes::Bytes;
use http::Response;
use http::header::{HeaderValue, RETRY_AFTER};
use serde_json::{Map, Value as Json};

/// Writes an error as the client's protocol carries errors.
pub fn encode_error(dialect: Dialect, error: &Error, request_id: &str) -> Response<Bytes> {
    let mut response = match dialect.protocol {
        Protocol::RestJson => rest_json(error),
        Protocol::Json10 | Protocol::Json11 => json(dialect, error),
        Protocol::Query => query(dialect, error, request_id),
    };
    if let Some(seconds) = error.retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    stamp(&mut response, request_id);
    response
}

fn rest_json(error: &Error) -> Response<Bytes> {
    let body = body(error, Protocol::RestJson, Map::new());
    let mut response = document(error.status, Protocol::RestJson.json().media_type(), body);
    header(&mut response, "x-amzn-errortype", &error.code);
    if let Some(shape) = error.shape() {
        rest::write_headers(shape, &value(shape, error), response.headers_mut());
    }
    response
}

/// JSON services answer their own errors with 400 or 500 whatever the model says, and so they do for what is 403
/// elsewhere. What is refused before it reaches a service keeps its status.
fn json(dialect: Dialect, error: &Error) -> Response<Bytes> {
    let status = match (error.shape().is_some(), error.sender) {
        (true, true) => 400,
        (true, false) => 500,
        (false, _) if error.status == 403 => 400,
        (false, _) => error.status,
    };
    let mut members = Map::new();
    members.insert("__type".into(), Json::String(error.code.clone().into_owned()));
    let body = body(error, dialect.protocol, members);
    let mut response = document(status, dialect.protocol.json().media_type(), body);
    header(&mut response, "x-amzn-errortype", &error.code);
    if dialect.service.is_some_and(|service| service.query_compatible) {
        let side = if error.sender { "Sender" } else { "Receiver" };
        let code = format!("{};{side}", error.query_code.unwrap_or(&error.code));
        header(&mut response, "x-amzn-query-error", &code);
    }
    response
}

/// The members of the error's shape, and a message whether or not the shape has one.
fn body(error: &Error, protocol: Protocol, mut members: Map<String, Json>) -> Bytes {
    let mut has_message = false;
    if let Some(shape) = error.shape() {
        let written = protocol.json().write(shape, &value(shape, error));
        if let Ok(Json::Object(written)) = serde_json::from_slice(&written) {
            has_message = written.keys().any(|key| key.eq_ignore_ascii_case("message"));
            members.extend(written);
        }
    }
    if !has_message {
        members.insert("message".into(), Json::String(error.message.clone()));
    }
    Json::Object(members).to_string().into()
}

/// The error as a value of its shape: the message, who caused it where the shape asks, and what the service set.
fn value(shape: &'static Shape, error: &Error) -> Value {
    let fill = |field: &crate::Field| {
        if let Some((_, value)) = error.members.iter().find(|(name, _)| *name == field.name) {
            return value.clone();
        }
        let text = matches!(field.shape.kind, Kind::String) && field.location == Location::Body;
        match field.name {
            "message" | "Message" if text => Value::Str(error.message.clone()),
            "Type" if text => Value::Str(if error.sender { "User" } else { "Service" }.into()),
            _ => match (field.location, error.retry_after_s) {
                (Location::Header, Some(seconds)) if field.wire.eq_ignore_ascii_case("retry-after") => {
                    Value::Str(seconds.to_string())
                }
                _ => Value::Null,
            },
        }
    };
    Value::Struct(shape.fields().iter().map(fill).collect())
}

fn query(dialect: Dialect, error: &Error, request_id: &str) -> Response<Bytes> {
    let mut out = String::new();
    let xmlns = dialect.service.map_or("", |service| service.xmlns);
    let mut root = Element::open(&mut out, "ErrorResponse", xmlns);
    let mut inner = Element::open(root.inside(), "Error", "");
    inner.leaf("Type", if error.sender { "Sender" } else { "Receiver" });
    inner.leaf("Code", error.query_code.unwrap_or(&error.code));
    let named = error.shape().map(|shape| (shape, value(shape, error)));
    let has_message = named.as_ref().is_some_and(|(shape, _)| {
        shape.fields().iter().any(|field| field.wire.eq_ignore_ascii_case("message"))
    });
    if !has_message {
        inner.leaf("Message", &error.message);
    }
    if let Some((shape, value)) = named {
        xml_members(inner.inside(), shape, &value);
    }
    inner.close();
    root.leaf("RequestId", request_id);
    root.close();
    document(error.status, "text/xml", out.into())
}

fn header(response: &mut Response<Bytes>, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert(name, value);
    }
}
