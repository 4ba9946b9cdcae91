//! The two questions asked of every request: who is it, and may they.

use crate::canonical::PathRule;
use crate::claim::Claim;
use crate::policy::{Context, Decision, Document, Request};
use crate::verify::{self, Expected};
use crate::{
    Denied, FunctionClaims, FunctionCredentials, Identity, Keys, Permit, RequestFacts, scrape, session,
};
use http::request::Parts;
use model::{Caller, CallerKind, Place};
use world::World;

/// The one action that every signed caller may do.
const WHO_AM_I: &str = "sts:GetCallerIdentity";

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
    /// credential scope must carry. The platform's own service also knows the bearer of the metrics token.
    pub fn identify(&self, parts: &Parts, body: &[u8], service: &str) -> Result<Identity, Denied> {
        if let (scrape::SERVICE, Some(token)) = (service, scrape::token(parts)) {
            let caller = scrape::caller(token, self.keys.root(), &self.place);
            return caller.map(Identity).ok_or(Denied::UnknownKey);
        }
        self.identify_by(PathRule::of(service), parts, body, service)
    }

    pub(crate) fn identify_by(
        &self,
        rule: PathRule,
        parts: &Parts,
        body: &[u8],
        service: &str,
    ) -> Result<Identity, Denied> {
        let claim = Claim::read(parts)?;
        let expected = Expected { region: &self.place.region, service, now: self.world.now(), rule };
        let (caller, secret) = self.bearer(&claim)?;
        verify::check_scope_and_age(&claim, &expected)?;
        verify::check_signature(parts, body, (&claim, &secret), &expected)?;
        Ok(Identity(caller))
    }

    /// The visitor of a function URL whose AuthType is NONE. Holds no right but those that a resource policy
    /// grants to everyone.
    pub fn visitor(&self) -> Identity {
        Identity(Caller::anonymous())
    }

    /// Whether `identity` may do what it asks. Root may do everything that no resource policy denies; a function
    /// may ask who it is, and what resource policies grant it; a visitor only the latter.
    pub fn authorize(&self, identity: Identity, ask: Ask<'_>, facts: RequestFacts) -> Result<Permit, Denied> {
        let Identity(caller) = identity;
        self.decide(&caller, ask)?;
        Ok(Permit { caller, action: ask.action.into(), resource: ask.resource.into(), request: facts })
    }

    /// Whether `identity` may call a function by its URL. As on AWS since November 2026 that takes both
    /// `lambda:InvokeFunctionUrl` and, via a URL, `lambda:InvokeFunction`.
    pub fn authorize_url(
        &self,
        identity: Identity,
        (function_arn, auth_type): (&str, &str),
        policy: Option<&Document>,
        facts: RequestFacts,
    ) -> Result<Permit, Denied> {
        let by_url = Context::default().with("lambda:FunctionUrlAuthType", auth_type);
        let invoke = Context::default().with("lambda:InvokedViaFunctionUrl", "true");
        let resource = function_arn;
        let plain = Ask { action: "lambda:InvokeFunction", resource, policy, context: &invoke };
        self.decide(identity.caller(), plain)?;
        let ask = Ask { action: "lambda:InvokeFunctionUrl", resource, policy, context: &by_url };
        self.authorize(identity, ask, facts)
    }

    /// Credentials for one instance of a function, valid until its claims expire.
    pub fn function_credentials(&self, claims: &FunctionClaims) -> FunctionCredentials {
        session::issue(&self.keys, claims)
    }

    /// The root principal's key, to sign URLs that the platform hands out itself.
    pub fn root(&self) -> &crate::RootKey {
        self.keys.root()
    }

    fn bearer(&self, claim: &Claim) -> Result<(Caller, String), Denied> {
        let root = self.keys.root();
        match &claim.token {
            None if claim.access_key == root.access_key => {
                let caller = Caller {
                    kind: CallerKind::Root,
                    arn: self.place.root_arn(),
                    account: self.place.account.clone(),
                    user_id: self.place.account.clone(),
                    instance: String::new(),
                    access_key: root.access_key.clone(),
                };
                Ok((caller, root.secret_key.clone()))
            }
            Some(token) => {
                let key = claim.access_key.as_str();
                let (claims, secret) = session::open(&self.keys, (key, token), self.world.now())?;
                Ok((session::caller(&claims, key), secret))
            }
            None => Err(Denied::UnknownKey),
        }
    }

    fn decide(&self, caller: &Caller, ask: Ask<'_>) -> Result<(), Denied> {
        let Ask { action, resource, policy, context } = ask;
        let said = policy
            .map_or(Decision::Silent, |policy| policy.decide(Request { caller, action, resource, context }));
        let why = match (said, caller.kind) {
            (Decision::Deny, _) => "with an explicit deny in a resource-based policy".to_owned(),
            (Decision::Allow, kind) if kind != CallerKind::Scraper => return Ok(()),
            (Decision::Silent, CallerKind::Root) if self.owns(resource) => return Ok(()),
            (Decision::Silent, CallerKind::Function) if action == WHO_AM_I => return Ok(()),
            (Decision::Silent, CallerKind::Scraper) if action == scrape::ACTION => return Ok(()),
            (Decision::Silent, CallerKind::Function) | (_, CallerKind::Scraper) => {
                format!("because no identity-based policy allows the {action} action")
            }
            (_, CallerKind::Root | CallerKind::Function | CallerKind::Anonymous) => {
                format!("because no resource-based policy allows the {action} action")
            }
        };
        let who = if caller.kind == CallerKind::Anonymous { "anonymous" } else { &caller.arn };
        let text =
            format!("User: {who} is not authorized to perform: {action} on resource: {resource} {why}");
        Err(Denied::NotAllowed(text))
    }

    /// Whether a resource is of this account; ARNs without an account, and `*`, are of every one.
    fn owns(&self, resource: &str) -> bool {
        let account = resource.split(':').nth(4).unwrap_or_default();
        !resource.starts_with("arn:") || account.is_empty() || account == self.place.account
    }
}
