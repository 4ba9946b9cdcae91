//! Requests in, answers out: one match over the protocols each way.

use crate::codec::{Codec, Element, Form, Json, xml_members};
use crate::{Error, Protocol, Route, Shape, Value, rest, validate};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};

/// The header that carries the request id.
pub const REQUEST_ID: &str = "x-amzn-requestid";

static REST_JSON: Json = Json { media_type: "application/json" };
static JSON_10: Json = Json { media_type: "application/x-amz-json-1.0" };
static JSON_11: Json = Json { media_type: "application/x-amz-json-1.1" };

impl Protocol {
    /// The document codec of a protocol that reads and writes the same format.
    pub(crate) fn json(self) -> &'static Json {
        match self {
            Self::Json10 => &JSON_10,
            Self::Json11 => &JSON_11,
            Self::RestJson | Self::Query => &REST_JSON,
        }
    }
}

/// Reads a request as the input of its operation, and validates it. Operations that are not served are refused
/// by name; operations without input read as an empty structure.
pub fn decode(route: &Route, parts: &Parts, body: &Bytes) -> Result<Value, Error> {
    if !route.operation.served {
        return Err(Error::not_implemented(route.service.name, route.operation));
    }
    let Some(shape) = route.operation.input else {
        return Ok(Value::Struct(Vec::new()));
    };
    let value = match route.service.protocol {
        Protocol::RestJson => rest::read(route.service.protocol.json(), route, shape, (parts, body))?,
        Protocol::Json10 | Protocol::Json11 if body.is_empty() => Value::empty(shape),
        protocol @ (Protocol::Json10 | Protocol::Json11) => protocol.json().read(shape, body)?,
        Protocol::Query => form(shape, parts, body)?,
    };
    if value.is_null() {
        return Err(Error::serialization("The request body must hold a structure"));
    }
    validate(shape, &value).map_err(|error| error.coded(route.service.validation_code))?;
    Ok(value)
}

/// Writes the answer of an operation.
pub fn encode(route: &Route, output: Value, request_id: &str) -> Response<Bytes> {
    let (service, operation) = (route.service, route.operation);
    let mut response = match (service.protocol, operation.output) {
        (Protocol::Query, shape) => query_answer(route, shape, &output, request_id),
        (Protocol::RestJson, Some(shape)) => {
            rest::write(service.protocol.json(), operation.status, shape, output)
        }
        (Protocol::RestJson, None) => empty(operation.status),
        (protocol, Some(shape)) => {
            let codec = protocol.json();
            document(operation.status, codec.media_type(), codec.write(shape, &output).into())
        }
        (protocol, None) => {
            document(operation.status, protocol.json().media_type(), Bytes::from_static(b"{}"))
        }
    };
    stamp(&mut response, request_id);
    response
}

/// A response with a body.
pub fn document(status: u16, media_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    *response.body_mut() = body;
    response
}

/// Sets the request id.
pub fn stamp(response: &mut Response<Bytes>, request_id: &str) {
    if let Ok(value) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}

fn empty(status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn form(shape: &'static Shape, parts: &Parts, body: &Bytes) -> Result<Value, Error> {
    let mut form = Form::default();
    form.add(parts.uri.query().unwrap_or(""))?;
    form.add(std::str::from_utf8(body).map_err(|_| Error::serialization("The request body is not UTF-8"))?)?;
    form.read(shape)
}

fn query_answer(
    route: &Route,
    shape: Option<&'static Shape>,
    output: &Value,
    request_id: &str,
) -> Response<Bytes> {
    let operation = route.operation;
    let mut out = String::new();
    let name = format!("{}Response", operation.name);
    let mut root = Element::open(&mut out, &name, route.service.xmlns);
    if let Some(shape) = shape {
        match operation.result_wrapper {
            Some(wrapper) => {
                let mut result = Element::open(root.inside(), wrapper, "");
                xml_members(result.inside(), shape, output);
                result.close();
            }
            None => xml_members(root.inside(), shape, output),
        }
    }
    let mut metadata = Element::open(root.inside(), "ResponseMetadata", "");
    metadata.leaf("RequestId", request_id);
    metadata.close();
    root.close();
    document(operation.status, "text/xml", out.into())
}
