//! Signature Version 4, the client's side.

use crate::canonical::{self, ALGORITHM, KeyScope, PathRule, SIGNATURE_PARAMETER, UNSIGNED_PAYLOAD};
use crate::clock;
use hmac::Mac;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri, header};
use std::fmt;
use world::Stamp;

/// What a client signs with.
#[derive(Clone)]
pub struct Credentials {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Session token of temporary credentials.
    pub token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// For which service, where and when a signature holds.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Region name.
    pub region: &'a str,
    /// Signing name, such as `lambda`.
    pub service: &'a str,
    /// The moment of signing.
    pub now: Stamp,
}

/// Why a request could not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The host is part of every signature.
    #[error("a request is signed with its Host header, and this one has none")]
    NoHost,
    /// A header or credential that no header can carry.
    #[error("a header or credential holds characters that HTTP cannot carry")]
    NotText,
}

/// Signs a request by headers: adds `X-Amz-Date`, `X-Amz-Content-Sha256`, `X-Amz-Security-Token` where there is
/// one, and `Authorization`. `Host` must be set. Signs every header but those that proxies may change.
pub fn sign(
    request: &mut Parts,
    body: &[u8],
    credentials: &Credentials,
    scope: Scope<'_>,
) -> Result<(), SignError> {
    let stamp = clock::format(scope.now);
    let payload = canonical::body_hash(body);
    request.headers.remove(header::AUTHORIZATION);
    put(request, "x-amz-date", &stamp)?;
    put(request, "x-amz-content-sha256", &payload)?;
    if let Some(token) = &credentials.token {
        put(request, "x-amz-security-token", token)?;
    }
    let signed = signable(request)?;
    let key_scope = KeyScope { date: &stamp[..8], region: scope.region, service: scope.service };
    let signature = signature(request, &signed, &payload, (credentials, key_scope, &stamp))?;
    let authorization = format!(
        "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={signature}",
        credentials.access_key,
        key_scope.text(),
        signed.join(";")
    );
    put(request, "authorization", &authorization)
}

/// Signs a bodiless request by its query string; the URL works for `life_s` seconds without further headers.
pub fn presign(
    request: &mut Parts,
    credentials: &Credentials,
    scope: Scope<'_>,
    life_s: u64,
) -> Result<(), SignError> {
    let stamp = clock::format(scope.now);
    let key_scope = KeyScope { date: &stamp[..8], region: scope.region, service: scope.service };
    let signed = signable(request)?;
    let credential = format!("{}/{}", credentials.access_key, key_scope.text());
    let mut added = vec![
        ("X-Amz-Algorithm", ALGORITHM.to_owned()),
        ("X-Amz-Credential", credential),
        ("X-Amz-Date", stamp.clone()),
        ("X-Amz-Expires", life_s.to_string()),
        ("X-Amz-SignedHeaders", signed.join(";")),
    ];
    added.extend(credentials.token.clone().map(|token| ("X-Amz-Security-Token", token)));
    for (name, value) in added {
        append_query(request, name, &value);
    }
    let payload = if scope.service == "s3" { UNSIGNED_PAYLOAD.to_owned() } else { canonical::body_hash(b"") };
    let signature = signature(request, &signed, &payload, (credentials, key_scope, &stamp))?;
    append_query(request, SIGNATURE_PARAMETER, &signature);
    Ok(())
}

fn signature(
    request: &Parts,
    signed: &[String],
    payload: &str,
    (credentials, scope, stamp): (&Credentials, KeyScope<'_>, &str),
) -> Result<String, SignError> {
    let names: Vec<&str> = signed.iter().map(String::as_str).collect();
    let canonical = canonical::request(request, &names, payload, PathRule::of(scope.service))
        .ok_or(SignError::NotText)?;
    let seal = scope.seal(&credentials.secret_key, stamp, &canonical);
    Ok(canonical::hex(&seal.finalize().into_bytes()))
}

/// The sorted names of the headers to sign.
fn signable(request: &Parts) -> Result<Vec<String>, SignError> {
    const CHANGED_BY_PROXIES: [&str; 8] = [
        "authorization",
        "connection",
        "expect",
        "te",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    ];
    if !request.headers.contains_key(header::HOST) {
        return Err(SignError::NoHost);
    }
    let names = request.headers.keys().map(HeaderName::as_str);
    let mut names: Vec<String> =
        names.filter(|name| !CHANGED_BY_PROXIES.contains(name)).map(Into::into).collect();
    names.sort();
    Ok(names)
}

fn put(request: &mut Parts, name: &'static str, value: &str) -> Result<(), SignError> {
    let value = HeaderValue::from_str(value).map_err(|_| SignError::NotText)?;
    request.headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

fn append_query(request: &mut Parts, name: &str, value: &str) {
    let joint = if request.uri.query().is_some() { '&' } else { '?' };
    let path = request.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let text = format!("{path}{joint}{name}={}", canonical::encode(value));
    let mut uri = std::mem::take(&mut request.uri).into_parts();
    uri.path_and_query = Some(text.parse().expect("a percent-encoded query is part of a valid URI"));
    request.uri = Uri::from_parts(uri).expect("only the query of a valid URI was extended");
}
