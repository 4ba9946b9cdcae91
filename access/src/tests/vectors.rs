//! The signature cases that AWS publishes with its C library. They are not part of the repository.

use crate::canonical::{self, KeyScope, PathRule, TERMINATOR, UNSIGNED_PAYLOAD};
use crate::claim::Claim;
use crate::verify::{self, Expected};
use crate::{Denied, clock};
use hmac::Mac;
use http::Request;
use http::request::Parts;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use world::Stamp;

/// Signed requests that a server must refuse, and why.
const REFUSED: [(&str, &str); 1] =
    [("post-sts-header-after", "its session token was added after signing, so it is not protected")];

fn cases() -> Option<Vec<PathBuf>> {
    let given = std::env::var_os("DAYFLY_CONFORMANCE").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let folder = given.unwrap_or_else(beside).join("sigv4/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    cases.sort();
    Some(cases)
}

fn read(case: &Path, name: &str) -> String {
    fs::read_to_string(case.join(name)).unwrap_or_else(|e| panic!("{}/{name}: {e}", case.display()))
}

/// Reads a request as an HTTP server does: folded header lines become one.
fn parse(text: &str) -> (Parts, Vec<u8>) {
    let text = text.replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines: Vec<String> = Vec::new();
    for line in head.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => *last = format!("{last} {}", line.trim()),
            _ => lines.push(line.to_owned()),
        }
    }
    let (method, target) = lines[0].split_once(' ').expect("a method and a target");
    let target = target.trim_end_matches(" HTTP/1.1");
    let target: String = target.bytes().map(as_sent).collect();
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in lines[1..].iter().filter_map(|line| line.split_once(':')) {
        request = request.header(name, value.trim());
    }
    let parts = request.body(()).expect("a valid request").into_parts().0;
    let length = parts.headers.get("content-length").and_then(|v| v.to_str().ok()?.parse().ok());
    (parts, body.as_bytes()[..length.unwrap_or(0)].to_vec())
}

/// What clients encode before they send it.
fn as_sent(byte: u8) -> String {
    if byte == b' ' || !byte.is_ascii() { format!("%{byte:02X}") } else { char::from(byte).to_string() }
}

struct Case {
    name: String,
    context: Value,
    stamp: String,
    secret: String,
}

impl Case {
    fn read(path: &Path) -> Self {
        let context: Value = serde_json::from_str(&read(path, "context.json")).expect("JSON");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Self {
            name: path.file_name().expect("a name").to_string_lossy().into_owned(),
            stamp: text(&context["timestamp"]).replace(['-', ':'], ""),
            secret: text(&context["credentials"]["secret_access_key"]),
            context,
        }
    }

    /// The cases encode paths once, as S3 does, and say whether to normalise.
    fn rule(&self) -> PathRule {
        PathRule { normalize: self.context["normalize"] == true, encode_again: false }
    }

    fn verify(&self, parts: &Parts, body: &[u8]) -> Result<(), Denied> {
        let now = Stamp(clock::parse(&self.stamp).expect("a timestamp") * 1_000_000);
        let expected = Expected { region: "us-east-1", service: "service", now, rule: self.rule() };
        let claim = Claim::read(parts)?;
        verify::check_scope_and_age(&claim, &expected)?;
        verify::check_signature(parts, body, (&claim, &self.secret), &expected)
    }
}

fn check(path: &Path, form: &str) {
    let case = Case::read(path);
    let label = format!("{} by {form}", case.name);
    let (parts, body) = parse(&read(path, &format!("{form}-signed-request.txt")));
    if REFUSED.iter().any(|(name, _)| *name == case.name) {
        assert!(matches!(case.verify(&parts, &body), Err(Denied::Signature(_))), "{label} is refused");
        return;
    }
    let wanted = read(path, &format!("{form}-canonical-request.txt"));
    let payload = wanted.rsplit('\n').next().expect("a last line").to_owned();
    assert!(payload == UNSIGNED_PAYLOAD || payload == canonical::body_hash(&body), "{label}: payload");
    let claim = Claim::read(&parts).unwrap_or_else(|e| panic!("{label}: {e}"));
    let signed: Vec<&str> = claim.signed_headers.iter().map(String::as_str).collect();
    let made = canonical::request(&parts, &signed, &payload, case.rule());
    assert_eq!(made.as_deref(), Some(wanted.as_str()), "{label}: canonical request");
    let scope = KeyScope { date: &case.stamp[..8], region: "us-east-1", service: "service" };
    let string_to_sign = canonical::string_to_sign(&case.stamp, &scope.text(), &wanted);
    assert_eq!(string_to_sign, read(path, &format!("{form}-string-to-sign.txt")), "{label}");
    let signature = canonical::hex(&scope.seal(&case.secret, &case.stamp, &wanted).finalize().into_bytes());
    assert_eq!(signature, read(path, &format!("{form}-signature.txt")), "{label}: signature");
    assert_eq!(case.verify(&parts, &body), Ok(()), "{label}: verification");
    assert_eq!(claim.terminator, TERMINATOR);
}

#[test]
fn published_cases() {
    let Some(cases) = cases() else {
        println!("skipped: published_cases (no conformance data; set DAYFLY_CONFORMANCE)");
        return;
    };
    assert!(cases.len() >= 38, "all cases are there");
    for case in cases {
        check(&case, "header");
        check(&case, "query");
    }
}
