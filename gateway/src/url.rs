//! Function URLs: a plain HTTP request in, the function's answer as a plain HTTP response out.
//!
//! The same six steps as [`crate::flow`], for callers who may hold no key at all.

use crate::answer::{self, Unusable};
use crate::body::{Body, BodyError, Bound};
use crate::connections::Side;
use crate::event::{self, Facts};
use crate::ports::{UrlAuth, UrlTarget};
use crate::{Gateway, body, cors, exchange};
use access::{Permit, RequestFacts};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use invoke::{Answer, Refused};
use model::{Call, Language};
use wire::Error;
use world::{Share, World};

/// The event is as long as its body, or a third longer where the body is not text.
const BOUND: Bound = Bound { limit_bytes: model::limit("sync-payload"), held_percent: 134 };

const HOST_MARK: &str = ".lambda-url.";
const PATH_MARK: &str = "/_url/";

/// One request to a function URL.
pub(crate) struct Visit {
    pub(crate) parts: Parts,
    pub(crate) body: Incoming,
    pub(crate) url_id: String,
    /// As the function shall see it.
    pub(crate) path: String,
    pub(crate) facts: RequestFacts,
}

/// The URL id and the function's path, where the request addresses a function URL by host or by path.
pub(crate) fn address(parts: &Parts) -> Option<(&str, &str)> {
    let path = parts.uri.path();
    if let Some(rest) = path.strip_prefix(PATH_MARK) {
        let end = rest.find('/').unwrap_or(rest.len());
        let own = if rest[end..].is_empty() { "/" } else { &rest[end..] };
        return Some((&rest[..end], own));
    }
    let host = parts.headers.get(HOST)?.to_str().ok()?;
    let (url_id, _domain) = host.split_once(HOST_MARK)?;
    Some((url_id, path))
}

pub(crate) async fn walk(gateway: &Gateway, visit: Visit) -> Response<Bytes> {
    let request_id = visit.facts.request_id.clone();
    let head_only = visit.parts.method == Method::HEAD;
    let mut response = answered(gateway, visit).await;
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amzn-requestid", value);
    }
    if head_only {
        *response.body_mut() = Bytes::new();
    }
    response
}

async fn answered(gateway: &Gateway, visit: Visit) -> Response<Bytes> {
    let Some(target) = gateway.functions.url(&visit.url_id) else {
        return refused(StatusCode::NOT_FOUND, "No function has this URL.");
    };
    let Some(cors) = target.cors.clone() else { return called(gateway, &target, visit).await };
    let request_headers = visit.parts.headers.clone();
    let preflight = cors::is_preflight(&visit.parts);
    let mut response = if preflight { Response::default() } else { called(gateway, &target, visit).await };
    cors::apply(&cors, &request_headers, response.headers_mut(), preflight);
    response
}

async fn called(gateway: &Gateway, target: &UrlTarget, visit: Visit) -> Response<Bytes> {
    let Visit { parts, body, url_id, path, facts } = visit;
    let Body { bytes: body, mut share } = match body::read(&parts, body, BOUND, &gateway.world).await {
        Ok(body) => body,
        Err(why) => return body_refused(&why),
    };
    let permit = match permit(gateway, target, &parts, &body, facts) {
        Ok(permit) => permit,
        Err(error) => return denied(&error),
    };
    let _running = match gateway.admit() {
        Ok(running) => running,
        Err(error) => return refused(StatusCode::SERVICE_UNAVAILABLE, &error.message),
    };
    let way = body::way(&parts);
    let mut call =
        call(gateway, target, &Request { parts: &parts, body: &body, url_id: &url_id, path: &path }, &permit);
    // Nothing of the request is held while it is answered: its connection reads the next one into the same memory.
    drop((parts, body));
    let event_bytes = call.payload.len() as u64;
    if !Share::is_trifle(event_bytes) && !gateway.world.room().try_grow(&mut share, way, event_bytes) {
        return body_refused(&BodyError::NoRoom);
    }
    call.payload = share.around(call.payload);
    let (request_id, exchange) = (call.request_id.clone(), call.exchange);
    match gateway.engine.answer(&target.version, call).await {
        Ok(answer) => answered_response(answer, exchange, &gateway.world).unwrap_or_else(|why| {
            let remark = format!("RequestId: {request_id} was answered with 502: {}", why.0);
            gateway.engine.remark(&target.version, &remark);
            refused(StatusCode::BAD_GATEWAY, "Internal Server Error")
        }),
        Err(why) => engine_refused(&why),
    }
}

fn permit(
    gateway: &Gateway,
    target: &UrlTarget,
    parts: &Parts,
    body: &Bytes,
    facts: RequestFacts,
) -> Result<Permit, Error> {
    let identity = match target.auth {
        UrlAuth::None => gateway.access.visitor(),
        UrlAuth::AwsIam => gateway.access.identify(parts, body, "lambda")?,
    };
    let resource = gateway.place.function_arn(&target.version.function, None);
    let asked = (resource.as_str(), target.auth.as_str());
    Ok(gateway.access.authorize_url(identity, asked, target.policy.as_deref(), facts)?)
}

/// The parts of a request that become the event.
struct Request<'a> {
    parts: &'a Parts,
    body: &'a Bytes,
    url_id: &'a str,
    path: &'a str,
}

