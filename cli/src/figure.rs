//! Numbers as people read them: sizes, times, prices.

use jiff::Timestamp;

/// A size; a megabyte is 1024 × 1024 bytes, as on AWS.
pub fn bytes(count: u64) -> String {
    const STEPS: [(&str, u64); 3] = [("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)];
    match STEPS.iter().find(|(_, step)| count >= *step) {
        Some((unit, step)) => {
            let whole = count as f64 / *step as f64;
            format!("{whole:.*} {unit}", usize::from(whole < 100.0))
        }
        None => format!("{count} B"),
    }
}

/// Microseconds as milliseconds, with as many digits as matter.
pub fn milliseconds(micros: u64) -> String {
    let ms = micros as f64 / 1000.0;
    let digits = match ms {
        _ if micros == 0 => 0,
        ms if ms < 10.0 => 2,
        ms if ms < 100.0 => 1,
        _ => 0,
    };
    format!("{ms:.digits$}")
}

/// Mebibytes, one digit.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// Billionths of a dollar as dollars: two digits, or enough to show two that are not zero.
pub fn dollars(nanodollars: f64) -> String {
    let dollars = nanodollars / 1e9;
    if dollars == 0.0 || dollars >= 0.995 {
        return format!("${dollars:.2}");
    }
    let zeros = (-dollars.log10()).floor().max(0.0) as usize;
    format!("${dollars:.*}", zeros + 2)
}

/// A level of isolation, and where to find what it lacks.
pub fn isolation(level: u8) -> String {
    let more = if level < 3 { "; dayfly doctor says what is missing" } else { "" };
    format!("level {level} of 3{more}")
}

/// Seconds as people say them: `90 s`, `5 min`, `14 d`.
pub fn duration(seconds: u64) -> String {
    match seconds {
        s if s >= 172_800 && s.is_multiple_of(86_400) => format!("{} d", s / 86_400),
        s if s >= 7200 && s.is_multiple_of(3600) => format!("{} h", s / 3600),
        s if s >= 120 && s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// `2026-11-23T07:24:01.123Z`.
pub fn instant(micros: u64) -> String {
    i64::try_from(micros)
        .ok()
        .and_then(|us| Timestamp::from_microsecond(us).ok())
        .map_or_else(|| micros.to_string(), |stamp| stamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// A time as AWS Lambda writes it, `2026-11-23T08:07:19.371+0000`, in whole seconds since 1970.
pub fn parse_modified(text: &str) -> Option<u64> {
    let time = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).ok()?.to_timestamp().ok()?;
    u64::try_from(time.as_second()).ok()
}

/// How long ago, roughly: `12 s ago`, `3 h ago`.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// `1` → `1 file`, `2` → `2 files`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The middle value; the mean of the two middle ones where there are two.
pub fn median(values: &mut [u64]) -> Option<u64> {
    values.sort_unstable();
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[half]),
        _ => Some(values[half - 1].midpoint(values[half])),
    }
}

/// A span such as `90s`, `15m`, `1h`, `2d` in seconds; a bare number is seconds.
pub fn parse_span(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        unit => return Err(format!("unit {unit:?} is none of s, m, h, d, w")),
    };
    let number: u64 =
        digits.parse().map_err(|_| format!("{text:?} is no span such as 90s, 15m, 1h or 2d"))?;
    number.checked_mul(factor).ok_or_else(|| format!("{text:?} is too long"))
}

/// A size such as `500MB`, `1GB` or plain bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let factor = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1_u64 << 30,
        unit => return Err(format!("unit {unit:?} is none of B, KB, MB, GB")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is no size such as 500MB or 1GB"))?;
    number.checked_mul(factor).ok_or_else(|| format!("{text:?} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(
            [0, 1023, 1536, 5 << 20, 300 << 20, 3 << 30].map(bytes),
            ["0 B", "1023 B", "1.5 kB", "5.0 MB", "300 MB", "3.0 GB"]
        );
        assert_eq!([0, 420, 12_345, 1_234_567].map(milliseconds), ["0", "0.42", "12.3", "1235"]);
        assert_eq!(
            [0.0, 202_083_333.0, 2_083.0, 1.5e9, 0.4].map(dollars),
            ["$0.00", "$0.20", "$0.0000021", "$1.50", "$0.00000000040"]
        );
        assert_eq!(isolation(3), "level 3 of 3");
        assert_eq!(isolation(2), "level 2 of 3; dayfly doctor says what is missing");
        assert_eq!([30, 300, 86_400, 1_209_600].map(duration), ["30 s", "5 min", "24 h", "14 d"]);
        assert_eq!([3, 90, 7200, 200_000].map(age), ["3 s ago", "1 min ago", "2 h ago", "2 d ago"]);
        assert_eq!(parse_modified("2026-01-01T00:00:01.371+0000"), Some(1_767_225_601));
        assert_eq!(parse_modified("yesterday"), None);
        assert_eq!(instant(1_767_225_600_123_456), "2026-01-01T00:00:00.123Z");
    }

    #[test]
    fn middles() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3, 1, 2]), Some(2));
        assert_eq!(median(&mut [4, 1, 2, 3]), Some(2));
    }

    #[test]
    fn spans_and_sizes() {
        let check = |text: &str, seconds| assert_eq!(parse_span(text).ok(), seconds, "{text}");
        check("90", Some(90));
        check("15m", Some(900));
        check("2d", Some(172_800));
        check("1y", None);
        check("", None);
        check("h", None);
        check("18446744073709551615w", None);
        assert_eq!(parse_bytes("500MB").ok(), Some(500 << 20));
        assert_eq!(parse_bytes("12").ok(), Some(12));
        assert!(parse_bytes("1 parsec").is_err());
    }
}
