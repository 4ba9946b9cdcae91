//! Credentials of running functions. Stateless: the token carries its claims and a MAC.

use crate::canonical::mac;
use crate::{Denied, Keys};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::Mac;
use model::{Caller, CallerKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use world::Stamp;

/// A token is far shorter; longer ones are not decoded.
const TOKEN_BYTES: usize = 4096;
const MAC_BYTES: usize = 32;

/// What a session token says about its bearer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionClaims {
    /// The unqualified function ARN.
    #[serde(rename = "f")]
    pub function_arn: String,
    /// The execution role's ARN.
    #[serde(rename = "r")]
    pub role_arn: String,
    /// The instance that the credentials were given to.
    #[serde(rename = "i")]
    pub instance: String,
    /// Seconds since 1970 at which they end.
    #[serde(rename = "e")]
    pub expires_s: u64,
}

/// What a function finds in its environment.
#[derive(Clone, PartialEq, Eq)]
pub struct FunctionCredentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub token: String,
}

impl fmt::Debug for FunctionCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionCredentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// What the platform's secret makes of some claims.
pub(crate) fn issue(keys: &Keys, claims: &FunctionClaims) -> FunctionCredentials {
    let json = serde_json::to_vec(claims).expect("claims are plain text and numbers");
    let mut sealed = labelled(keys, "token", &json).finalize().into_bytes().to_vec();
    sealed.extend_from_slice(&json);
    FunctionCredentials {
        access_key: access_key(keys, &json),
        secret_key: secret_key(keys, &json),
        token: BASE64_URL_SAFE_NO_PAD.encode(sealed),
    }
}

/// The bearer of a token and the secret that it must sign with.
pub(crate) fn open(
    keys: &Keys,
    (key, token): (&str, &str),
    now: Stamp,
) -> Result<(FunctionClaims, String), Denied> {
    if token.len() > TOKEN_BYTES {
        return Err(Denied::UnknownKey);
    }
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| Denied::UnknownKey)?;
    let (seal, json) = sealed.split_at_checked(MAC_BYTES).ok_or(Denied::UnknownKey)?;
    labelled(keys, "token", json).verify_slice(seal).map_err(|_| Denied::UnknownKey)?;
    let claims: FunctionClaims = serde_json::from_slice(json).map_err(|_| Denied::UnknownKey)?;
    if key != access_key(keys, json) {
        return Err(Denied::UnknownKey);
    }
    if now.seconds() >= claims.expires_s {
        return Err(Denied::Expired);
    }
    Ok((claims, secret_key(keys, json)))
}

/// The principal that a function acts as: a session of its role, named after the function.
pub(crate) fn caller(claims: &FunctionClaims, access_key: &str) -> Caller {
    let account = claims.function_arn.split(':').nth(4).unwrap_or_default().to_owned();
    let role = claims.role_arn.rsplit('/').next().unwrap_or_default();
    let function = claims.function_arn.rsplit(':').next().unwrap_or_default();
    let role_id = base32(&Sha256::digest(claims.role_arn.as_bytes())[..10]);
    Caller {
        kind: CallerKind::Function,
        arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{function}"),
        account,
        user_id: format!("AROA{role_id}:{function}"),
        instance: claims.instance.clone(),
        access_key: access_key.into(),
    }
}

fn access_key(keys: &Keys, json: &[u8]) -> String {
    format!("ASIA{}", base32(&labelled(keys, "key id", json).finalize().into_bytes()[..10]))
}

fn secret_key(keys: &Keys, json: &[u8]) -> String {
    BASE64_STANDARD.encode(&labelled(keys, "secret key", json).finalize().into_bytes()[..30])
}

fn labelled(keys: &Keys, label: &str, json: &[u8]) -> hmac::Hmac<Sha256> {
    let mut sum = mac(&keys.session_secret, label.as_bytes());
    sum.update(&[0]);
    sum.update(json);
    sum
}

/// RFC 4648 base 32 without padding; `bytes` must come in fives.
pub(crate) fn base32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digit = |word: u64, place: u32| char::from(DIGITS[(word >> (5 * place) & 31) as usize]);
    bytes
        .chunks_exact(5)
        .map(|five| five.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte)))
        .flat_map(|word| (0..8).rev().map(move |place| digit(word, place)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RootKey;
    use world::World;

    fn keys(seed: u64) -> Keys {
        let world = World::simulated(seed);
        Keys::fresh(RootKey::draw(&world), &world)
    }

    fn claims() -> FunctionClaims {
        FunctionClaims {
            function_arn: "arn:aws:lambda:us-east-1:000000000000:function:hello".into(),
            role_arn: "arn:aws:iam::000000000000:role/service-role/runner".into(),
            instance: "i-1".into(),
            expires_s: 1_000,
        }
    }

    #[test]
    fn a_token_names_its_bearer_until_it_expires() {
        let keys = keys(1);
        let given = issue(&keys, &claims());
        assert_eq!((given.access_key.len(), given.secret_key.len()), (20, 40));
        let at = |s: u64| open(&keys, (&given.access_key, &given.token), Stamp(s * 1_000_000));
        assert_eq!(at(999), Ok((claims(), given.secret_key.clone())));
        assert_eq!(at(1_000), Err(Denied::Expired));
        let caller = caller(&claims(), &given.access_key);
        assert_eq!(caller.arn, "arn:aws:sts::000000000000:assumed-role/runner/hello");
        assert!(caller.user_id.starts_with("AROA") && caller.user_id.ends_with(":hello"));
    }

    #[test]
    fn altered_and_foreign_tokens_are_unknown() {
        let (keys, others) = (keys(1), keys(2));
        let given = issue(&keys, &claims());
        let stamp = Stamp(0);
        for at in 0..given.token.len() {
            let mut token = given.token.clone().into_bytes();
            token[at] = if token[at] == b'A' { b'B' } else { b'A' };
            let token = String::from_utf8(token).expect("still ASCII");
            assert_eq!(open(&keys, (&given.access_key, &token), stamp), Err(Denied::UnknownKey), "{at}");
        }
        assert_eq!(open(&others, (&given.access_key, &given.token), stamp), Err(Denied::UnknownKey));
        assert_eq!(open(&keys, ("ASIAAAAAAAAAAAAAAAAA", &given.token), stamp), Err(Denied::UnknownKey));
        for token in ["", "x", &"A".repeat(5000)] {
            assert_eq!(open(&keys, (&given.access_key, token), stamp), Err(Denied::UnknownKey));
        }
    }

    #[test]
    fn base32_is_rfc_4648() {
        assert_eq!(base32(b"fooba"), "MZXW6YTB");
    }
}
