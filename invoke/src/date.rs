//! Times as log streams and log lines write them.

use jiff::Timestamp;
use world::Stamp;

/// `2026/01/31`.
pub(crate) fn day(stamp: Stamp) -> String {
    timestamp(stamp).strftime("%Y/%m/%d").to_string()
}

/// `2026-01-31T12:00:00.000Z`.
pub(crate) fn rfc3339(stamp: Stamp) -> String {
    timestamp(stamp).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn timestamp(stamp: Stamp) -> Timestamp {
    i64::try_from(stamp.0).ok().and_then(|us| Timestamp::from_microsecond(us).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let stamp = Stamp(1_767_225_600_000_000 + 86_399_123_456);
        assert_eq!(day(stamp), "2026/01/01");
        assert_eq!(rfc3339(stamp), "2026-01-01T23:59:59.123Z");
        assert_eq!(day(Stamp(u64::MAX)), "1970/01/01");
    }
}
