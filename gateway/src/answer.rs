//! From what a function behind a URL returned to the HTTP response that its client gets.

use crate::event::HOP_BY_HOP;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE};
use http::{Response, StatusCode};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use world::{Room, Way};

/// Why an answer cannot be turned into a response; the client sees 502, the log sees this.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable(pub(crate) String);

/// Reads payload format 2.0: an object with `statusCode` describes the response, anything else is its body. A body is a
/// part of the answer's own bytes, or, where that cannot be, counted in `room`.
pub(crate) fn response(result: Bytes, room: &Room) -> Result<Response<Bytes>, Unusable> {
    match first_byte(&result) {
        Some(b'{') => {
            let mut reader = serde_json::Deserializer::from_slice(&result);
            let described = reader.deserialize_map(Described::default()).map_err(|e| not_json(&e))?;
            reader.end().map_err(|e| not_json(&e))?;
            match described.status {
                Some(status) => described.response(status_code(status)?, &result, room),
                None => Ok(plain(StatusCode::OK, result)),
            }
        }
        Some(b'"') => {
            let text = std::str::from_utf8(&result).map_err(|e| Unusable(e.to_string()))?;
            Ok(plain(StatusCode::OK, unquoted(text, &result, room)?))
        }
        _ => {
            serde_json::from_slice::<IgnoredAny>(&result).map_err(|e| not_json(&e))?;
            Ok(plain(StatusCode::OK, result))
        }
    }
}

/// What an object says of the response, as it is written. Everything else in it is looked through without being built.
#[derive(Default)]
struct Described<'a> {
    status: Option<&'a RawValue>,
    headers: Option<&'a RawValue>,
    cookies: Option<&'a RawValue>,
    body: Option<&'a RawValue>,
    encoded: Option<&'a RawValue>,
}

impl<'de> Visitor<'de> for Described<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(key) = map.next_key()? {
            let place = match key {
                Key::Status => &mut self.status,
                Key::Headers => &mut self.headers,
                Key::Cookies => &mut self.cookies,
                Key::Body => &mut self.body,
                Key::Encoded => &mut self.encoded,
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *place = Some(map.next_value()?);
        }
        Ok(self)
    }
}

