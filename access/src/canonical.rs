//! The canonical form of a request, which both sides of a signature compute.
//!
//! Source: "Signature Version 4 signing process" in AWS's IAM user guide.

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The only algorithm served.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The last part of every credential scope.
pub(crate) const TERMINATOR: &str = "aws4_request";
/// Stands in for the body's hash where the body is not signed.
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// The query parameter that carries a presigned URL's signature, and is not part of what it signs.
pub(crate) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// How a service wants the path of its requests in the canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathRule {
    /// Remove empty and dot segments.
    pub normalize: bool,
    /// Encode what already is encoded once more.
    pub encode_again: bool,
}

impl PathRule {
    /// S3 signs paths as they are sent; every other service normalises and encodes them again.
    pub(crate) fn of(service: &str) -> Self {
        let ordinary = service != "s3";
        Self { normalize: ordinary, encode_again: ordinary }
    }
}

/// Date, region and service: where and when a signing key holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyScope<'a> {
    /// `YYYYMMDD`.
    pub date: &'a str,
    pub region: &'a str,
    pub service: &'a str,
}

impl KeyScope<'_> {
    pub(crate) fn text(&self) -> String {
        format!("{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }

    /// The MAC that a request signed with `secret` must carry, ready to be read or compared.
    pub(crate) fn seal(&self, secret: &str, stamp: &str, canonical_request: &str) -> Hmac<Sha256> {
        let mut key = mac(format!("AWS4{secret}").as_bytes(), self.date.as_bytes());
        for part in [self.region, self.service, TERMINATOR] {
            key = mac(&key.finalize().into_bytes(), part.as_bytes());
        }
        let text = string_to_sign(stamp, &self.text(), canonical_request);
        mac(&key.finalize().into_bytes(), text.as_bytes())
    }
}

/// HMAC-SHA256 of `data`, not yet finished.
pub(crate) fn mac(key: &[u8], data: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

/// The hex SHA-256 of a body.
pub(crate) fn body_hash(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

/// The text whose MAC is the signature.
pub(crate) fn string_to_sign(stamp: &str, scope: &str, canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{stamp}\n{scope}\n{}", body_hash(canonical_request.as_bytes()))
}

/// The canonical request; `None` where a signed header is absent or not text.
pub(crate) fn request(parts: &Parts, signed: &[&str], payload: &str, rule: PathRule) -> Option<String> {
    let method = parts.method.as_str();
    let path = path(parts.uri.path(), rule);
    let query = query(parts.uri.query().unwrap_or_default());
    let headers = headers(&parts.headers, signed)?;
    Some(format!("{method}\n{path}\n{query}\n{headers}\n{}\n{payload}", signed.join(";")))
}

fn path(raw: &str, rule: PathRule) -> String {
    let normal = if rule.normalize { normalized(raw) } else { raw.to_owned() };
    let segments: Vec<String> = normal
        .split('/')
        .map(|segment| if rule.encode_again { encode(segment) } else { encode_once(segment) })
        .collect();
    let joined = segments.join("/");
    if joined.is_empty() { "/".into() } else { joined }
}

fn normalized(raw: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    let slash = if raw.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}", kept.join("/"))
}

/// Parameters decoded, encoded the one canonical way and sorted, without the signature itself.
fn query(raw: &str) -> String {
    let mut pairs: Vec<(String, String)> = raw
        .split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
        .map(|(name, value)| (encode_once(name), encode_once(value)))
        .filter(|(name, _)| name != SIGNATURE_PARAMETER)
        .collect();
    pairs.sort();
    let joined: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    joined.join("&")
}

fn headers(map: &HeaderMap, signed: &[&str]) -> Option<String> {
    let mut text = String::new();
    for name in signed {
        let values: Option<Vec<String>> =
            map.get_all(*name).iter().map(|v| Some(collapsed(v.to_str().ok()?))).collect();
        let values = values.filter(|values| !values.is_empty())?;
        writeln!(text, "{name}:{}", values.join(",")).expect("writing to a String cannot fail");
    }
    Some(text)
}

/// Trimmed, and every run of spaces as one.
fn collapsed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Percent-encodes everything but unreserved characters, `%` too.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Percent-encodes a text that may hold encoded characters already.
fn encode_once(text: &str) -> String {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    percent_encoding::percent_encode(&bytes, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        for (raw, canonical) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("a", "a="),
            ("a=%7e&%41=1", "A=1&a=~"),
            ("q=x+y", "q=x%2By"),
            ("q=x%20y", "q=x%20y"),
            ("q=a=b", "q=a%3Db"),
            ("a=1&X-Amz-Signature=00", "a=1"),
            ("&&a=1&", "a=1"),
            ("n=%C3%A9", "n=%C3%A9"),
        ] {
            assert_eq!(query(raw), canonical, "{raw:?}");
        }
    }

    #[test]
    fn paths() {
        let plain = PathRule::of("lambda");
        let s3 = PathRule::of("s3");
        for (raw, rule, canonical) in [
            ("/", plain, "/"),
            ("/2015-03-31/functions/", plain, "/2015-03-31/functions/"),
            ("//a//./b/../c", plain, "/a/c"),
            ("/..", plain, "/"),
            ("/functions/arn%3Aaws/x", plain, "/functions/arn%253Aaws/x"),
            ("/a:b", plain, "/a%3Ab"),
            ("//a/../b", s3, "//a/../b"),
            ("/a%20b", s3, "/a%20b"),
            ("/a%7eb", s3, "/a~b"),
        ] {
            assert_eq!(path(raw, rule), canonical, "{raw:?}");
        }
    }
}
