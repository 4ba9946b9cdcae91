//! Requests in, responses out.

use crate::{Dialect, Error, Route, Shape, Value};
use bytes::Bytes;
use http::Response;
use http::request::Parts;

/// Reads a request as the input of its operation, and validates it.
pub fn decode(route: &Route, _parts: &Parts, _body: &Bytes) -> Result<Value, Error> {
    Err(Error::not_implemented(route.service.name, route.operation))
}

/// Checks a value against the constraints of its shape.
pub fn validate(_shape: &'static Shape, _value: &Value) -> Result<(), Error> {
    Ok(())
}

/// Writes the answer of an operation.
pub fn encode(_route: &Route, _output: Value, _request_id: &str) -> Response<Bytes> {
    Response::new(Bytes::new())
}

/// Writes an error.
pub fn encode_error(_dialect: Dialect, _error: &Error, _request_id: &str) -> Response<Bytes> {
    Response::new(Bytes::new())
}
