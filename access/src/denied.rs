//! Why a request was turned away.

/// Why a request was turned away, by what its sender can do about it. The texts are AWS's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request carries no signature: sign it.
    #[error("Missing Authentication Token")]
    Unsigned,
    /// The signature's parameters cannot be read: correct the client.
    #[error("{0}")]
    Incomplete(String),
    /// The signature is wrong, too old, or for another place: check key, clock, region and what was signed.
    #[error("{0}")]
    Signature(String),
    /// No such access key, or a session token that this platform did not give out: get other credentials.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// A session token past its end: get new credentials.
    #[error("The security token included in the request is expired")]
    Expired,
    /// The caller is known and may not do this: ask for permission.
    #[error("{0}")]
    NotAllowed(String),
}

impl From<Denied> for wire::Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unsigned => Self::missing_authentication_token(),
            Denied::Incomplete(text) => Self::incomplete_signature(text),
            Denied::Signature(text) => Self::invalid_signature(text),
            Denied::UnknownKey => Self::unrecognized_client(),
            Denied::Expired => Self::expired_token(),
            Denied::NotAllowed(text) => Self::access_denied(text),
        }
    }
}
