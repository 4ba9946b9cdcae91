//! Signature Version 4, the server's side.

use crate::Denied;
use crate::canonical::{self, KeyScope, PathRule, TERMINATOR, UNSIGNED_PAYLOAD};
use crate::claim::Claim;
use crate::clock;
use hmac::Mac;
use http::request::Parts;
use model::limit;
use world::Stamp;

/// What a signature must agree with.
pub(crate) struct Expected<'a> {
    pub region: &'a str,
    pub service: &'a str,
    pub now: Stamp,
    pub rule: PathRule,
}

/// AWS's text for a signature that does not match.
const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your \
     AWS Secret Access Key and signing method. Consult the service documentation for details.";

/// Checks scope and age of a claim; its key is not needed for that.
pub(crate) fn check_scope_and_age(claim: &Claim, expected: &Expected<'_>) -> Result<(), Denied> {
    check_scope(claim, expected)?;
    check_age(claim, expected.now)
}

/// Checks that `claim` was made with `secret` for exactly this request.
pub(crate) fn check_signature(
    parts: &Parts,
    body: &[u8],
    (claim, secret): (&Claim, &str),
    expected: &Expected<'_>,
) -> Result<(), Denied> {
    check_all_signed(parts, claim)?;
    let payload = payload(parts, body, claim, expected.service)?;
    let signed: Vec<&str> = claim.signed_headers.iter().map(String::as_str).collect();
    let mismatch = || Denied::Signature(MISMATCH.into());
    let canonical = canonical::request(parts, &signed, &payload, expected.rule).ok_or_else(mismatch)?;
    let scope = KeyScope { date: &claim.date, region: &claim.region, service: &claim.service };
    let seal = scope.seal(secret, &claim.stamp, &canonical);
    seal.verify_slice(&claim.signature).map_err(|_| mismatch())
}

fn check_scope(claim: &Claim, expected: &Expected<'_>) -> Result<(), Denied> {
    let stamp = &claim.stamp;
    let wrong = if claim.terminator != TERMINATOR {
        format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'.",
            claim.terminator
        )
    } else if claim.service != expected.service {
        format!("Credential should be scoped to correct service: '{}'. ", expected.service)
    } else if claim.region != expected.region {
        format!(
            "Credential should be scoped to a valid region, not '{}'; this endpoint is in '{}'. ",
            claim.region, expected.region
        )
    } else if claim.date != stamp[..8] {
        format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
             '{}' != '{}', from '{stamp}'.",
            claim.date,
            &stamp[..8]
        )
    } else {
        return Ok(());
    };
    Err(Denied::Signature(wrong))
}

fn check_age(claim: &Claim, now: Stamp) -> Result<(), Denied> {
    const SKEW_S: u64 = limit("clock-skew");
    let text = |seconds: u64| clock::format(Stamp(seconds.saturating_mul(1_000_000)));
    let (now_s, skew_min) = (now.seconds(), SKEW_S / 60);
    let oldest = now_s.saturating_sub(claim.life_s.unwrap_or(SKEW_S));
    if claim.stamp_s > now_s + SKEW_S {
        let newest = text(now_s + SKEW_S);
        return Err(Denied::Signature(format!(
            "Signature not yet current: {} is still later than {newest} ({} + {skew_min} min.)",
            claim.stamp,
            text(now_s)
        )));
    }
    if claim.stamp_s >= oldest {
        return Ok(());
    }
    Err(Denied::Signature(match claim.life_s {
        Some(life_s) => {
            let end = text(claim.stamp_s.saturating_add(life_s));
            format!("Signature expired: {end} is now earlier than {}", text(now_s))
        }
        None => format!(
            "Signature expired: {} is now earlier than {} ({} - {skew_min} min.)",
            claim.stamp,
            text(oldest),
            text(now_s)
        ),
    }))
}

/// Nothing that could change a request's meaning may be added after signing.
fn check_all_signed(parts: &Parts, claim: &Claim) -> Result<(), Denied> {
    let signed = |name: &str| claim.signed_headers.iter().any(|s| s == name);
    if !signed("host") {
        let text = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
        return Err(Denied::Signature(text.into()));
    }
    if claim.stamp_header_is_date && !signed("date") {
        return Err(Denied::Signature("'Date' must be a 'SignedHeader' in the AWS Authorization.".into()));
    }
    let mut names = parts.headers.keys().map(http::HeaderName::as_str);
    match names.find(|name| name.starts_with("x-amz-") && !signed(name)) {
        None => Ok(()),
        Some(name) => {
            let text = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
            Err(Denied::Signature(text))
        }
    }
}

/// What stands for the body in the canonical request, after it was compared with the body itself.
fn payload(parts: &Parts, body: &[u8], claim: &Claim, service: &str) -> Result<String, Denied> {
    let given = parts.headers.get("x-amz-content-sha256").map(|value| value.to_str().unwrap_or_default());
    match given {
        Some(UNSIGNED_PAYLOAD) => Ok(UNSIGNED_PAYLOAD.into()),
        None if claim.life_s.is_some() && service == "s3" => Ok(UNSIGNED_PAYLOAD.into()),
        None => Ok(canonical::body_hash(body)),
        Some(hash) => {
            let actual = canonical::body_hash(body);
            if hash.eq_ignore_ascii_case(&actual) {
                Ok(hash.into())
            } else {
                Err(Denied::Signature(MISMATCH.into()))
            }
        }
    }
}
