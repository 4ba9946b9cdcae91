//! Bodies that are not taken, in words that cross the wire.

use crate::body::{self, BodyError};
use wire::{Error, Operation};

/// A body that was not taken; with the operation's own error for one that is too large, where it has one.
pub(crate) fn body(why: BodyError, operation: Option<&Operation>) -> Error {
    match why {
        BodyError::TooLarge { limit_bytes } => {
            let own = operation.and_then(|operation| {
                let shape = operation.errors.iter().find(|s| s.fault().is_some_and(|f| f.status == 413))?;
                let text = format!(
                    "Request must be smaller than {limit_bytes} bytes for the {} operation",
                    operation.action.rsplit(':').next().unwrap_or(operation.name)
                );
                Some(Error::modeled(shape, text))
            });
            own.unwrap_or_else(|| Error::request_too_large(limit_bytes))
        }
        BodyError::TooSlow { limit_s } => {
            Error::serialization(format!("The request body was not complete after {limit_s} seconds."))
        }
        BodyError::NeverFits { most_bytes } => Error::request_too_large(most_bytes),
        BodyError::NoRoom => Error::unavailable(body::NO_ROOM).retry_after(1),
        BodyError::Broken(why) => Error::serialization(format!("The request body broke off: {why}.")),
    }
}
