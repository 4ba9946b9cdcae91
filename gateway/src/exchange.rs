//! The short way for functions that speak HTTP themselves: the client's request goes in as it is, and the response
//! comes back as it is. What the platform adds and leaves out is the same as in `event` and `answer`.

use crate::answer::Unusable;
use crate::event::{Facts, HOP_BY_HOP, OWN_HEADERS};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use model::{Exchange, ExchangeWriter};

/// Headers of a client that its request takes with the platform's, roughly, in bytes.
const HEADER_BYTES: usize = 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The request as bytes.
pub(crate) fn request(parts: &Parts, body: &[u8], facts: &Facts<'_>) -> Vec<u8> {
    let target = match parts.uri.query() {
        Some(query) => &format!("{}?{query}", facts.path),
        None => facts.path,
    };
    let mut out = ExchangeWriter::new(parts.method.as_str(), target, HEADER_BYTES + body.len());
    let own = [
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", facts.source_ip),
        ("x-forwarded-port", &facts.port.to_string()),
        ("x-amzn-trace-id", facts.trace),
        ("x-amzn-requestid", facts.request_id),
    ];
    for (name, value) in own {
        out.header(name, value.as_bytes());
    }
    for (name, value) in &parts.headers {
        let name = name.as_str();
        let left_out = name == COOKIE || own.iter().any(|(own, _)| *own == name);
        if !left_out && !OWN_HEADERS.contains(&name) && !HOP_BY_HOP.contains(&name) {
            out.header(name, value.as_bytes());
        }
    }
    if let Some(cookies) = cookies(&parts.headers) {
        out.header(COOKIE.as_str(), &cookies);
    }
    out.body(body)
}

/// All cookies in one header, as HTTP/1.1 has them.
fn cookies(headers: &HeaderMap) -> Option<Vec<u8>> {
    let values: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    (!values.is_empty()).then(|| values.join(&b"; "[..]))
}

/// The response from bytes.
pub(crate) fn response(result: Bytes) -> Result<Response<Bytes>, Unusable> {
    let read = Exchange::read(&result).ok_or_else(|| Unusable("the answer is no response".into()))?;
    let status = read.start.parse().ok().filter(|status| (200..600).contains(status));
    let status = status.and_then(|status: u16| StatusCode::from_u16(status).ok());
    let status =
        status.ok_or_else(|| Unusable(format!("status {} is not between 200 and 599", read.start)))?;
    let mut response = Response::new(result.slice(read.body_at..));
    *response.status_mut() = status;
    let has_body = !response.body().is_empty();
    let headers = response.headers_mut();
    for (name, value) in &read.headers {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::from_bytes(value)) else {
            return Err(Unusable(format!("{name:?} is not a header")));
        };
        if name != CONTENT_LENGTH && !HOP_BY_HOP.contains(&name.as_str()) {
            headers.append(name, value);
        }
    }
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, if has_body { BINARY } else { JSON });
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_what_its_client_said_and_gets_what_the_platform_knows() {
        let request = http::Request::post("http://h/ignored?a=%20&b")
            .header("host", "h:1")
            .header("cookie", "one=1")
            .header("cookie", "two=2")
            .header("x-mine", "a")
            .header("x-mine", "b")
            .header("connection", "close")
            .header("x-forwarded-for", "6.6.6.6")
            .header("x-amzn-requestid", "theirs")
            .body(&b"body\xff"[..])
            .unwrap();
        let (parts, body) = request.into_parts();
        let facts = Facts {
            url_id: "abc",
            path: "/a%2Fb",
            request_id: "r-1",
            caller: None,
            source_ip: "10.1.2.3",
            port: 4566,
            time: world::Stamp(0),
            trace: "Root=1",
        };
        let bytes = super::request(&parts, body, &facts);
        let read = Exchange::read(&bytes).unwrap();
        assert_eq!((read.start, read.target), ("POST", "/a%2Fb?a=%20&b"));
        let expected: [(&str, &[u8]); 9] = [
            ("x-forwarded-proto", b"http"),
            ("x-forwarded-for", b"10.1.2.3"),
            ("x-forwarded-port", b"4566"),
            ("x-amzn-trace-id", b"Root=1"),
            ("x-amzn-requestid", b"r-1"),
            ("host", b"h:1"),
            ("x-mine", b"a"),
            ("x-mine", b"b"),
            ("cookie", b"one=1; two=2"),
        ];
        assert_eq!(read.headers, expected);
        assert_eq!(&bytes[read.body_at..], b"body\xff");
    }

    #[test]
    fn responses_pass_or_are_refused() {
        type Case = (
            &'static str,
            &'static [(&'static str, &'static str)],
            &'static str,
            Option<(u16, &'static str)>,
        );
        let cases: [Case; 8] = [
            ("201", &[("Content-Type", "text/html"), ("set-cookie", "a=1")], "x", Some((201, "text/html"))),
            ("200", &[("content-length", "9"), ("connection", "close")], "", Some((200, "application/json"))),
            ("599", &[], "x", Some((599, "application/octet-stream"))),
            ("101", &[], "", None),
            ("600", &[], "", None),
            ("ok", &[], "", None),
            ("200", &[("a b", "c")], "", None),
            ("200", &[("a", "b\r\nc: d")], "", None),
        ];
        for (status, headers, body, expected) in cases {
            let mut writer = ExchangeWriter::new(status, "", 0);
            headers.iter().for_each(|(name, value)| writer.header(name, value.as_bytes()));
            let found = response(Bytes::from(writer.body(body.as_bytes())));
            match (found, expected) {
                (Ok(found), Some((status, kind))) => {
                    assert_eq!((found.status().as_u16(), found.body()), (status, &Bytes::from(body)));
                    assert_eq!(found.headers()[CONTENT_TYPE], kind);
                    assert!(!found.headers().contains_key(CONTENT_LENGTH));
                    assert!(!found.headers().contains_key("connection"));
                }
                (Err(_), None) => {}
                (found, expected) => panic!("{status} {headers:?}: {found:?} for {expected:?}"),
            }
        }
        assert!(response(Bytes::from_static(b"{}")).is_err());
    }
}
