//! The two proofs that a request collects on its way to a service.

use model::Caller;

/// Proof that a signature was verified, or that a visitor came through a public function URL.
#[derive(Debug, Clone)]
pub struct Identity(pub(crate) Caller);

impl Identity {
    /// Who it is.
    pub fn caller(&self) -> &Caller {
        &self.0
    }
}

/// What the gateway knows about a request besides its signature.
#[derive(Debug, Clone, Default)]
pub struct RequestFacts {
    /// A UUID; names the request in answers, logs and records.
    pub request_id: String,
    /// The socket peer's address, without port.
    pub source_ip: String,
    /// `http://host:port` as the client addressed the platform.
    pub endpoint: String,
    /// The `User-Agent` header.
    pub user_agent: String,
}

/// Proof that a caller may do one action on one resource. Services read it; only [`crate::Access::authorize`]
/// makes one.
#[derive(Debug, Clone)]
pub struct Permit {
    pub(crate) caller: Caller,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) request: RequestFacts,
}

impl Permit {
    /// Who may.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What they may do, such as `lambda:InvokeFunction`.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// On which resource: an ARN or `*`.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The request that asked.
    pub fn request(&self) -> &RequestFacts {
        &self.request
    }
}
