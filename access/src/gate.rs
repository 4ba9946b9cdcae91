//! The two questions asked of every request: who is it, and may they.

use crate::policy::{Context, Document};
use crate::{Denied, FunctionClaims, FunctionCredentials, Identity, Keys, Permit, RequestFacts};
use http::request::Parts;
use model::Place;
use world::World;

/// Identifies and authorizes.
pub struct Access {
    keys: Keys,
    place: Place,
    world: World,
}

/// What a caller wants to do, and what the resource itself says about it.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Such as `lambda:InvokeFunction`.
    pub action: &'a str,
    /// An ARN, or `*`.
    pub resource: &'a str,
    /// The resource's own policy, where it has one.
    pub policy: Option<&'a Document>,
    /// Condition keys and their values.
    pub context: &'a Context,
}

impl Access {
    /// Access control for one account and region.
    pub fn new(keys: Keys, place: Place, world: World) -> Self {
        Self { keys, place, world }
    }

    /// Verifies the signature of a request with a fully read `body`. `service` is the signing name that the
    /// credential scope must carry.
    pub fn identify(&self, parts: &Parts, body: &[u8], service: &str) -> Result<Identity, Denied> {
        let _ = (parts, body, service, &self.keys, &self.place, &self.world);
        todo!()
    }

    /// The visitor of a function URL whose AuthType is NONE. Holds no right but those a resource policy grants
    /// to everyone.
    pub fn visitor(&self) -> Identity {
        Identity(model::Caller::anonymous())
    }

    /// Whether `identity` may do what it asks.
    pub fn authorize(&self, identity: Identity, ask: Ask<'_>, facts: RequestFacts) -> Result<Permit, Denied> {
        let _ = (identity, ask, facts);
        todo!()
    }

    /// Credentials for one instance of a function, valid until its claims expire.
    pub fn function_credentials(&self, claims: &FunctionClaims) -> FunctionCredentials {
        let _ = claims;
        todo!()
    }

    /// The root principal's credentials, to sign URLs that the platform hands out itself.
    pub fn root(&self) -> &crate::RootKey {
        self.keys.root()
    }
}
