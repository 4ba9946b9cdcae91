//! The two forms of time in signatures: `20261123T072443Z` and RFC 2822's.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use world::Stamp;

const BASIC: &str = "%Y%m%dT%H%M%SZ";

/// `20261123T072443Z`.
pub(crate) fn format(stamp: Stamp) -> String {
    let micros = i64::try_from(stamp.0).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX).strftime(BASIC).to_string()
}

/// Seconds since 1970 of a text in the basic form.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let fits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || b == b'T' || b == b'Z');
    let civil = DateTime::strptime(BASIC, text).ok().filter(|_| fits)?;
    u64::try_from(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second()).ok()
}

/// Seconds since 1970 of a `Date` header.
pub(crate) fn parse_http(text: &str) -> Option<u64> {
    u64::try_from(rfc2822::parse(text).ok()?.timestamp().as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let text = "20150830T123600Z";
        assert_eq!(parse(text), Some(1_440_938_160));
        assert_eq!(format(Stamp(1_440_938_160_000_000)), text);
        assert_eq!(parse_http("Sun, 30 Aug 2015 12:36:00 GMT"), Some(1_440_938_160));
        for bad in ["", "20150830", "2015-08-30T12:36:00Z", "20151330T123600Z", "20150830T123600+", "x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
