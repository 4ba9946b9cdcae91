//! Which operation a request asks for: by target, credential scope, path, or action.

mod path;
mod scope;

use crate::codec::Form;
use crate::{Error, Operation, Protocol, Service};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use path::Paths;
use std::sync::LazyLock;

pub use scope::signing_name;

/// The operation that a request asks for.
#[derive(Debug, Clone)]
pub struct Route {
    /// The service.
    pub service: &'static Service,
    /// The operation; it may be one that is not served.
    pub operation: &'static Operation,
    /// Path labels by name, percent-decoded once.
    pub labels: Vec<(&'static str, String)>,
}

/// What the head of a request tells.
#[derive(Debug, Clone)]
pub enum Routed {
    /// The operation.
    Known(Route),
    /// A form post: the operation's name is in the body.
    ByBody(Post),
}

/// A form post to a query service, which is known only where the request is signed.
#[derive(Debug, Clone)]
pub struct Post {
    services: Vec<&'static Service>,
}

/// How to write an answer to a request, whether or not it could be routed.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// The protocol.
    pub protocol: Protocol,
    /// The service, where it could be told.
    pub service: Option<&'static Service>,
}

/// A set of services behind one endpoint.
pub struct Router {
    services: Vec<(&'static Service, Paths)>,
}

static ROUTER: LazyLock<Router> = LazyLock::new(|| Router::new(crate::SERVICES));

/// Finds the operation of a request to any of this crate's services.
pub fn route(parts: &Parts) -> Result<Routed, Error> {
    ROUTER.route(parts)
}

impl Dialect {
    /// The best guess from the head of a request to any of this crate's services.
    pub fn of(parts: &Parts) -> Self {
        ROUTER.dialect(parts)
    }
}

impl From<&Route> for Dialect {
    fn from(route: &Route) -> Self {
        Self { protocol: route.service.protocol, service: Some(route.service) }
    }
}

impl Router {
    /// A router for `services`; where two could take a request, the earlier one does.
    pub fn new(services: &[&'static Service]) -> Self {
        Self { services: services.iter().map(|service| (*service, Paths::of(service.operations))).collect() }
    }

    /// Finds the operation of a request.
    pub fn route(&self, parts: &Parts) -> Result<Routed, Error> {
        let signed_for = signing_name(parts);
        let signed_for = signed_for.as_deref();
        if let Some(name) = signed_for
            && self.signed(signed_for).next().is_none()
        {
            return Err(Error::unknown_service(name));
        }
        if let Some(target) = header(parts, "x-amz-target") {
            return self.by_target(target);
        }
        if let Some(route) = self.by_path(parts, signed_for)? {
            return Ok(Routed::Known(route));
        }
        self.by_action(parts, signed_for)
    }

    /// The best guess of a request's dialect, for errors that come before or instead of a route.
    pub fn dialect(&self, parts: &Parts) -> Dialect {
        if let Ok(Routed::Known(route)) = self.route(parts) {
            return Dialect::from(&route);
        }
        let signed_for = signing_name(parts);
        let target = header(parts, "x-amz-target");
        let by_target = target.and_then(|target| self.targeted(target.rsplit_once('.')?.0));
        let signed = signed_for.as_deref().and_then(|name| self.signed(Some(name)).next());
        let service = by_target.or_else(|| signed.map(|(service, _)| *service));
        let guess = match target {
            Some(_) if content_type(parts).ends_with("json-1.0") => Protocol::Json10,
            Some(_) => Protocol::Json11,
            None if is_root(parts) && (is_form(parts) || action_in_url(parts).is_some()) => Protocol::Query,
            None => Protocol::RestJson,
        };
        Dialect { protocol: service.map_or(guess, |service| service.protocol), service }
    }

    fn signed<'a>(
        &'a self,
        name: Option<&'a str>,
    ) -> impl Iterator<Item = &'a (&'static Service, Paths)> + 'a {
        let wanted = move |service: &Service| name.is_none_or(|name| service.signing_name == name);
        self.services.iter().filter(move |(service, _)| wanted(service))
    }

    fn targeted(&self, prefix: &str) -> Option<&'static Service> {
        let known = self.services.iter().map(|(service, _)| *service);
        known.into_iter().find(|service| !prefix.is_empty() && service.target_prefix == prefix)
    }

    fn by_target(&self, target: &str) -> Result<Routed, Error> {
        let (prefix, name) = target.rsplit_once('.').unwrap_or(("", target));
        let service = self.targeted(prefix);
        let found = service.and_then(|service| Some((service, service.operation(name)?)));
        let (service, operation) = found.ok_or_else(|| Error::unknown_operation(target))?;
        Ok(Routed::Known(Route { service, operation, labels: Vec::new() }))
    }

    fn by_path(&self, parts: &Parts, signed_for: Option<&str>) -> Result<Option<Route>, Error> {
        for (service, paths) in self.signed(signed_for) {
            if service.protocol != Protocol::RestJson {
                continue;
            }
            if let Some((operation, labels)) = paths.find(&parts.method, &parts.uri)? {
                return Ok(Some(Route { service, operation, labels }));
            }
        }
        Ok(None)
    }

    fn by_action(&self, parts: &Parts, signed_for: Option<&str>) -> Result<Routed, Error> {
        let query = self.signed(signed_for).filter(|(service, _)| service.protocol == Protocol::Query);
        let post = Post { services: query.map(|(service, _)| *service).collect() };
        if is_root(parts) && !post.services.is_empty() {
            if let Some(query) = action_in_url(parts) {
                return post.find(query).map(Routed::Known);
            }
            if is_form(parts) {
                return Ok(Routed::ByBody(post));
            }
        }
        Err(Error::unknown_operation(&format!("{} {}", parts.method, parts.uri.path())))
    }
}

impl Post {
    /// Finds the operation by the `Action` and `Version` in the body.
    pub fn resolve(self, body: &Bytes) -> Result<Route, Error> {
        let text = std::str::from_utf8(body);
        self.find(text.map_err(|_| Error::serialization("The request body is not UTF-8"))?)
    }

    fn find(&self, encoded: &str) -> Result<Route, Error> {
        let mut form = Form::default();
        form.add(encoded)?;
        let Some(action) = form.text("Action") else {
            return Err(Error::missing_action());
        };
        let version = form.text("Version");
        let fits = |service: &&&'static Service| {
            version.is_none_or(|version| version == service.api_version)
                && service.operation(action).is_some()
        };
        let found = self.services.iter().find(fits);
        let found = found.and_then(|service| Some((*service, service.operation(action)?)));
        let (service, operation) = found.ok_or_else(|| {
            Error::unknown_operation(&format!("{action} for version {}", version.unwrap_or("(none)")))
        })?;
        Ok(Route { service, operation, labels: Vec::new() })
    }
}

fn header<'p>(parts: &'p Parts, name: &str) -> Option<&'p str> {
    parts.headers.get(name)?.to_str().ok()
}

fn content_type(parts: &Parts) -> &str {
    let value = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim()
}

fn is_form(parts: &Parts) -> bool {
    content_type(parts).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn is_root(parts: &Parts) -> bool {
    matches!(parts.uri.path(), "" | "/")
}

fn action_in_url(parts: &Parts) -> Option<&str> {
    parts.uri.query().filter(|query| query.split('&').any(|pair| pair.starts_with("Action=")))
}
