//! The one error that services answer with; each protocol has one envelope for it.

use crate::{Operation, Shape, Value};
use std::borrow::Cow;

/// An answer that is not a success. What the client sees is exactly what stands here.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// The code that SDKs match on.
    pub code: Cow<'static, str>,
    /// What went wrong and, where there is something to do, what.
    pub message: String,
    /// HTTP status.
    pub status: u16,
    /// Whether the caller caused it; else the service did.
    pub sender: bool,
    /// The code that query clients know, where it differs.
    pub query_code: Option<&'static str>,
    /// Further members of the error's shape.
    pub members: Vec<(&'static str, Value)>,
    /// When to try again, in seconds; sent as `Retry-After`.
    pub retry_after_s: Option<u32>,
    shape: Option<Named>,
}

/// A shape, compared by identity.
#[derive(Debug, Clone, Copy)]
struct Named(&'static Shape);

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Error {
    /// An error of the service's model, such as `wire::lambda::RESOURCE_NOT_FOUND_EXCEPTION`.
    pub fn modeled(shape: &'static Shape, message: impl Into<String>) -> Self {
        let fault = shape.fault().unwrap_or(crate::Fault::sender(400));
        let mut error = Self::plain(shape.name, fault.status, message);
        error.sender = fault.sender;
        error.query_code = fault.code;
        error.shape = Some(Named(shape));
        error
    }

    fn plain(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self {
            code: Cow::Borrowed(code),
            message: message.into(),
            status,
            sender: status < 500,
            query_code: None,
            members: Vec::new(),
            retry_after_s: None,
            shape: None,
        }
    }

    fn query(mut self, code: &'static str) -> Self {
        self.query_code = Some(code);
        self
    }

    /// The same error under another code.
    pub fn coded(mut self, code: &'static str) -> Self {
        self.code = Cow::Borrowed(code);
        self
    }

    /// The same error with another member of its shape set.
    pub fn with(mut self, member: &'static str, value: Value) -> Self {
        self.members.push((member, value));
        self
    }

    /// The same error, telling the client when to come back.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The shape, where the model has one.
    pub fn shape(&self) -> Option<&'static Shape> {
        self.shape.map(|named| named.0)
    }

    /// An operation of a model that this release does not serve.
    pub fn not_implemented(service: &str, operation: &Operation) -> Self {
        let name = operation.name;
        Self::plain(
            "NotImplementedException",
            501,
            format!("The operation {name} of {service} is not implemented by this release of Dayfly."),
        )
        .query("NotImplemented")
    }

    /// A service that this release does not have at all.
    pub fn unknown_service(signing_name: &str) -> Self {
        Self::plain(
            "NotImplementedException",
            501,
            format!("The service {signing_name:?} is not implemented by this release of Dayfly."),
        )
        .query("NotImplemented")
    }

    /// Something that a served operation could do, but not in this release. The message names it.
    pub fn not_supported(message: impl Into<String>) -> Self {
        Self::plain("NotImplementedException", 501, message).query("NotImplemented")
    }

    /// No operation has this method and path, target or action.
    pub fn unknown_operation(what: &str) -> Self {
        Self::plain("UnknownOperationException", 404, format!("There is no operation {what}."))
            .query("InvalidAction")
    }

    /// A request to a query service that does not say which operation.
    pub fn missing_action() -> Self {
        Self::plain("MissingAction", 400, "Could not find the parameter Action in the request")
    }

    /// A request that cannot be read as its operation's input.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::plain("SerializationException", 400, message).query("MalformedInput")
    }

    /// Input that breaks the model's constraints, or a rule stated in the same form.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::plain("ValidationException", 400, message).query("ValidationError")
    }

    /// Known caller, but not allowed.
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::plain("AccessDeniedException", 403, message).query("AccessDenied")
    }

    /// No signature where one is needed.
    pub fn missing_authentication_token() -> Self {
        Self::plain("MissingAuthenticationTokenException", 403, "Missing Authentication Token")
            .query("MissingAuthenticationToken")
    }

    /// A signature that is there but cannot be read.
    pub fn incomplete_signature(message: impl Into<String>) -> Self {
        Self::plain("IncompleteSignatureException", 400, message).query("IncompleteSignature")
    }

    /// A signature that does not match the request, or is out of date.
    pub fn invalid_signature(message: impl Into<String>) -> Self {
        Self::plain("InvalidSignatureException", 403, message).query("SignatureDoesNotMatch")
    }

    /// An access key or session token that nobody issued.
    pub fn unrecognized_client() -> Self {
        let message = "The security token included in the request is invalid.";
        Self::plain("UnrecognizedClientException", 403, message).query("InvalidClientTokenId")
    }

    /// A session token past its end.
    pub fn expired_token() -> Self {
        let message = "The security token included in the request is expired";
        Self::plain("ExpiredTokenException", 403, message).query("ExpiredToken")
    }

    /// A body longer than what is taken.
    pub fn request_too_large(message: impl Into<String>) -> Self {
        Self::plain("RequestEntityTooLargeException", 413, message)
    }

    /// Too many requests at once.
    pub fn throttling(message: impl Into<String>) -> Self {
        Self::plain("ThrottlingException", 429, message).query("Throttling")
    }

    /// The platform is stopping or cannot take more work.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::plain("ServiceUnavailableException", 503, message).query("ServiceUnavailable")
    }

    /// A fault of ours. The message says nothing about the inside; log the cause beside the request id.
    pub fn internal() -> Self {
        Self::plain(
            "InternalFailure",
            500,
            "The request could not be processed because of an internal failure.",
        )
    }
}
