//! Bodies that are not taken, in words that cross the wire.

use crate::body::{self, BodyError};
use wire::{Error, Operation};

/// A body that was not taken; with the operation's own error for one that is too large, where it has one.
pub(crate) fn body(why: BodyError, operation: Option<&Operation>) -> Error {
    match why {
        BodyError::TooLarge { limit_bytes } => too_large(limit_bytes, operation),
        BodyError::TooSlow { limit_s } => {
            Error::serialization(format!("The request body was not complete after {limit_s} seconds."))
        }
        BodyError::NeverFits { most_bytes } => too_large(most_bytes, None),
        BodyError::NoRoom => Error::unavailable(body::NO_ROOM).retry_after(1),
        BodyError::Broken(why) => Error::serialization(format!("The request body broke off: {why}.")),
    }
}

fn too_large(limit_bytes: u64, operation: Option<&Operation>) -> Error {
    let text = format!("Request must be smaller than {limit_bytes} bytes");
    let Some(operation) = operation else { return Error::request_too_large(text) };
    // AWS names the action: InvokeFunction, where the operation is Invoke.
    let action = operation.action.rsplit(':').next().unwrap_or(operation.name);
    let text = format!("{text} for the {action} operation");
    let own = operation.errors.iter().find(|shape| shape.fault().is_some_and(|fault| fault.status == 413));
    match own {
        Some(shape) => Error::modeled(shape, text),
        None => Error::request_too_large(text),
    }
}
