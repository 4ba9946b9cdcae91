//! The token of those who read metrics at regular times and can sign nothing. It follows from the root key, so nobody
//! has to keep it, and it opens nothing else.

use crate::RootKey;
use crate::canonical::{hex, mac};
use hmac::Mac;
use http::header;
use http::request::Parts;
use model::{Caller, CallerKind, Place};

/// The one action that it is for.
pub(crate) const ACTION: &str = "dayfly:GetMetrics";
/// The signing name of the service that has it.
pub(crate) const SERVICE: &str = "dayfly";
const SCHEME: &str = "Bearer ";

impl RootKey {
    /// What a scraper sends after `Authorization: Bearer`.
    pub fn metrics_token(&self) -> String {
        hex(&self.sum().finalize().into_bytes())
    }

    fn sum(&self) -> hmac::Hmac<sha2::Sha256> {
        mac(self.secret_key.as_bytes(), ACTION.as_bytes())
    }
}

/// The token that a request carries, where it carries one.
pub(crate) fn token(parts: &Parts) -> Option<&str> {
    parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix(SCHEME)
}

/// Whose it is, where it is right. Compared in constant time.
pub(crate) fn caller(token: &str, root: &RootKey, place: &Place) -> Option<Caller> {
    let bytes = bytes(token)?;
    root.sum().verify_slice(&bytes).ok()?;
    Some(Caller {
        kind: CallerKind::Scraper,
        arn: format!("arn:aws:iam::{}:user/metrics", place.account),
        account: place.account.clone(),
        user_id: "metrics".into(),
        instance: String::new(),
        access_key: String::new(),
    })
}

fn bytes(token: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = token.chars().map(|c| c.to_digit(16)).collect();
    let pairs = digits.filter(|digits| digits.len() == 64)?;
    pairs.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect()
}
