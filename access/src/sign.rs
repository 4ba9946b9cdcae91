//! Signature Version 4, the client's side.

use http::request::Parts;
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

/// Signs a request by headers: adds `X-Amz-Date`, `X-Amz-Content-Sha256`, `X-Amz-Security-Token` where there is
/// one, and `Authorization`. `Host` must be set; every header present is signed.
pub fn sign(request: &mut Parts, body: &[u8], credentials: &Credentials, scope: Scope<'_>) {
    let _ = (request, body, credentials, scope);
    todo!()
}

/// Signs a bodiless request by its query string; the URL works for `life_s` seconds without further headers.
pub fn presign(request: &mut Parts, credentials: &Credentials, scope: Scope<'_>, life_s: u64) {
    let _ = (request, credentials, scope, life_s);
    todo!()
}
