//! The vendor's output cases: the given result encodes to what the given response parses back to.

mod protocols;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use protocols::xml::Node;
use protocols::{shapes, values};
use serde_json::Value as Json;
use wire::{Dialect, Error, Location, Protocol, Route, Service, Shape, Value};

const REQUEST_ID: &str = "request-id";

#[test]
fn every_result_encodes_to_its_response() {
    protocols::run("output", check);
}

fn check(group: &Json, case: &Json) -> Result<(), String> {
    let service = shapes::service(group, case, None);
    let given = given(&case["response"])?;
    if case["errorCode"].is_string() {
        return check_error(group, case, service, &given);
    }
    let operation = &service.operations[0];
    let route = Route { service, operation, labels: Vec::new() };
    let result =
        operation.output.map_or(Value::Struct(Vec::new()), |shape| values::value(shape, &case["result"]));
    let mut ours = wire::encode(&route, result.clone(), REQUEST_ID);
    same("status", &given.status(), &ours.status())?;
    let Some(shape) = operation.output else { return Ok(()) };
    if given.body().is_empty() {
        ours.headers_mut().remove(CONTENT_TYPE); // ours describes the empty document that it sends instead
    } else {
        same_header("content-type", &given, &ours)?;
    }
    let shows_empty = service.protocol != Protocol::Query;
    let text = |value: &Value| values::canonical(shape, value, shows_empty);
    same("given response", &text(&result), &text(&parse(service, shape, &given, false)?))?;
    same("our response", &text(&result), &text(&parse(service, shape, &ours, false)?))
}

fn check_error(
    group: &Json,
    case: &Json,
    service: &'static Service,
    given: &Response<Bytes>,
) -> Result<(), String> {
    let shape = shapes::shape(group, &case["given"]["errors"][0]).expect("an error case names its shape");
    let members = values::value(shape, &case["error"]);
    let mut error = Error::modeled(shape, case["errorMessage"].as_str().unwrap_or_default());
    let Value::Struct(set) = &members else { return Err("an error is a structure".into()) };
    for (field, value) in shape.fields().iter().zip(set) {
        if !value.is_null() {
            error = error.with(field.name, value.clone());
        }
    }
    let dialect = Dialect { protocol: service.protocol, service: Some(service) };
    let ours = wire::encode_error(dialect, &error, REQUEST_ID);
    same("status", &given.status(), &ours.status())?;
    let expected = case["errorCode"].as_str().unwrap_or_default().to_owned();
    same("code of the given response", &expected, &code(service, given)?)?;
    same("code of our response", &expected, &code(service, &ours)?)?;
    let text = |value: &Value| values::canonical(shape, value, true);
    same("given error", &text(&members), &text(&parse(service, shape, given, true)?))?;
    same("our error", &text(&members), &text(&parse(service, shape, &ours, true)?))
}

fn given(response: &Json) -> Result<Response<Bytes>, String> {
    let mut builder = Response::builder().status(response["status_code"].as_u64().unwrap_or(200) as u16);
    for (name, value) in response["headers"].as_object().into_iter().flatten() {
        builder = builder.header(name, value.as_str().unwrap_or_default());
    }
    let body = Bytes::from(response["body"].as_str().unwrap_or_default().to_owned());
    builder.body(body).map_err(|error| error.to_string())
}

/// Reads a response as a client does. JSON documents and headers are read by the code that the input cases judge.
fn parse(
    service: &'static Service,
    shape: &'static Shape,
    response: &Response<Bytes>,
    error: bool,
) -> Result<Value, String> {
    let body = std::str::from_utf8(response.body()).map_err(|error| error.to_string())?;
    let operation = &service.operations[0];
    if service.protocol == Protocol::Query {
        if body.is_empty() {
            return Ok(Value::empty(shape));
        }
        let (outer, inner) = match error {
            true => ("ErrorResponse".to_owned(), "Error"),
            false => (format!("{}Response", operation.name), operation.result_wrapper.unwrap_or_default()),
        };
        let root = Node::parse(body)?;
        let root = root.child(&outer).ok_or_else(|| format!("no {outer} in {body}"))?;
        return Ok(root.child(inner).map_or(Value::empty(shape), |node| node.value(shape)));
    }
    let reader =
        shapes::keep(wire::Operation { input: Some(shape), path: "/", method: "POST", ..*operation });
    let mut request = http::Request::builder().method("POST").uri("/");
    if let Some(headers) = request.headers_mut() {
        headers.clone_from(response.headers());
        headers.remove(wire::REQUEST_ID); // not a member of any result
    }
    let (parts, ()) = request.body(()).map_err(|error| error.to_string())?.into_parts();
    let route = Route { service, operation: reader, labels: Vec::new() };
    let mut value = wire::decode(&route, &parts, response.body()).map_err(|error| error.to_string())?;
    if let Value::Struct(values) = &mut value {
        for (field, value) in shape.fields().iter().zip(values) {
            if field.location == Location::Status {
                *value = Value::Int(response.status().as_u16().into());
            }
        }
    }
    Ok(value)
}

/// The error code, found and cleaned as SDKs do.
fn code(service: &Service, response: &Response<Bytes>) -> Result<String, String> {
    let body = std::str::from_utf8(response.body()).map_err(|error| error.to_string())?;
    if service.protocol == Protocol::Query {
        let root = Node::parse(body)?;
        let code = root.child("ErrorResponse").and_then(|node| node.child("Error")?.child("Code"));
        return code.map(|node| node.text.clone()).ok_or_else(|| format!("no code in {body}"));
    }
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(code) = header("x-amzn-query-error") {
        return Ok(code.split(';').next().unwrap_or_default().to_owned());
    }
    let json: Json = serde_json::from_str(body).unwrap_or_default();
    let raw = header("x-amzn-errortype").or(json["__type"].as_str()).or(json["code"].as_str());
    let raw = raw.ok_or_else(|| format!("no code in {body}"))?;
    let code = raw.split(':').next().unwrap_or_default();
    Ok(code.rsplit('#').next().unwrap_or_default().to_owned())
}

fn same_header(name: &str, given: &Response<Bytes>, ours: &Response<Bytes>) -> Result<(), String> {
    match given.headers().get(name) {
        Some(value) => same(name, &Some(value), &ours.headers().get(name)),
        None => Ok(()),
    }
}

fn same<T: PartialEq + std::fmt::Debug + ?Sized>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what}: expected {expected:?}, found {found:?}")) }
}
