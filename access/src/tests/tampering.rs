//! Whatever is changed after signing is noticed.

use super::requests::{access, request, root, scope};
use crate::{Denied, FunctionClaims, presign, sign};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use std::time::Duration;

/// A change of a signed request; `false` where it does not apply to this one.
type Change = (&'static str, fn(&mut Parts, &mut Vec<u8>) -> bool);

fn set(parts: &mut Parts, name: &'static str, change: impl Fn(&str) -> String) -> bool {
    let Some(value) = parts.headers.get(name).and_then(|v| v.to_str().ok()) else { return false };
    let value = HeaderValue::from_str(&change(value)).expect("still a header");
    parts.headers.insert(HeaderName::from_static(name), value) != parts.headers.get(name).cloned()
}

fn set_uri(parts: &mut Parts, change: impl Fn(&str) -> String) -> bool {
    let before = parts.uri.to_string();
    parts.uri = change(&before).parse().expect("still a URI");
    parts.uri.to_string() != before
}

fn add(parts: &mut Parts, name: &'static str) -> bool {
    parts.headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
    true
}

const HEADER_CHANGES: &[Change] = &[
    ("host", |p, _| set(p, "host", |v| format!("{v}0"))),
    ("date", |p, _| set(p, "x-amz-date", |v| v.replace("00Z", "01Z"))),
    ("content type", |p, _| set(p, "content-type", |_| "text/plain".into())),
    ("service header", |p, _| set(p, "x-amz-log-type", |_| "None".into())),
    ("service header dropped", |p, _| p.headers.remove("x-amz-log-type").is_some()),
    ("service header doubled", |p, _| add(p, "x-amz-log-type")),
    ("unsigned service header", |p, _| add(p, "x-amz-invocation-type")),
    ("hash", |p, _| set(p, "x-amz-content-sha256", |_| "UNSIGNED-PAYLOAD".into())),
    ("hash dropped", |p, _| p.headers.remove("x-amz-content-sha256").is_some()),
    ("token", |p, _| set(p, "x-amz-security-token", |v| format!("{v}A"))),
    ("token dropped", |p, _| p.headers.remove("x-amz-security-token").is_some()),
    ("region", |p, _| set(p, "authorization", |v| v.replace("us-east-1", "us-east-2"))),
    ("service", |p, _| set(p, "authorization", |v| v.replace("/lambda/", "/sts/"))),
    ("terminator", |p, _| set(p, "authorization", |v| v.replace("aws4_request", "aws5_request"))),
    ("scope date", |p, _| set(p, "authorization", |v| v.replace("/20260101/", "/20260102/"))),
    ("key", |p, _| set(p, "authorization", |v| v.replace("Credential=A", "Credential=B"))),
    ("signed names", |p, _| set(p, "authorization", |v| v.replace("content-type;", ""))),
    ("host unsigned", |p, _| set(p, "authorization", |v| v.replace("host;", ""))),
    ("signature cut", |p, _| set(p, "authorization", |v| v[..v.len() - 1].into())),
    ("algorithm", |p, _| set(p, "authorization", |v| v.replace("SHA256", "SHA1"))),
    ("signature missing", |p, _| p.headers.remove("authorization").is_some()),
];

const COMMON_CHANGES: &[Change] = &[
    ("method", |p, _| std::mem::replace(&mut p.method, Method::DELETE) != Method::DELETE),
    ("path", |p, _| set_uri(p, |u| u.replacen("functions", "function", 1))),
    ("parameter added", |p, _| {
        set_uri(p, |u| format!("{u}{}Extra=1", if u.contains('?') { '&' } else { '?' }))
    }),
    ("parameter changed", |p, _| set_uri(p, |u| u.replacen("Qualifier=", "Qualifier=0", 1))),
    ("parameter renamed", |p, _| set_uri(p, |u| u.replacen("Qualifier=", "qualifier=", 1))),
    ("body", |_, body| {
        body.push(b' ');
        true
    }),
];

const QUERY_CHANGES: &[Change] = &[
    ("host", |p, _| set(p, "host", |v| format!("{v}0"))),
    ("life", |p, _| set_uri(p, |u| u.replace("Expires=600", "Expires=601"))),
    ("life negative", |p, _| set_uri(p, |u| u.replace("Expires=600", "Expires=-1"))),
    ("date", |p, _| set_uri(p, |u| u.replace("00Z", "01Z"))),
    ("region", |p, _| set_uri(p, |u| u.replace("us-east-1", "us-east-2"))),
    ("names", |p, _| set_uri(p, |u| u.replace("content-type%3B", ""))),
    ("signature", |p, _| set_uri(p, |u| u.replace("Signature=", "Signature=0"))),
    ("signature dropped", |p, _| set_uri(p, |u| u.split("&X-Amz-Signature").next().unwrap().into())),
    ("life doubled", |p, _| set_uri(p, |u| format!("{u}&X-Amz-Expires=604800"))),
    ("both forms", |p, _| add(p, "authorization")),
    ("service header", |p, _| add(p, "x-amz-invocation-type")),
];

fn target() -> impl Strategy<Value = String> {
    let name = "[a-zA-Z0-9_-]{1,20}|arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Ahello";
    let query =
        prop_oneof![Just(String::new()), "\\?Qualifier=[a-z%0-9]{0}[a-z0-9.~-]{0,8}(&Tag=%20%2B[a-z]{1,3})?"];
    (name, query).prop_map(|(name, query)| format!("/2015-03-31/functions/{name}/invocations{query}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn header_signatures(target in target(), mut body in prop::collection::vec(any::<u8>(), 0..64), temporary: bool) {
        let (access, world) = access();
        let mut credentials = root(&access);
        if temporary {
            let given = access.function_credentials(&FunctionClaims {
                function_arn: "arn:aws:lambda:us-east-1:000000000000:function:hello".into(),
                role_arn: "arn:aws:iam::000000000000:role/r".into(),
                instance: "i".into(),
                expires_s: u64::MAX,
            });
            (credentials.access_key, credentials.secret_key) = (given.access_key, given.secret_key);
            credentials.token = Some(given.token);
        }
        let mut parts = request("POST", &target);
        sign(&mut parts, &body, &credentials, scope(&world)).expect("signs");
        prop_assert!(access.identify(&parts, &body, "lambda").is_ok());
        prop_assert!(access.identify(&parts, &body, "sts").is_err());
        for (name, change) in HEADER_CHANGES.iter().chain(COMMON_CHANGES) {
            let (mut changed, mut other) = (parts.clone(), body.clone());
            if change(&mut changed, &mut other) {
                prop_assert!(access.identify(&changed, &other, "lambda").is_err(), "{name} was not noticed");
            }
        }
        body.clear();
    }

    #[test]
    fn presigned_urls(target in target()) {
        let (access, world) = access();
        let mut parts = request("GET", &target);
        parts.headers.remove("x-amz-log-type");
        presign(&mut parts, &root(&access), scope(&world), 600).expect("signs");
        prop_assert!(access.identify(&parts, b"", "lambda").is_ok());
        for (name, change) in QUERY_CHANGES.iter().chain(COMMON_CHANGES) {
            let (mut changed, mut body) = (parts.clone(), Vec::new());
            if change(&mut changed, &mut body) {
                prop_assert!(access.identify(&changed, &body, "lambda").is_err(), "{name} was not noticed");
            }
        }
    }
}

#[test]
fn every_digit_of_a_signature_counts() {
    let (access, world) = access();
    let mut parts = request("GET", "/2015-03-31/functions");
    sign(&mut parts, b"", &root(&access), scope(&world)).expect("signs");
    let whole = parts.headers["authorization"].to_str().expect("text").to_owned();
    for at in whole.len() - 64..whole.len() {
        let digit = if &whole[at..=at] == "0" { "1" } else { "0" };
        let altered = format!("{}{digit}{}", &whole[..at], &whole[at + 1..]);
        parts.headers.insert("authorization", altered.parse().expect("a header"));
        assert!(matches!(access.identify(&parts, b"", "lambda"), Err(Denied::Signature(_))), "{at}");
    }
}

#[test]
fn signatures_age() {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let (access, world) = access();
    world.advance(minutes(60));
    for (before, after, accepted) in [(0, 14, true), (0, 16, false), (14, 0, true), (16, 0, false)] {
        let mut parts = request("GET", "/2015-03-31/functions");
        let mut scope = scope(&world);
        scope.now.0 += before * 60_000_000;
        scope.now.0 -= after * 60_000_000;
        sign(&mut parts, b"", &root(&access), scope).expect("signs");
        let answer = access.identify(&parts, b"", "lambda");
        assert_eq!(answer.is_ok(), accepted, "{before} minutes ahead, {after} behind");
        let Err(denied) = answer else { continue };
        let text = denied.to_string();
        let wanted = if before > 0 {
            "Signature not yet current: 20260101T011600Z is still later than 20260101T011500Z (20260101T010000Z + 15 min.)"
        } else {
            "Signature expired: 20260101T004400Z is now earlier than 20260101T004500Z (20260101T010000Z - 15 min.)"
        };
        assert_eq!(text, wanted);
    }
}

#[test]
fn presigned_urls_live_as_long_as_they_say() {
    let (access, world) = access();
    for (life_s, later_s, accepted) in
        [(600, 600, true), (600, 601, false), (604_800, 604_800, true), (604_801, 0, false), (0, 0, true)]
    {
        let mut parts = request("GET", "/2015-03-31/functions");
        parts.headers.remove("x-amz-log-type");
        presign(&mut parts, &root(&access), scope(&world), life_s).expect("signs");
        world.advance(Duration::from_secs(later_s));
        let answer = access.identify(&parts, b"", "lambda");
        assert_eq!(answer.is_ok(), accepted, "{life_s} after {later_s}: {answer:?}");
    }
}

#[test]
fn denials_say_what_to_do() {
    let (access, world) = access();
    let mut signed = request("GET", "/2015-03-31/functions");
    sign(&mut signed, b"", &root(&access), scope(&world)).expect("signs");
    let denied = |change: fn(&mut Parts)| {
        let mut parts = signed.clone();
        change(&mut parts);
        access.identify(&parts, b"", "lambda").expect_err("is denied")
    };
    assert_eq!(denied(|p| drop(p.headers.remove("authorization"))), Denied::Unsigned);
    assert_eq!(denied(|p| _ = set(p, "authorization", |v| v.replace("=AKIA", "=AKIB"))), Denied::UnknownKey);
    let text = denied(|p| _ = set(p, "authorization", |_| "AWS4-HMAC-SHA256 Credential=a".into()));
    assert_eq!(
        text,
        Denied::Incomplete(
            "Authorization header requires 'Signature' parameter. Authorization header requires \
             'SignedHeaders' parameter."
                .into()
        )
    );
    let text =
        denied(|p| _ = set(p, "authorization", |v| v.replace("/us-east-1/", "/eu-west-1/"))).to_string();
    assert!(text.starts_with("Credential should be scoped to a valid region, not 'eu-west-1'"), "{text}");
}
