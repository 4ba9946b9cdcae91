//! The two forms of time in this API.

use jiff::Timestamp;

fn moment(stamp_us: u64) -> Timestamp {
    i64::try_from(stamp_us).ok().and_then(|us| Timestamp::from_microsecond(us).ok()).unwrap_or(Timestamp::MAX)
}

/// `2026-11-23T07:24:43.123+0000`, as in `LastModified` of functions.
pub(crate) fn modified(stamp_us: u64) -> String {
    moment(stamp_us).strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

/// `2026-11-23T07:24:43.123456Z`, as in the times of function URLs.
pub(crate) fn iso(stamp_us: u64) -> String {
    moment(stamp_us).strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let stamp_us = 1_795_418_683_123_456;
        assert_eq!(modified(stamp_us), "2026-11-23T07:24:43.123+0000");
        assert_eq!(iso(stamp_us), "2026-11-23T07:24:43.123456Z");
        assert_eq!(modified(0), "1970-01-01T00:00:00.000+0000");
    }
}
