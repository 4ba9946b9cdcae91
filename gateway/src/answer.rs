//! From what a function behind a URL returned to the HTTP response that its client gets.

use crate::event::HOP_BY_HOP;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE};
use http::{Response, StatusCode};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Why an answer cannot be turned into a response; the client sees 502, the log sees this.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable(pub(crate) String);

/// Reads payload format 2.0: an object with `statusCode` describes the response, anything else is its body.
pub(crate) fn response(result: Bytes) -> Result<Response<Bytes>, Unusable> {
    match first_byte(&result) {
        Some(b'{') if !describes_response(&result)? => return Ok(plain(StatusCode::OK, result)),
        Some(b'{') => {}
        Some(b'"') => {
            let text: String = serde_json::from_slice(&result).map_err(|e| not_json(&e))?;
            return Ok(plain(StatusCode::OK, Bytes::from(text)));
        }
        _ => {
            serde_json::from_slice::<serde::de::IgnoredAny>(&result).map_err(|e| not_json(&e))?;
            return Ok(plain(StatusCode::OK, result));
        }
    }
    let Value::Object(mut fields) = serde_json::from_slice(&result).map_err(|e| not_json(&e))? else {
        return Ok(plain(StatusCode::OK, result));
    };
    let Some(status) = fields.remove("statusCode") else { return Ok(plain(StatusCode::OK, result)) };
    described(status_code(&status)?, fields)
}

/// Whether an object has a `statusCode`. Most have none: they are looked through without being built.
fn describes_response(result: &[u8]) -> Result<bool, Unusable> {
    let mut reader = serde_json::Deserializer::from_slice(result);
    let found = reader.deserialize_map(Keys).map_err(|e| not_json(&e))?;
    reader.end().map_err(|e| not_json(&e))?;
    Ok(found)
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some((key, IgnoredAny)) = map.next_entry::<Key, IgnoredAny>()? {
            found |= key.0;
        }
        Ok(found)
    }
}

/// Whether a key is `statusCode`.
struct Key(bool);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Key, E> {
                Ok(Key(text == "statusCode"))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

fn described(status: StatusCode, mut fields: Map<String, Value>) -> Result<Response<Bytes>, Unusable> {
    let encoded = fields.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or(false);
    let mut response = plain(status, body(fields.remove("body"), encoded)?);
    if let Some(Value::Object(headers)) = fields.remove("headers") {
        for (name, value) in headers {
            set(&mut response, &name, &value)?;
        }
    }
    if let Some(Value::Array(cookies)) = fields.remove("cookies") {
        for cookie in cookies {
            let value = HeaderValue::from_str(&shown(&cookie))
                .map_err(|_| Unusable("a cookie holds characters that a header cannot".into()))?;
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    Ok(response)
}

fn body(body: Option<Value>, encoded: bool) -> Result<Bytes, Unusable> {
    match body {
        None | Some(Value::Null) => Ok(Bytes::new()),
        Some(Value::String(text)) if encoded => STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|e| Unusable(format!("isBase64Encoded is true but the body is not base64: {e}"))),
        Some(Value::String(text)) => Ok(Bytes::from(text)),
        Some(other) => Ok(Bytes::from(other.to_string())),
    }
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

fn status_code(value: &Value) -> Result<StatusCode, Unusable> {
    let number = match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|n| u16::try_from(n).ok()),
    };
    number
        .filter(|n| (200..600).contains(n))
        .and_then(|n| StatusCode::from_u16(n).ok())
        .ok_or_else(|| Unusable(format!("statusCode {value} is not between 200 and 599")))
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
        let response =
            response(Bytes::copy_from_slice(result.as_bytes())).unwrap_or_else(|e| panic!("{e:?}"));
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
        let response =
            response(Bytes::from_static(br#"{"statusCode":200,"cookies":["a=1; Secure","b=2"]}"#)).unwrap();
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
            assert!(response(Bytes::copy_from_slice(bad.as_bytes())).is_err(), "{bad}");
        }
    }
}
