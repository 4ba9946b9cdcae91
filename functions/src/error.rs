//! What can go wrong, by what the receiver does next. Codes and texts are AWS's.

use model::{NameError, Place};
use store::{BlobError, StoreError};
use wire::{Error, lambda};

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum FunctionsError {
    /// Nothing of that name: name another, or create it.
    #[error("{0}")]
    NotFound(String),
    /// It exists already, or another change is under way: look and decide anew.
    #[error("{0}")]
    Conflict(String),
    /// The request breaks a rule: correct it.
    #[error("{0}")]
    Invalid(String),
    /// The request breaks a constraint that the service model could have named.
    #[error("{0}")]
    Validation(String),
    /// The `RevisionId` is not the latest: read again.
    #[error(
        "The Revision Id provided does not match the latest Revision Id. Call the {0} API to retrieve the latest Revision Id"
    )]
    Stale(&'static str),
    /// This release cannot do it: do without.
    #[error("{0} is not implemented by this release of Dayfly.")]
    Unsupported(String),
    /// The final policy would be too long: remove statements.
    #[error("The final policy size ({bytes}) is bigger than the limit ({limit_bytes}).")]
    PolicyTooLong {
        /// Its size.
        bytes: usize,
        /// The most.
        limit_bytes: u64,
    },
    /// The disk has no room: free some.
    #[error("{0}")]
    Full(String),
    /// The function has no provisioned concurrency: give it some.
    #[error("No Provisioned Concurrency Config found for this function")]
    NotProvisioned,
    /// The snapshot of a published version is still being made: call it when its state is Active.
    #[error(
        "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE."
    )]
    NotReady,
    /// The platform is at fault; the text is for its log, not for the client.
    #[error("{0}")]
    Internal(String),
}

impl FunctionsError {
    /// There is no function of that ARN.
    pub(crate) fn no_function(arn: &str) -> Self {
        Self::NotFound(format!("Function not found: {arn}"))
    }

    /// What only a function as a whole has, or `$LATEST`.
    pub(crate) fn whole_only() -> Self {
        Self::Invalid(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this \
             operation. Please specify either a function name or an unqualified function ARN."
                .into(),
        )
    }

    /// A part of a function, such as its URL, does not exist.
    pub(crate) fn no_resource() -> Self {
        Self::NotFound("The resource you requested does not exist.".into())
    }

    /// A name that names nothing here.
    pub(crate) fn name(error: &NameError, place: &Place) -> Self {
        match error {
            NameError::Malformed(text) => Self::Validation(format!(
                "1 validation error detected: Value '{text}' at 'functionName' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: [a-zA-Z0-9-_]{{1,64}}"
            )),
            NameError::TwoQualifiers { .. } => Self::Invalid(
                "The derived qualifier from the function name does not match the specified qualifier.".into(),
            ),
            NameError::Elsewhere(arn) => match arn.split(':').nth(3) {
                Some(region) if region != place.region => Self::NotFound(format!(
                    "Functions from '{region}' are not reachable in this region ('{}')",
                    place.region
                )),
                _ => Self::no_function(arn),
            },
        }
    }
}

impl From<StoreError> for FunctionsError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full { .. } => Self::Full(error.to_string()),
            StoreError::Conflict { .. } => Self::Conflict(
                "The operation cannot be performed at this time. An update is in progress; try again.".into(),
            ),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<BlobError> for FunctionsError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full { .. } => Self::Full(error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<FunctionsError> for Error {
    fn from(error: FunctionsError) -> Self {
        let text = error.to_string();
        match error {
            FunctionsError::NotFound(_) => Self::modeled(&lambda::RESOURCE_NOT_FOUND_EXCEPTION, text),
            FunctionsError::Conflict(_) => Self::modeled(&lambda::RESOURCE_CONFLICT_EXCEPTION, text),
            FunctionsError::Invalid(_) => Self::modeled(&lambda::INVALID_PARAMETER_VALUE_EXCEPTION, text),
            FunctionsError::Validation(_) => Self::validation(text),
            FunctionsError::Stale(_) => Self::modeled(&lambda::PRECONDITION_FAILED_EXCEPTION, text),
            FunctionsError::Unsupported(_) => Self::not_supported(text),
            FunctionsError::PolicyTooLong { .. } => {
                Self::modeled(&lambda::POLICY_LENGTH_EXCEEDED_EXCEPTION, text)
            }
            FunctionsError::Full(_) => Self::modeled(&lambda::CODE_STORAGE_EXCEEDED_EXCEPTION, text),
            FunctionsError::NotProvisioned => {
                Self::modeled(&lambda::PROVISIONED_CONCURRENCY_CONFIG_NOT_FOUND_EXCEPTION, text)
            }
            FunctionsError::NotReady => Self::modeled(&lambda::SNAP_START_NOT_READY_EXCEPTION, text),
            FunctionsError::Internal(why) => {
                tracing::error!(why, "a function operation failed");
                Self::modeled(
                    &lambda::SERVICE_EXCEPTION,
                    "The service encountered an internal error. Its log says more.",
                )
            }
        }
    }
}
