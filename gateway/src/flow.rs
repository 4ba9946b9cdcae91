//! How a request walks: route → identify → authorize → admit → call → record.
//!
//! A service sees a request only with a [`Permit`], and only this file asks for one.

use crate::body::{Body, Bound};
use crate::lookout::Activity;
use crate::{Gateway, body, refusal, resource, url};
use access::policy::Context;
use access::{Ask, Identity, Permit, RequestFacts};
use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use wire::{Dialect, Error, Operation, Route, Routed, Value};
use world::Share;

/// Of an operation that carries no code and no event.
const CONTROL: Bound = Bound { limit_bytes: 1024 * 1024, held_percent: 200 };

/// Answers one request. Never fails: what goes wrong becomes the error that the client's protocol knows.
pub(crate) async fn walk(gateway: &Gateway, request: Request<Incoming>, peer: SocketAddr) -> Response<Bytes> {
    let (parts, body) = request.into_parts();
    if !has_one_host(&parts) {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    }
    let facts = facts(gateway, &parts, peer);
    if let Some((url_id, path)) = url::address(&parts) {
        let (url_id, path) = (url_id.to_owned(), path.to_owned());
        return url::walk(gateway, url::Visit { parts, body, url_id, path, facts }).await;
    }
    let request_id = facts.request_id.clone();
    match api(gateway, &parts, body, facts).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(request_id, code = %error.code, "refused");
            let mut response = wire::encode_error(Dialect::of(&parts), &error, &request_id);
            if let Some(seconds) = error.retry_after_s {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
    }
}

/// RFC 9112, 3.2: a request that names no host, or two, means different things to different readers.
fn has_one_host(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => true,
        (None, _) => parts.version < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

async fn api(
    gateway: &Gateway,
    parts: &Parts,
    body: Incoming,
    facts: RequestFacts,
) -> Result<Response<Bytes>, Error> {
    let (route, body, _share) = route(gateway, parts, body).await?;
    let missing = || Error::not_implemented(route.service.name, route.operation);
    if !route.operation.served && route.operation.unsigned {
        return Err(missing());
    }
    let identity = identify(gateway, parts, &body, &route)?;
    if !route.operation.served {
        return Err(missing());
    }
    let input = wire::decode(&route, parts, &body)?;
    drop(body);
    let permit = authorize(gateway, identity, route.operation, &input, facts)?;
    let _running = gateway.admit()?;
    let output = call(gateway, &permit, &route, input).await?;
    let response = wire::encode(&route, output, &permit.request().request_id);
    record(&permit, &route, &response);
    Ok(response)
}

async fn route(gateway: &Gateway, parts: &Parts, body: Incoming) -> Result<(Route, Bytes, Share), Error> {
    let routed = wire::route(parts)?;
    let (operation, bound) = match &routed {
        Routed::Known(route) => (Some(route.operation), body_bound(route.operation)),
        Routed::ByBody(_) => (None, CONTROL),
    };
    let Body { bytes, share } =
        body::read(parts, body, bound, &gateway.world).await.map_err(|why| refusal::body(why, operation))?;
    // An event goes on as it came, and its call may outlive its client.
    let is_event = operation.is_some_and(|operation| operation.name == "Invoke");
    let (body, share) = if is_event { (share.around(bytes), Share::default()) } else { (bytes, share) };
    let route = match routed {
        Routed::Known(route) => route,
        Routed::ByBody(form) => form.resolve(&body)?,
    };
    Ok((route, body, share))
}

fn body_bound(operation: &Operation) -> Bound {
    match operation.name {
        "Invoke" => Bound { limit_bytes: model::limit("sync-payload"), held_percent: 100 },
        // The package is held beside the text that it is decoded from.
        "CreateFunction" | "UpdateFunctionCode" => {
            Bound { limit_bytes: model::limit("api-body"), held_percent: 175 }
        }
        _ => CONTROL,
    }
}

fn identify(gateway: &Gateway, parts: &Parts, body: &Bytes, route: &Route) -> Result<Identity, Error> {
    Ok(gateway.access.identify(parts, body, route.service.signing_name)?)
}

fn authorize(
    gateway: &Gateway,
    identity: Identity,
    operation: &Operation,
    input: &Value,
    facts: RequestFacts,
) -> Result<Permit, Error> {
    let named = resource::of(operation, input, &gateway.place)?;
    let policy = named.function.as_ref().and_then(|address| gateway.functions.policy(address));
    let context = Context::default();
    let ask =
        Ask { action: operation.action, resource: &named.arn, policy: policy.as_deref(), context: &context };
    Ok(gateway.access.authorize(identity, ask, facts)?)
}

async fn call(gateway: &Gateway, permit: &Permit, route: &Route, input: Value) -> Result<Value, Error> {
    let service = gateway
        .services
        .get(route.service.name)
        .ok_or_else(|| Error::not_implemented(route.service.name, route.operation))?;
    service.call(permit, route.operation, input).await
}

fn record(permit: &Permit, route: &Route, response: &Response<Bytes>) {
    tracing::debug!(
        request_id = permit.request().request_id,
        caller = permit.caller().arn,
        action = permit.action(),
        resource = permit.resource(),
        operation = route.operation.name,
        status = response.status().as_u16(),
        "served"
    );
}

fn facts(gateway: &Gateway, parts: &Parts, peer: SocketAddr) -> RequestFacts {
    let header = |name| parts.headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).unwrap_or("");
    RequestFacts {
        request_id: gateway.world.uuid(),
        source_ip: peer.ip().to_string(),
        endpoint: format!("http://{}", header(HOST)),
        user_agent: header(USER_AGENT).to_owned(),
    }
}

/// Counts a request as running until it is dropped.
pub(crate) struct Running<'a>(&'a Activity);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Gateway {
    /// Lets a permitted request in unless the platform is stopping.
    pub(crate) fn admit(&self) -> Result<Running<'_>, Error> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Error::unavailable("Dayfly is stopping; try again when it is back.").retry_after(1));
        }
        self.activity.begin(|| self.world.moment());
        Ok(Running(&self.activity))
    }
}
