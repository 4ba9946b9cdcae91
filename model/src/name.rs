//! Function names, and every form in which a client may write one.

use crate::Place;
use std::fmt;

/// The qualifier of the mutable head of a function.
pub const LATEST: &str = "$LATEST";

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
    /// The ARN names another account or region.
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
    /// Reads `name`, `name:qualifier`, `account:function:name[:qualifier]` and full ARNs,
    /// and joins the `Qualifier` parameter to it.
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

fn split<'a>(text: &'a str, place: &Place) -> Result<(&'a str, Option<&'a str>), NameError> {
    let parts: Vec<&str> = text.split(':').collect();
    let elsewhere = || NameError::Elsewhere(text.into());
    match parts.as_slice() {
        ["arn", _, "lambda", region, account, "function", rest @ ..] if (1..=2).contains(&rest.len()) => {
            let here = *region == place.region && *account == place.account;
            if here { Ok((rest[0], rest.get(1).copied())) } else { Err(elsewhere()) }
        }
        [account, "function", rest @ ..] if (1..=2).contains(&rest.len()) => {
            if *account == place.account {
                Ok((rest[0], rest.get(1).copied()))
            } else {
                Err(elsewhere())
            }
        }
        [name] => Ok((name, None)),
        [name, qualifier] => Ok((name, Some(qualifier))),
        _ => Err(NameError::Malformed(text.into())),
    }
}

fn is_qualifier(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text == LATEST || ((1..=QUALIFIER_MAX).contains(&text.len()) && text.bytes().all(plain))
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
        for form in ["hello", "000000000000:function:hello", arn] {
            assert_eq!(address(form, None), Ok(("hello".into(), None)), "{form}");
            let qualified = format!("{form}:$LATEST");
            assert_eq!(address(&qualified, None), Ok(("hello".into(), Some(LATEST.into()))), "{form}");
            assert_eq!(address(form, Some("7")), Ok(("hello".into(), Some("7".into()))), "{form}");
        }
    }

    #[test]
    fn disagreement_and_foreign_arns_are_refused() {
        assert!(matches!(address("hello:1", Some("2")), Err(NameError::TwoQualifiers { .. })));
        assert_eq!(address("hello:1", Some("1")), Ok(("hello".into(), Some("1".into()))));
        let foreign = "arn:aws:lambda:eu-west-1:000000000000:function:hello";
        assert!(matches!(address(foreign, None), Err(NameError::Elsewhere(_))));
        assert!(matches!(address("111111111111:function:hello", None), Err(NameError::Elsewhere(_))));
    }

    #[test]
    fn names_that_could_be_paths_are_refused() {
        let long = "a".repeat(65);
        for bad in ["", "..", "a/b", "a b", "a\0", "é", "-:x:y:z", &long] {
            assert!(address(bad, None).is_err(), "{bad:?}");
        }
    }
}
