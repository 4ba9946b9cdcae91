//! Moments on the wire.

use crate::TimeFormat;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// A moment, in microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time {
    /// Microseconds since 1970 UTC.
    pub us: i64,
}

const SECOND_US: i64 = 1_000_000;

impl Time {
    /// From seconds, as JSON carries them; `None` outside the years -9999 to 9999.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let us = (seconds * 1e6).round();
        let bound = Timestamp::MAX.as_microsecond() as f64;
        (us.is_finite() && us.abs() <= bound).then_some(Self { us: us as i64 })
    }

    /// Seconds since 1970, with the fraction.
    pub fn seconds(self) -> f64 {
        self.us as f64 / 1e6
    }

    /// Reads text in `format`. Fractions of a second are kept in every format.
    pub fn parse(text: &str, format: TimeFormat) -> Option<Self> {
        match format {
            TimeFormat::Epoch => Self::from_seconds(text.parse().ok()?),
            TimeFormat::Iso8601 => {
                text.parse::<Timestamp>().ok().map(|stamp| Self { us: stamp.as_microsecond() })
            }
            TimeFormat::HttpDate => parse_http_date(text),
        }
    }

    /// Writes it in `format`; HTTP dates lose the fraction.
    pub fn format(self, format: TimeFormat) -> String {
        let whole = self.us % SECOND_US == 0;
        if format == TimeFormat::Epoch {
            return if whole { (self.us / SECOND_US).to_string() } else { self.seconds().to_string() };
        }
        let stamp = Timestamp::from_microsecond(self.us).unwrap_or_default();
        match format {
            TimeFormat::HttpDate => {
                rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&stamp).unwrap_or_default()
            }
            _ => stamp.to_string(),
        }
    }
}

fn parse_http_date(text: &str) -> Option<Time> {
    let whole = |text: &str| rfc2822::parse(text).ok().map(|zoned| zoned.timestamp().as_microsecond());
    let Some((head, rest)) = text.split_once('.') else {
        return whole(text).map(|us| Time { us });
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let fraction: f64 = format!("0.{}", &rest[..digits]).parse().ok()?;
    let us = whole(&format!("{head}{}", &rest[digits..]))?;
    Some(Time { us: us + (fraction * 1e6).round() as i64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_reads_what_it_writes() {
        let whole = Time { us: 1_398_796_238 * SECOND_US };
        let cases = [
            (TimeFormat::Epoch, "1398796238"),
            (TimeFormat::Iso8601, "2014-04-29T18:30:38Z"),
            (TimeFormat::HttpDate, "Tue, 29 Apr 2014 18:30:38 GMT"),
        ];
        for (format, text) in cases {
            assert_eq!(whole.format(format), text);
            assert_eq!(Time::parse(text, format), Some(whole), "{text}");
        }
    }

    #[test]
    fn fractions_and_offsets() {
        let check =
            |text: &str, format, us| assert_eq!(Time::parse(text, format), Some(Time { us }), "{text}");
        check("946845296.123", TimeFormat::Epoch, 946_845_296_123_000);
        check("2000-01-02T20:34:56.123Z", TimeFormat::Iso8601, 946_845_296_123_000);
        check("2019-12-16T22:48:18-01:00", TimeFormat::Iso8601, 1_576_540_098_000_000);
        check("Sun, 02 Jan 2000 20:34:56.456 GMT", TimeFormat::HttpDate, 946_845_296_456_000);
        assert_eq!(Time { us: 946_845_296_123_000 }.format(TimeFormat::Iso8601), "2000-01-02T20:34:56.123Z");
        assert_eq!(Time { us: 1_500_000 }.format(TimeFormat::Epoch), "1.5");
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, format) in [
            ("yesterday", TimeFormat::Iso8601),
            ("NaN", TimeFormat::Epoch),
            ("1e300", TimeFormat::Epoch),
            ("Tue, 29 Apr 2014", TimeFormat::HttpDate),
            ("Sun, 02 Jan 2000 20:34:56.", TimeFormat::HttpDate),
        ] {
            assert_eq!(Time::parse(text, format), None, "{text}");
        }
    }
}
