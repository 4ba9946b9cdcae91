//! What a request says about its own signature: in the `Authorization` header or in the query string.

use crate::canonical::{ALGORITHM, SIGNATURE_PARAMETER};
use crate::{Denied, clock};
use http::header;
use http::request::Parts;
use model::limit;
use percent_encoding::percent_decode_str;

/// A signature and everything needed to check it. Nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub access_key: String,
    /// `YYYYMMDD`, from the credential scope.
    pub date: String,
    pub region: String,
    pub service: String,
    pub terminator: String,
    pub signed_headers: Vec<String>,
    pub signature: [u8; 32],
    /// `YYYYMMDDTHHMMSSZ`.
    pub stamp: String,
    /// The same in seconds since 1970.
    pub stamp_s: u64,
    /// Whether the stamp came from `Date` because there was no `X-Amz-Date`.
    pub stamp_header_is_date: bool,
    pub token: Option<String>,
    /// How long a presigned URL works, in seconds; `None` for header signatures.
    pub life_s: Option<u64>,
}

impl Claim {
    /// Reads the signature of a request.
    pub(crate) fn read(parts: &Parts) -> Result<Self, Denied> {
        let in_query =
            parameter(parts, SIGNATURE_PARAMETER).is_some() || parameter(parts, "X-Amz-Algorithm").is_some();
        match (parts.headers.get(header::AUTHORIZATION), in_query) {
            (None, false) => Err(Denied::Unsigned),
            (None, true) => from_query(parts),
            (Some(value), false) => from_header(parts, value.to_str().unwrap_or_default()),
            (Some(_), true) => Err(incomplete(
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the \
                 Authorization header should be specified",
            )),
        }
    }
}

fn from_header(parts: &Parts, value: &str) -> Result<Claim, Denied> {
    let Some(fields) = value.strip_prefix(ALGORITHM) else {
        return Err(incomplete(&format!("Unsupported AWS 'algorithm': use {ALGORITHM}.")));
    };
    let field = |name: &str| {
        let named = fields.split(',').filter_map(|f| f.trim().split_once('='));
        named.into_iter().find(|(n, _)| *n == name).map(|(_, v)| v.trim())
    };
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let stamp = match (header("x-amz-date"), header("date")) {
        (Some(text), _) => clock::parse(text).map(|seconds| (text.to_owned(), seconds)),
        (None, Some(text)) => clock::parse(text)
            .or_else(|| clock::parse_http(text))
            .map(|seconds| (clock::format(world::Stamp(seconds * 1_000_000)), seconds)),
        (None, None) => None,
    };
    let missing: Vec<&str> = [
        (field("Credential").is_none(), "Authorization header requires 'Credential' parameter."),
        (field("Signature").is_none(), "Authorization header requires 'Signature' parameter."),
        (field("SignedHeaders").is_none(), "Authorization header requires 'SignedHeaders' parameter."),
        (
            stamp.is_none(),
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        ),
    ]
    .into_iter()
    .filter_map(|(is_missing, text)| is_missing.then_some(text))
    .collect();
    let (Some(credential), Some(signature), Some(signed), Some((stamp, stamp_s))) =
        (field("Credential"), field("Signature"), field("SignedHeaders"), stamp)
    else {
        return Err(incomplete(&missing.join(" ")));
    };
    let [access_key, date, region, service, terminator] = scope_parts(credential)?;
    Ok(Claim {
        access_key,
        date,
        region,
        service,
        terminator,
        signed_headers: header_names(signed),
        signature: signature_bytes(signature)?,
        stamp,
        stamp_s,
        stamp_header_is_date: header("x-amz-date").is_none(),
        token: header("x-amz-security-token").map(Into::into),
        life_s: None,
    })
}

fn from_query(parts: &Parts) -> Result<Claim, Denied> {
    let needed = |name: &str| {
        let text = format!("AWS query-string parameters must include '{name}'.");
        parameter(parts, name).ok_or_else(|| incomplete(&text))
    };
    if needed("X-Amz-Algorithm")? != ALGORITHM {
        return Err(incomplete(&format!("Unsupported AWS 'algorithm': use {ALGORITHM}.")));
    }
    let [access_key, date, region, service, terminator] = scope_parts(&needed("X-Amz-Credential")?)?;
    let stamp = needed("X-Amz-Date")?;
    let stamp_s = clock::parse(&stamp)
        .ok_or_else(|| incomplete("Date must be in ISO-8601 'basic format', such as 20261123T072443Z."))?;
    Ok(Claim {
        access_key,
        date,
        region,
        service,
        terminator,
        signed_headers: header_names(&needed("X-Amz-SignedHeaders")?),
        signature: signature_bytes(&needed(SIGNATURE_PARAMETER)?)?,
        stamp,
        stamp_s,
        stamp_header_is_date: false,
        token: parameter(parts, "X-Amz-Security-Token"),
        life_s: Some(life(&needed("X-Amz-Expires")?)?),
    })
}

fn life(text: &str) -> Result<u64, Denied> {
    const MOST_S: u64 = limit("presign-max");
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(seconds) if digits && seconds <= MOST_S => Ok(seconds),
        Ok(_) if digits => Err(incomplete(&format!(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be \
             less than {MOST_S} seconds"
        ))),
        _ => Err(incomplete("X-Amz-Expires must be a non-negative number of seconds")),
    }
}

fn scope_parts(credential: &str) -> Result<[String; 5], Denied> {
    let parts: Vec<String> = credential.split('/').map(Into::into).collect();
    parts.try_into().map_err(|_| {
        incomplete(&format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/aws4_request, got '{credential}'."
        ))
    })
}

fn header_names(text: &str) -> Vec<String> {
    text.split(';').map(str::to_ascii_lowercase).collect()
}

fn signature_bytes(text: &str) -> Result<[u8; 32], Denied> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let bytes: Option<Vec<u8>> =
        text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
    let malformed = || incomplete("Signature must be 64 hexadecimal digits.");
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(malformed)
}

/// The decoded value of a query parameter; `None` where it is absent or given twice.
fn parameter(parts: &Parts, name: &str) -> Option<String> {
    let mut values = parts
        .uri
        .query()?
        .split('&')
        .filter_map(|piece| piece.split_once('='))
        .filter(|(n, _)| *n == name)
        .map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned());
    let first = values.next();
    if values.next().is_some() { None } else { first }
}

fn incomplete(text: &str) -> Denied {
    Denied::Incomplete(text.into())
}
