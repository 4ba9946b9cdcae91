//! Between the platform's events and HTTP as components speak it. Pure.
//!
//! * What comes through a function URL comes as the request that it is (`model::Exchange`), and is answered so.
//! * An event that describes a request (payload format 2.0), from a caller of the API, becomes the request that it describes, and the response becomes
//!   an answer in the same format.
//! * Any other event becomes `POST /` with the event as its JSON body. A response below 400 is answered by its body, as
//!   it is; one from 400 on is a function error of type `Http.<status>` whose message is the body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use model::{Exchange, ExchangeWriter};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How the caller wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a response in the platform's own form.
    Exchange,
    /// As a response in payload format 2.0.
    Url,
    /// By the body alone.
    Plain,
}

/// What an event says besides its payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    /// The event is a request in the platform's own form.
    pub(crate) exchange: bool,
    pub(crate) request_id: &'a str,
    pub(crate) trace: Option<&'a str>,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const TRACE: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Events hold the path decoded: what would end it or has no place in it is encoded again.
const NOT_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UrlEvent<'a> {
    version: &'a str,
    #[serde(borrow)]
    raw_path: Cow<'a, str>,
    #[serde(borrow, default)]
    raw_query_string: Cow<'a, str>,
    #[serde(default)]
    cookies: Vec<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    request_context: Context,
    #[serde(borrow, default)]
    body: Option<Cow<'a, str>>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct Context {
    http: Http,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UrlAnswer<'a> {
    status_code: u16,
    headers: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    body: Cow<'a, str>,
    is_base64_encoded: bool,
}

/// The request that an event is. The error says what of it makes no request.
pub(crate) fn request(event: Bytes, about: About<'_>) -> Result<(Request<Bytes>, Form), String> {
    if about.exchange {
        return Ok((exchanged(&event)?, Form::Exchange));
    }
    let (mut request, form) = match serde_json::from_slice::<UrlEvent<'_>>(&event) {
        Ok(url) if url.version == "2.0" => (described(url)?, Form::Url),
        _ => (plain(event), Form::Plain),
    };
    let headers = request.headers_mut();
    for (name, value) in [(REQUEST_ID, Some(about.request_id)), (TRACE, about.trace)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok())
            && !headers.contains_key(&name)
        {
            headers.insert(name, value);
        }
    }
    Ok((request, form))
}

fn exchanged(event: &Bytes) -> Result<Request<Bytes>, String> {
    let read = Exchange::read(event).ok_or("it is cut short")?;
    let request = Request::builder().method(read.start).uri(read.target).body(event.slice(read.body_at..));
    let mut request =
        request.map_err(|error| format!("{} {} is no request: {error}", read.start, read.target))?;
    let headers = request.headers_mut();
    headers.reserve(read.headers.len() + 1);
    for (name, value) in read.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
    Ok(request)
}

fn plain(event: Bytes) -> Request<Bytes> {
    let mut request = Request::new(event);
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    request.headers_mut().insert(CONTENT_TYPE, JSON);
    request
}

fn described(url: UrlEvent<'_>) -> Result<Request<Bytes>, String> {
    let mut target = utf8_percent_encode(&url.raw_path, NOT_IN_PATHS).to_string();
    if !url.raw_query_string.is_empty() {
        target.push('?');
        target.push_str(&url.raw_query_string);
    }
    let body = match (url.body, url.is_base64_encoded) {
        (None, _) => Bytes::new(),
        (Some(text), false) => Bytes::from(text.into_owned()),
        (Some(text), true) => Bytes::from(
            STANDARD.decode(text.as_bytes()).map_err(|error| format!("the body is not base64: {error}"))?,
        ),
    };
    let method = &url.request_context.http.method;
    let mut request = Request::builder()
        .method(method.as_str())
        .uri(&target)
        .body(body)
        .map_err(|error| format!("{method} {target} is no request: {error}"))?;
    fill(request.headers_mut(), &url.headers, &url.cookies);
    Ok(request)
}

/// Leaves out what cannot stand in a header.
fn fill(headers: &mut HeaderMap, given: &BTreeMap<String, String>, cookies: &[String]) {
    for (name, value) in given {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    if let Ok(value) = HeaderValue::try_from(cookies.join("; "))
        && !cookies.is_empty()
    {
        headers.insert(COOKIE, value);
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::from_static("localhost"));
    }
}

/// The answer that a response is: the result, or the type and message of a function error.
pub(crate) fn answer(response: Response<Bytes>, form: Form) -> Result<Bytes, (String, String)> {
    match form {
        Form::Exchange => Ok(exchange_answer(&response)),
        Form::Url => Ok(url_answer(&response)),
        Form::Plain if response.status().as_u16() < 400 => Ok(response.into_body()),
        Form::Plain => Err((
            format!("Http.{}", response.status().as_u16()),
            String::from_utf8_lossy(response.body()).into_owned(),
        )),
    }
}

fn exchange_answer(response: &Response<Bytes>) -> Bytes {
    let lengths = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 6);
    let room = lengths.sum::<usize>() + response.body().len();
    let mut out = ExchangeWriter::new(response.status().as_str(), "", room);
    response.headers().iter().for_each(|(name, value)| out.header(name.as_str(), value.as_bytes()));
    Bytes::from(out.body(response.body()))
}

fn url_answer(response: &Response<Bytes>) -> Bytes {
    let mut headers = BTreeMap::new();
    for name in response.headers().keys().filter(|name| **name != SET_COOKIE) {
        headers.insert(name.as_str(), values(response.headers(), name).collect::<Vec<_>>().join(", "));
    }
    if !response.body().is_empty() {
        // Without it the platform would say that it is JSON, as AWS does.
        headers.entry(CONTENT_TYPE.as_str()).or_insert_with(|| "application/octet-stream".into());
    }
    let text = std::str::from_utf8(response.body());
    let answer = UrlAnswer {
        status_code: response.status().as_u16(),
        headers,
        cookies: values(response.headers(), &SET_COOKIE).collect(),
        is_base64_encoded: text.is_err(),
        body: text.map_or_else(|_| STANDARD.encode(response.body()).into(), Cow::from),
    };
    Bytes::from(serde_json::to_vec(&answer).expect("texts and numbers are always JSON"))
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> + 'a {
    headers.get_all(name).into_iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests;
