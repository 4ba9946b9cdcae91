//! Which operation a request asks for.

use crate::{Error, Operation, Protocol, Service};
use bytes::Bytes;
use http::request::Parts;

/// The operation that a request asks for.
#[derive(Debug, Clone)]
pub struct Route {
    /// The service.
    pub service: &'static Service,
    /// The operation; it may be one that is not served.
    pub operation: &'static Operation,
    /// Path labels by name, percent-decoded once.
    pub labels: Vec<(&'static str, String)>,
}

/// What the head of a request tells.
#[derive(Debug, Clone)]
pub enum Routed {
    /// The operation.
    Known(Route),
    /// A form post: the operation's name is in the body.
    ByBody(Form),
}

/// A form post to a query service.
#[derive(Debug, Clone)]
pub struct Form {
    service: &'static Service,
}

/// How to write an answer to a request, whether or not it could be routed.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// The protocol.
    pub protocol: Protocol,
    /// The service, where it could be told.
    pub service: Option<&'static Service>,
}

impl Dialect {
    /// The best guess from the head of a request.
    pub fn of(_parts: &Parts) -> Self {
        Self { protocol: Protocol::RestJson, service: None }
    }
}

/// Finds the operation by target, credential scope, path or action.
pub fn route(parts: &Parts) -> Result<Routed, Error> {
    Err(Error::unknown_operation(parts.uri.path()))
}

impl Form {
    /// Finds the operation by the `Action` in the body.
    pub fn resolve(self, _body: &Bytes) -> Result<Route, Error> {
        Err(Error::unknown_operation(self.service.name))
    }
}
