//! How requests name groups and times. Pure.

use crate::LogsError;
use model::Place;

const MS_US: u64 = 1000;

/// The group that a request names, by name or by ARN.
pub(crate) fn group(
    name: Option<String>,
    identifier: Option<String>,
    place: &Place,
) -> Result<String, LogsError> {
    match (name, identifier) {
        (Some(name), None) => Ok(name),
        (None, Some(identifier)) => identified(&identifier, place),
        (Some(_), Some(_)) => Err(LogsError::invalid(
            "LogGroup name and LogGroup ARN are mutually exclusive parameters. Please provide only one of them.",
        )),
        (None, None) => {
            Err(LogsError::invalid("Either logGroupName or logGroupIdentifier must be specified."))
        }
    }
}

/// The name of a group that is given by name or ARN.
pub(crate) fn identified(identifier: &str, place: &Place) -> Result<String, LogsError> {
    if !identifier.starts_with("arn:") {
        return Ok(identifier.to_owned());
    }
    let here = place.log_group_arn("");
    let unknown = || LogsError::NotFound("The specified log group does not exist.".into());
    let name = identifier.strip_prefix(&here).ok_or_else(unknown)?;
    Ok(name.strip_suffix(":*").unwrap_or(name).to_owned())
}

/// The first microsecond of a millisecond; the beginning of time where none is given.
pub(crate) fn from_us(ms: Option<i64>) -> u64 {
    ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0).saturating_mul(MS_US)
}

/// The end of a span that leaves out the millisecond `ms`.
pub(crate) fn before_us(ms: Option<i64>) -> u64 {
    ms.map_or(u64::MAX, |ms| from_us(Some(ms)))
}

/// The end of a span that holds the millisecond `ms`.
pub(crate) fn through_us(ms: Option<i64>) -> u64 {
    ms.map_or(u64::MAX, |ms| from_us(Some(ms.saturating_add(1))))
}

/// Milliseconds, as this API counts.
pub(crate) fn millis(us: u64) -> Option<i64> {
    i64::try_from(us / MS_US).ok()
}

/// A limit that a request may lower.
pub(crate) fn limit(asked: Option<i32>, most: usize) -> usize {
    asked.and_then(|asked| usize::try_from(asked).ok()).unwrap_or(most).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_two_forms() {
        let place = Place::default();
        let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/hello";
        let given = |text: &str| Some(text.to_owned());
        for (name, identifier, wanted) in [
            (given("/g"), None, Some("/g")),
            (None, given("/g"), Some("/g")),
            (None, given(arn), Some("/aws/lambda/hello")),
            (None, given(&format!("{arn}:*")), Some("/aws/lambda/hello")),
            (None, given(&arn.replace("us-east-1", "eu-west-1")), None),
            (given("/g"), given("/g"), None),
            (None, None, None),
        ] {
            assert_eq!(group(name, identifier, &place).ok().as_deref(), wanted);
        }
    }

    #[test]
    fn spans() {
        assert_eq!((from_us(None), from_us(Some(5)), from_us(Some(-1))), (0, 5000, 0));
        assert_eq!((before_us(None), before_us(Some(5))), (u64::MAX, 5000));
        assert_eq!((through_us(Some(5)), through_us(Some(i64::MAX))), (6000, u64::MAX));
        assert_eq!(millis(5999), Some(5));
        assert_eq!(
            [limit(None, 50), limit(Some(7), 50), limit(Some(99), 50), limit(Some(0), 50)],
            [50, 7, 50, 1]
        );
    }
}
