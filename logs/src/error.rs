//! What can go wrong, by what the receiver does next. Codes and texts are AWS's.

use observe::QueryError;
use wire::{Error, logs};

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// Nothing of that name: name another.
    #[error("{0}")]
    NotFound(String),
    /// The request breaks a rule: correct it.
    #[error("{0}")]
    Invalid(String),
    /// This release cannot do it: do without.
    #[error("{0} is not implemented by this release of Dayfly.")]
    Unsupported(&'static str),
    /// The platform is at fault; the text is for its log, not for the client.
    #[error("{0}")]
    Internal(String),
}

impl LogsError {
    pub(crate) fn invalid(text: &str) -> Self {
        Self::Invalid(text.into())
    }
}

impl From<QueryError> for LogsError {
    fn from(error: QueryError) -> Self {
        let text = error.to_string();
        match error {
            QueryError::UnknownGroup | QueryError::UnknownStream => Self::NotFound(text),
            QueryError::InvalidPattern(_) | QueryError::InvalidToken => Self::Invalid(text),
            QueryError::Failed(why) => Self::Internal(why),
        }
    }
}

impl From<LogsError> for Error {
    fn from(error: LogsError) -> Self {
        let text = error.to_string();
        match error {
            LogsError::NotFound(_) => Self::modeled(&logs::RESOURCE_NOT_FOUND_EXCEPTION, text),
            LogsError::Invalid(_) => Self::modeled(&logs::INVALID_PARAMETER_EXCEPTION, text),
            LogsError::Unsupported(_) => Self::not_supported(text),
            LogsError::Internal(why) => {
                tracing::error!(why, "logs cannot be read");
                Self::modeled(
                    &logs::SERVICE_UNAVAILABLE_EXCEPTION,
                    "The service cannot complete the request.",
                )
            }
        }
    }
}
