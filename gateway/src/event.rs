//! From an HTTP request to the event that a function behind a URL receives: payload format 2.0.
//!
//! Format: AWS Lambda developer guide, "Invoking Lambda function URLs".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, COOKIE, HOST, HeaderName, USER_AGENT};
use http::request::Parts;
use model::Caller;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

/// What the platform knows about a request besides its own bytes.
pub(crate) struct Facts<'a> {
    pub(crate) url_id: &'a str,
    /// The path as the function shall see it, still encoded.
    pub(crate) path: &'a str,
    pub(crate) request_id: &'a str,
    /// `None` for a public URL.
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) source_ip: &'a str,
    pub(crate) port: u16,
    pub(crate) time: world::Stamp,
    pub(crate) trace: &'a str,
}

/// Headers that the platform sets itself; what a client sends under these names is not believed.
pub(crate) const OWN_HEADERS: [&str; 4] =
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-amzn-trace-id"];

/// The event as JSON bytes.
pub(crate) fn event(parts: &Parts, body: &[u8], facts: &Facts<'_>) -> Vec<u8> {
    let query = parts.uri.query().unwrap_or("");
    let path = decoded(facts.path);
    let mut out = Vec::with_capacity(room(parts, body));
    out.extend_from_slice(br#"{"version":"2.0","routeKey":"$default","rawPath":"#);
    text(&mut out, &path);
    out.extend_from_slice(br#","rawQueryString":"#);
    text(&mut out, query);
    cookies(&mut out, &parts.headers);
    headers(&mut out, &parts.headers, facts);
    if !query.is_empty() {
        out.extend_from_slice(br#","queryStringParameters":"#);
        map(&mut out, &parameters(query));
    }
    context(&mut out, parts, &path, facts);
    body_fields(&mut out, &parts.headers, body);
    out.push(b'}');
    out
}

/// Bytes that the event will take, or a little more: memory that grows by doubling is held twice over.
fn room(parts: &Parts, body: &[u8]) -> usize {
    const EXACT_FROM: usize = 16 * 1024;
    let escaped = |byte: &u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..0x20 => 5,
        _ => 0,
    };
    let escapes = if body.len() < EXACT_FROM { 0 } else { body.iter().map(escaped).sum::<usize>() };
    let headers: usize =
        parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 6).sum();
    2048 + headers + (body.len() * 4 / 3 + 4).max(body.len() + escapes)
}

fn context(out: &mut Vec<u8>, parts: &Parts, path: &str, facts: &Facts<'_>) {
    let host = header(&parts.headers, HOST.as_str());
    let host = host.split(':').next().unwrap_or(host);
    out.extend_from_slice(br#","requestContext":{"accountId":"#);
    text(out, facts.caller.map_or("anonymous", |c| &c.account));
    field(out, "apiId", facts.url_id);
    if let Some(caller) = facts.caller {
        out.extend_from_slice(br#","authentication":null,"authorizer":{"iam":{"accessKey":"#);
        text(out, &caller.access_key);
        field(out, "accountId", &caller.account);
        field(out, "callerId", &caller.user_id);
        out.extend_from_slice(br#","cognitoIdentity":null,"principalOrgId":null"#);
        field(out, "userArn", &caller.arn);
        field(out, "userId", &caller.user_id);
        out.extend_from_slice(b"}}");
    }
    field(out, "domainName", host);
    field(out, "domainPrefix", facts.url_id);
    out.extend_from_slice(br#","http":{"method":"#);
    text(out, parts.method.as_str());
    field(out, "path", path);
    field(out, "protocol", "HTTP/1.1");
    field(out, "sourceIp", facts.source_ip);
    field(out, "userAgent", header(&parts.headers, USER_AGENT.as_str()));
    out.push(b'}');
    field(out, "requestId", facts.request_id);
    field(out, "routeKey", "$default");
    field(out, "stage", "$default");
    field(out, "time", &log_time(facts.time));
    let _ = write!(out, r#","timeEpoch":{}}}"#, facts.time.millis());
}

fn body_fields(out: &mut Vec<u8>, headers: &HeaderMap, body: &[u8]) {
    if body.is_empty() {
        out.extend_from_slice(br#","isBase64Encoded":false"#);
        return;
    }
    out.extend_from_slice(br#","body":"#);
    match std::str::from_utf8(body).ok().filter(|_| is_text(header(headers, CONTENT_TYPE.as_str()))) {
        Some(body) => {
            text(out, body);
            out.extend_from_slice(br#","isBase64Encoded":false"#);
        }
        None => {
            out.push(b'"');
            let begin = out.len();
            out.resize(begin + body.len().div_ceil(3) * 4, 0);
            STANDARD
                .encode_slice(body, &mut out[begin..])
                .expect("a third more, rounded up, is what base64 takes");
            out.push(b'"');
            out.extend_from_slice(br#","isBase64Encoded":true"#);
        }
    }
}

/// Whether a body of this content type reaches the function as text. Forms do not, as on AWS.
fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    kind.is_empty()
        || kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(kind.as_str(), "application/json" | "application/xml" | "application/javascript")
}

fn cookies(out: &mut Vec<u8>, headers: &HeaderMap) {
    let mut all = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .map(str::trim)
        .filter(|c| !c.is_empty());
    let Some(first) = all.next() else { return };
    out.extend_from_slice(br#","cookies":["#);
    text(out, first);
    for cookie in all {
        out.push(b',');
        text(out, cookie);
    }
    out.push(b']');
}

fn headers(out: &mut Vec<u8>, headers: &HeaderMap, facts: &Facts<'_>) {
    out.extend_from_slice(br#","headers":{"x-forwarded-proto":"http""#);
    field(out, "x-forwarded-for", facts.source_ip);
    let _ = write!(out, r#","x-forwarded-port":"{}""#, facts.port);
    field(out, "x-amzn-trace-id", facts.trace);
    for name in headers.keys().map(HeaderName::as_str) {
        if name == "cookie" || OWN_HEADERS.contains(&name) || HOP_BY_HOP.contains(&name) {
            continue;
        }
        field(out, name, &joined(headers, name));
    }
    out.push(b'}');
}

/// All values of a header as one, as the event wants it.
fn joined<'a>(headers: &'a HeaderMap, name: &str) -> Cow<'a, str> {
    let mut values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut all = values.next().unwrap_or_default();
    for value in values {
        let all = all.to_mut();
        all.push(',');
        all.push_str(&value);
    }
    all
}

/// Headers that speak about one connection only (RFC 9110, 7.6.1) and so are never passed on.
pub(crate) const HOP_BY_HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = form_decoded(value);
        all.entry(form_decoded(name))
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(&value);
            })
            .or_insert(value);
    }
    all
}

fn form_decoded(text: &str) -> String {
    decoded(&text.replace('+', " "))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b',');
    text(out, name);
    out.push(b':');
    text(out, value);
}

fn map(out: &mut Vec<u8>, map: &BTreeMap<String, String>) {
    serde_json::to_writer(out, map).expect("strings are always JSON");
}

fn text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is always JSON");
}

/// `12/Mar/2020:19:03:58 +0000`, the form of requestContext.time.
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn log_time(stamp: world::Stamp) -> String {
    let when = jiff::Timestamp::from_microsecond(i64::try_from(stamp.0).unwrap_or(0)).unwrap_or_default();
    let when = when.to_zoned(jiff::tz::TimeZone::UTC);
    let month = MONTHS[usize::from(when.month().unsigned_abs()) - 1];
    let (day, year) = (when.day(), when.year());
    let (hour, minute, second) = (when.hour(), when.minute(), when.second());
    format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn made(request: http::Request<&[u8]>, caller: Option<&Caller>) -> Value {
        let (parts, body) = request.into_parts();
        let facts = Facts {
            url_id: "abc",
            path: parts.uri.path(),
            request_id: "r-1",
            caller,
            source_ip: "10.1.2.3",
            port: 4566,
            time: world::Stamp(1_583_348_638_390_000),
            trace: "Root=1-a-b",
        };
        serde_json::from_slice(&event(&parts, body, &facts)).expect("the event is JSON")
    }

    #[test]
    fn the_fields_of_a_public_request() {
        let request = http::Request::post("http://abc.lambda-url.localhost:4566/a%20b/c?x=1&x=2&y=a%20b+c&z")
            .header("host", "abc.lambda-url.localhost:4566")
            .header("content-type", "text/plain; charset=utf-8")
            .header("accept", "a")
            .header("accept", "b")
            .header("cookie", "one=1; two=2")
            .header("user-agent", "agent")
            .header("x-forwarded-for", "6.6.6.6")
            .body("grüß\"".as_bytes())
            .unwrap();
        let event = made(request, None);
        assert_eq!(event["rawPath"], "/a b/c");
        assert_eq!(event["rawQueryString"], "x=1&x=2&y=a%20b+c&z");
        assert_eq!(event["queryStringParameters"], json!({"x": "1,2", "y": "a b c", "z": ""}));
        assert_eq!(event["cookies"], json!(["one=1", "two=2"]));
        assert_eq!(event["headers"]["accept"], "a,b");
        assert_eq!(event["headers"]["x-forwarded-for"], "10.1.2.3");
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("grüß\""), &json!(false)));
        let context = &event["requestContext"];
        assert_eq!(context["accountId"], "anonymous");
        assert_eq!(context.get("authorizer"), None);
        assert_eq!(context["domainName"], "abc.lambda-url.localhost");
        assert_eq!(context["http"]["method"], "POST");
        assert_eq!(context["time"], "04/Mar/2020:19:03:58 +0000");
        assert_eq!(context["timeEpoch"], 1_583_348_638_390_u64);
    }

    #[test]
    fn a_signed_request_names_its_caller() {
        let caller = Caller {
            kind: model::CallerKind::Root,
            arn: "arn:aws:iam::000000000000:root".into(),
            account: "000000000000".into(),
            user_id: "000000000000".into(),
            instance: String::new(),
            access_key: "AKIA".into(),
        };
        let event = made(http::Request::get("http://h/").body(&b""[..]).unwrap(), Some(&caller));
        assert_eq!(event["requestContext"]["authorizer"]["iam"]["userArn"], caller.arn);
        assert_eq!(event.get("body"), None);
        assert_eq!(event.get("queryStringParameters"), None);
    }

    #[test]
    fn which_bodies_are_base64() {
        let cases: [(&str, &[u8], bool); 6] = [
            ("application/json", b"{}", false),
            ("application/problem+json", b"{}", false),
            ("application/octet-stream", b"{}", true),
            ("application/x-www-form-urlencoded", b"a=1", true),
            ("text/plain", b"\xff\xfe", true),
            ("", b"plain", false),
        ];
        for (kind, body, encoded) in cases {
            let request = http::Request::post("http://h/").header("content-type", kind).body(body).unwrap();
            assert_eq!(made(request, None)["isBase64Encoded"], encoded, "{kind}");
        }
    }
}