fn call(gateway: &Gateway, target: &UrlTarget, request: &Request<'_>, permit: &Permit) -> Call {
    let now = gateway.world.now();
    let facts = permit.request();
    let trace = trace(request.parts)
        .unwrap_or_else(|| format!("Root=1-{:08x}-{}", now.seconds(), gateway.world.hex(12)));
    let port = facts.endpoint.rsplit(':').next().and_then(|p| p.parse().ok()).unwrap_or(80);
    let exchange = target.version.runtime.language == Language::Wasm;
    let make = if exchange { exchange::request } else { event::event };
    let payload = make(
        request.parts,
        request.body,
        &Facts {
            url_id: request.url_id,
            path: request.path,
            request_id: &facts.request_id,
            caller: (target.auth == UrlAuth::AwsIam).then(|| permit.caller()),
            source_ip: &facts.source_ip,
            port,
            time: now,
            trace: &trace,
        },
    );
    Call {
        request_id: facts.request_id.clone(),
        payload: payload.into(),
        exchange,
        invoked_arn: permit.resource().to_owned(),
        client_context: None,
        trace: Some(trace),
        caller: permit.caller().arn.clone(),
        from: from(request.parts, permit),
        tail: false,
    }
}

/// The instance whose door the request came through, or whose credentials it is signed with.
fn from(parts: &Parts, permit: &Permit) -> String {
    match parts.extensions.get::<Side>() {
        Some(Side::Inside(inside)) => inside.instance.clone(),
        _ => permit.caller().instance.clone(),
    }
}

fn trace(parts: &Parts) -> Option<String> {
    let text = parts.headers.get("x-amzn-trace-id")?.to_str().ok()?;
    (text.starts_with("Root=") && text.len() <= 256).then(|| text.to_owned())
}

fn answered_response(answer: Answer, exchange: bool, world: &World) -> Result<Response<Bytes>, Unusable> {
    match answer {
        Answer::Returned(result) if exchange => exchange::response(result),
        Answer::Returned(result) => answer::response(result, world.room()),
        Answer::Failed(_) => Ok(refused(StatusCode::BAD_GATEWAY, "Internal Server Error")),
    }
}

fn engine_refused(why: &Refused) -> Response<Bytes> {
    match why {
        Refused::Throttled { retry_after_s, reason, .. } => {
            let mut response = refused(StatusCode::TOO_MANY_REQUESTS, "Rate Exceeded.");
            let text = serde_json::json!({ "Message": "Rate Exceeded.", "Reason": reason }).to_string();
            *response.body_mut() = Bytes::from(text);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*retry_after_s));
            response
        }
        Refused::Looped => refused(StatusCode::LOOP_DETECTED, &why.to_string()),
        Refused::ShuttingDown => refused(StatusCode::SERVICE_UNAVAILABLE, "Dayfly is stopping."),
        other => {
            tracing::warn!(%other, "an invocation could not start");
            refused(StatusCode::BAD_GATEWAY, "Internal Server Error")
        }
    }
}

fn denied(error: &Error) -> Response<Bytes> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::FORBIDDEN);
    let mut response =
        refused(status, if status == StatusCode::FORBIDDEN { "Forbidden" } else { &error.message });
    if let Ok(code) = HeaderValue::from_str(&error.code) {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}

fn body_refused(why: &BodyError) -> Response<Bytes> {
    match why {
        BodyError::TooLarge { limit_bytes } => refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("Request must be smaller than {limit_bytes} bytes for a function URL."),
        ),
        BodyError::NeverFits { most_bytes } => refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!(
                "This machine has memory for requests of up to {most_bytes} bytes; see `dayfly limits`: room-bytes."
            ),
        ),
        BodyError::TooSlow { .. } => {
            refused(StatusCode::REQUEST_TIMEOUT, "The request body came too slowly.")
        }
        BodyError::NoRoom => {
            let mut response = refused(StatusCode::SERVICE_UNAVAILABLE, body::NO_ROOM);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(1));
            response
        }
        BodyError::Broken(_) => refused(StatusCode::BAD_REQUEST, "The request body broke off."),
    }
}

fn refused(status: StatusCode, message: &str) -> Response<Bytes> {
    let text = serde_json::json!({ "Message": message }).to_string();
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addressed(uri: &str, host: &str) -> Option<(String, String)> {
        let (parts, ()) = http::Request::get(uri).header(HOST, host).body(()).unwrap().into_parts();
        address(&parts).map(|(id, path)| (id.to_owned(), path.to_owned()))
    }

    #[test]
    fn urls_are_known_by_host_and_by_path() {
        let found = |id: &str, path: &str| Some((id.to_owned(), path.to_owned()));
        assert_eq!(addressed("/a/b?c", "abc.lambda-url.localhost:4566"), found("abc", "/a/b"));
        assert_eq!(addressed("/_url/abc", "127.0.0.1:4566"), found("abc", "/"));
        assert_eq!(addressed("/_url/abc/", "127.0.0.1:4566"), found("abc", "/"));
        assert_eq!(addressed("/_url/abc/x%2Fy", "127.0.0.1:4566"), found("abc", "/x%2Fy"));
        assert_eq!(addressed("/2015-03-31/functions", "127.0.0.1:4566"), None);
    }
}
