//! The operations that the CLI uses, one file per service.

pub mod lambda;
pub mod logs;
pub mod platform;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes one segment of a path, or one value of a query.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}

/// Appends what is there to a path.
fn query(path: String, pairs: &[(&str, Option<String>)]) -> String {
    let given: Vec<String> = pairs
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{}={}", encode(name), encode(value))))
        .collect();
    if given.is_empty() { path } else { format!("{path}?{}", given.join("&")) }
}
