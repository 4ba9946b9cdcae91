//! From a routed, decoded call to the method that serves it.

use crate::{Error, Operation, Service, Value};
use std::pin::Pin;

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A service behind its table. Each generated module has an adapter `Serve` that makes one from an
/// implementation of its trait.
pub trait Dispatch<Cx>: Send + Sync {
    /// The service's table.
    fn service(&self) -> &'static Service;

    /// Runs `operation` on an input that [`crate::decode`] made for it.
    fn call<'a>(
        &'a self,
        cx: &'a Cx,
        operation: &'static Operation,
        input: Value,
    ) -> BoxFuture<'a, Result<Value, Error>>;
}
