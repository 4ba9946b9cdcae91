//! Function names, and every form in which a client may write one.

use crate::Place;
use std::fmt;

/// The qualifier of the mutable head of a function.
pub const LATEST: &str = "$LATEST";

/// The qualifier of a published head, which no function has yet.
const LATEST_PUBLISHED: &str = "$LATEST.PUBLISHED";
const NAME_MAX: usize = 64;
const QUALIFIER_MAX: usize = 128;

/// A function's name: 1 to 64 of `[a-zA-Z0-9-_]`. Safe in paths, host names and ARNs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionName(String);

/// Why a text does not name a function of this platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text breaks the naming rule.
    #[error("{0:?} is not a function name: use 1 to 64 letters, digits, '-' and '_'")]
    Malformed(String),
    /// The name and the `Qualifier` parameter disagree.
    #[error("the qualifier in the name ({in_name}) and the parameter ({parameter}) disagree")]
    TwoQualifiers {
        /// The one in the name.
        in_name: String,
        /// The one in the query string.
        parameter: String,
    },
    /// It names another account or region; the full ARN.
    #[error("{0:?} belongs to another account or region")]
    Elsewhere(String),
}

impl FunctionName {
    /// Accepts a bare name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fits = (1..=NAME_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits { Ok(Self(text.into())) } else { Err(NameError::Malformed(text.into())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A function and, where the client gave one, its version or alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionAddress {
    /// The function.
    pub name: FunctionName,
    /// `$LATEST`, a version number or an alias name; `None` where the client gave none.
    pub qualifier: Option<String>,
}

impl FunctionAddress {
    /// Reads a full ARN, or what is left of one without its beginning: `region:account:function:name`,
    /// `account:function:name`, `account:name`, `function:name` or `name`, each with or without `:qualifier`. Joins the
    /// `Qualifier` parameter to it.
    pub fn parse(text: &str, parameter: Option<&str>, place: &Place) -> Result<Self, NameError> {
        let (name, in_name) = split(text, place)?;
        let qualifier = match (in_name, parameter) {
            (Some(a), Some(b)) if a != b => {
                return Err(NameError::TwoQualifiers { in_name: a.into(), parameter: b.into() });
            }
            (a, b) => a.or(b),
        };
        if let Some(q) = qualifier
            && !is_qualifier(q)
        {
            return Err(NameError::Malformed(q.into()));
        }
        Ok(Self { name: FunctionName::parse(name)?, qualifier: qualifier.map(Into::into) })
    }
}

/// The name and the qualifier. What may be left out is read as left out only where nothing else fits, as the service
/// model's pattern does; but a region counts only before an account, for `my-fn-1:2` is a name and a version.
fn split<'a>(text: &'a str, place: &Place) -> Result<(&'a str, Option<&'a str>), NameError> {
    let parts: Vec<&str> = text.split(':').collect();
    let (region, rest) = match parts.as_slice() {
        ["arn", _, "lambda", region, rest @ ..] => (Some(*region), rest),
        [region, account, _, ..] if is_account(account) => (Some(*region), &parts[1..]),
        rest => (None, rest),
    };
    let (account, rest) = match rest {
        [account, next, ..] if is_account(account) && *next != LATEST => (Some(*account), &rest[1..]),
        rest => (None, rest),
    };
    let (name, qualifier) = match rest {
        ["function", name] if *name != LATEST => (*name, None),
        [name] => (*name, None),
        [name, qualifier] | ["function", name, qualifier] => (*name, Some(*qualifier)),
        _ => return Err(NameError::Malformed(text.into())),
    };
    let (region, account) = (region.unwrap_or(&place.region), account.unwrap_or(&place.account));
    if (region, account) == (&place.region, &place.account) {
        return Ok((name, qualifier));
    }
    let qualifier = qualifier.map_or_else(String::new, |qualifier| format!(":{qualifier}"));
    Err(NameError::Elsewhere(format!("arn:aws:lambda:{region}:{account}:function:{name}{qualifier}")))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_qualifier(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    [LATEST, LATEST_PUBLISHED].contains(&text)
        || ((1..=QUALIFIER_MAX).contains(&text.len()) && text.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str, parameter: Option<&str>) -> Result<(String, Option<String>), NameError> {
        FunctionAddress::parse(text, parameter, &Place::default()).map(|a| (a.name.to_string(), a.qualifier))
    }

    #[test]
    fn every_form_names_the_same_function() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:hello";
        let parts = ["us-east-1:000000000000:function:hello", "000000000000:function:hello"];
        for form in [parts[0], parts[1], "000000000000:hello", "function:hello", "hello", arn] {
            assert_eq!(address(form, None), Ok(("hello".into(), None)), "{form}");
            let qualified = format!("{form}:$LATEST");
            assert_eq!(address(&qualified, None), Ok(("hello".into(), Some(LATEST.into()))), "{form}");
            assert_eq!(address(form, Some("7")), Ok(("hello".into(), Some("7".into()))), "{form}");
        }
    }

    #[test]
    fn names_that_look_like_parts_of_an_arn() {
        for (text, name, qualifier) in [
            ("function", "function", None),
            ("function:$LATEST", "function", Some(LATEST)),
            ("function:function:1", "function", Some("1")),
            ("000000000000", "000000000000", None),
            ("000000000000:$LATEST", "000000000000", Some(LATEST)),
            ("my-fn-1:2", "my-fn-1", Some("2")),
            ("us-east-1", "us-east-1", None),
            ("hello:$LATEST.PUBLISHED", "hello", Some(LATEST_PUBLISHED)),
        ] {
            assert_eq!(address(text, None), Ok((name.into(), qualifier.map(Into::into))), "{text}");
        }
    }

    #[test]
    fn disagreement_and_foreign_arns_are_refused() {
        assert!(matches!(address("hello:1", Some("2")), Err(NameError::TwoQualifiers { .. })));
        assert_eq!(address("hello:1", Some("1")), Ok(("hello".into(), Some("1".into()))));
        let arn = |place: &str| format!("arn:aws:lambda:{place}:function:hello");
        for (foreign, place) in [
            (arn("eu-west-1:000000000000").as_str(), "eu-west-1:000000000000"),
            ("eu-west-1:000000000000:function:hello", "eu-west-1:000000000000"),
            ("111111111111:function:hello", "us-east-1:111111111111"),
            ("111111111111:hello", "us-east-1:111111111111"),
        ] {
            assert_eq!(address(foreign, None), Err(NameError::Elsewhere(arn(place))), "{foreign}");
        }
    }

    #[test]
    fn names_that_could_be_paths_are_refused() {
        let long = "a".repeat(65);
        for bad in ["", "..", "a/b", "a b", "a\0", "é", "-:x:y:z", "function:a:1:2", "arn:aws:lambda", &long]
        {
            assert!(address(bad, None).is_err(), "{bad:?}");
        }
    }
}