enum Key {
    Status,
    Headers,
    Cookies,
    Body,
    Encoded,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Key, E> {
                Ok(match text {
                    "statusCode" => Key::Status,
                    "headers" => Key::Headers,
                    "cookies" => Key::Cookies,
                    "body" => Key::Body,
                    "isBase64Encoded" => Key::Encoded,
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl Described<'_> {
    fn response(&self, status: StatusCode, result: &Bytes, room: &Room) -> Result<Response<Bytes>, Unusable> {
        let head = [self.headers, self.cookies].map(|part| part.map_or("null", RawValue::get));
        let (head_bytes, most_bytes) =
            (head.iter().map(|part| part.len() as u64).sum::<u64>(), model::limit("head-bytes"));
        if head_bytes > most_bytes {
            return Err(Unusable(format!(
                "its headers take {head_bytes} bytes; at most {most_bytes} (head-bytes)"
            )));
        }
        let [headers, cookies] = head.map(|part| serde_json::from_str(part).unwrap_or(Value::Null));
        let mut response = plain(status, self.body(result, room)?);
        if let Value::Object(headers) = headers {
            for (name, value) in headers {
                set(&mut response, &name, &value)?;
            }
        }
        if let Value::Array(cookies) = cookies {
            for cookie in cookies {
                let value = HeaderValue::from_str(&shown(&cookie))
                    .map_err(|_| Unusable("a cookie holds characters that a header cannot".into()))?;
                response.headers_mut().append(SET_COOKIE, value);
            }
        }
        Ok(response)
    }

    fn body(&self, result: &Bytes, room: &Room) -> Result<Bytes, Unusable> {
        let body = self.body.map_or("null", RawValue::get);
        match body.as_bytes().first() {
            _ if body == "null" => Ok(Bytes::new()),
            Some(b'"') => {
                let text = unquoted(body, result, room)?;
                if self.encoded.map(RawValue::get) != Some("true") {
                    return Ok(text);
                }
                let decoded = STANDARD.decode(text);
                let decoded = decoded.map_err(|e| {
                    Unusable(format!("isBase64Encoded is true but the body is not base64: {e}"))
                })?;
                Ok(counted(decoded.into(), room))
            }
            _ => Ok(result.slice_ref(body.as_bytes())),
        }
    }
}

/// The text that a JSON string stands for: where nothing in it is escaped, a part of the answer.
fn unquoted(json: &str, result: &Bytes, room: &Room) -> Result<Bytes, Unusable> {
    if let Ok(text) = serde_json::from_str::<&str>(json) {
        return Ok(result.slice_ref(text.as_bytes()));
    }
    let text: String = serde_json::from_str(json).map_err(|e| not_json(&e))?;
    Ok(counted(text.into(), room))
}

/// Bytes that take the place of the answer's own.
fn counted(bytes: Bytes, room: &Room) -> Bytes {
    room.count(Way::Back, bytes.len() as u64).around(bytes)
}

fn set(response: &mut Response<Bytes>, name: &str, value: &Value) -> Result<(), Unusable> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Unusable(format!("{name:?} is not a header name")))?;
    if name == CONTENT_LENGTH || HOP_BY_HOP.contains(&name.as_str()) {
        return Ok(());
    }
    let value = HeaderValue::from_str(&shown(value))
        .map_err(|_| Unusable(format!("the value of header {name} holds characters that a header cannot")))?;
    response.headers_mut().insert(name, value);
    Ok(())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn status_code(written: &RawValue) -> Result<StatusCode, Unusable> {
    let digits = written.get().trim_matches('"');
    let number = digits.parse().ok().filter(|n: &u16| (200..600).contains(n));
    number.and_then(|n| StatusCode::from_u16(n).ok()).ok_or_else(|| {
        let shown: String = written.get().chars().take(40).collect();
        Unusable(format!("statusCode {shown} is not between 200 and 599"))
    })
}

fn plain(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn not_json(error: &serde_json::Error) -> Unusable {
    Unusable(format!("the function's answer is not JSON: {error}"))
}

fn first_byte(bytes: &[u8]) -> Option<u8> {
    bytes.iter().copied().find(|b| !b.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(result: &str, status: u16, content_type: &str, body: &str) {
        let response = response(Bytes::copy_from_slice(result.as_bytes()), &Room::boundless())
            .unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(response.status(), status, "{result}");
        assert_eq!(response.headers()[CONTENT_TYPE], content_type, "{result}");
        assert_eq!(response.body(), body, "{result}");
    }

    #[test]
    fn answers_and_their_responses() {
        check(r#"{"a":1}"#, 200, "application/json", r#"{"a":1}"#);
        check(r#""hello""#, 200, "application/json", "hello");
        check(r#"{"a":{"statusCode":500}}"#, 200, "application/json", r#"{"a":{"statusCode":500}}"#);
        check(r#"{"status\u0043ode":201}"#, 201, "application/json", "");
        check("[1,2]", 200, "application/json", "[1,2]");
        check("null", 200, "application/json", "null");
        check(r#"{"statusCode":201,"body":"x"}"#, 201, "application/json", "x");
        check(r#"{"statusCode":"404"}"#, 404, "application/json", "");
        check(r#"{"statusCode":200,"body":{"a":1}}"#, 200, "application/json", r#"{"a":1}"#);
        check(r#"{"statusCode":200,"body":"aGk=","isBase64Encoded":true}"#, 200, "application/json", "hi");
        let html =
            r#"{"statusCode":200,"headers":{"Content-Type":"text/html","Content-Length":"9"},"body":"<p>"}"#;
        check(html, 200, "text/html", "<p>");
    }

    #[test]
    fn cookies_become_headers_of_their_own() {
        let response = response(
            Bytes::from_static(br#"{"statusCode":200,"cookies":["a=1; Secure","b=2"]}"#),
            &Room::boundless(),
        )
        .unwrap();
        let cookies: Vec<_> = response.headers().get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; Secure", "b=2"]);
    }

    #[test]
    fn answers_that_no_client_could_understand() {
        for bad in [
            r#"{"statusCode":99}"#,
            r#"{"statusCode":"ok"}"#,
            r#"{"statusCode":200,"headers":{"a b":"c"}}"#,
            r#"{"statusCode":200,"headers":{"a":"b\r\nc: d"}}"#,
            r#"{"statusCode":200,"body":"%","isBase64Encoded":true}"#,
            r#"{"statusCode":200,"cookies":["a\nb"]}"#,
            "{",
            r#"{"a":1} x"#,
            r#"{"a":}"#,
            "",
        ] {
            assert!(response(Bytes::copy_from_slice(bad.as_bytes()), &Room::boundless()).is_err(), "{bad}");
        }
        let many: Vec<_> = (0..40_000).map(|n| format!("\"h{n}\":\"\"")).collect();
        let many = format!(r#"{{"statusCode":200,"headers":{{{}}}}}"#, many.join(","));
        assert!(response(many.into(), &Room::boundless()).unwrap_err().0.contains("head-bytes"));
    }

    #[test]
    fn a_large_body_is_a_part_of_the_answer_or_is_counted() {
        const LENGTH: usize = 1 << 20;
        let text = "x".repeat(LENGTH);
        let cases = [
            (format!("\"{text}\""), false),
            (format!(r#"{{"statusCode":200,"body":"{text}"}}"#), false),
            (format!(r#"{{"statusCode":200,"body":["{text}"],"more":[{}0]}}"#, "0,".repeat(LENGTH)), false),
            (format!(r#"{{"statusCode":200,"body":"\u0078{}"}}"#, &text[1..]), true),
            (format!(r#"{{"statusCode":200,"body":"{text}","isBase64Encoded":true}}"#), true),
        ];
        for (answer, is_new) in cases {
            let room = Room::of(64 << 20);
            let answer = Bytes::from(answer);
            let place = answer.as_ptr_range();
            let response = response(answer.clone(), &room).unwrap();
            assert_eq!(!place.contains(&response.body().as_ptr()), is_new);
            let left: Vec<_> = (0..6).filter_map(|_| room.try_take(Way::Back, LENGTH as u64)).collect();
            assert_eq!(left.len(), if is_new { 5 } else { 6 }, "counted among the small ones");
        }
    }
}
