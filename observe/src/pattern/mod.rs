//! CloudWatch Logs filter patterns. Source of the rules: the user guide's page "Filter pattern syntax".

mod json;
mod lexer;
mod terms;

use crate::QueryError;
use regex::Regex;

/// Longest pattern, as the service model says.
const PATTERN_MAX_CHARS: usize = 1024;

/// Decides which messages are wanted.
#[derive(Debug)]
pub(crate) enum Pattern {
    Everything,
    Terms(terms::Terms),
    Json(json::Condition),
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, QueryError> {
        let text = text.trim();
        if text.chars().count() > PATTERN_MAX_CHARS {
            return Err(invalid(format!("it has more than {PATTERN_MAX_CHARS} characters")));
        }
        match text.chars().next() {
            None => Ok(Self::Everything),
            Some('{') => json::parse(text).map(Self::Json),
            Some('[') => Err(invalid("patterns of space-delimited columns, `[...]`, are not served".into())),
            Some(_) => terms::Terms::parse(text).map(Self::Terms),
        }
    }

    pub(crate) fn matches(&self, message: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Terms(terms) => terms.matches(message),
            Self::Json(condition) => serde_json::from_str(message).is_ok_and(|value| condition.holds(&value)),
        }
    }
}

fn invalid(why: String) -> QueryError {
    QueryError::InvalidPattern(why)
}

/// Linear in the message's length, whatever the expression; its compiled size is bounded.
fn regex(expression: &str) -> Result<Regex, QueryError> {
    regex::RegexBuilder::new(expression)
        .size_limit(256 * 1024)
        .build()
        .map_err(|_| invalid(format!("%{expression}% is not a regular expression that is served")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, message: &str) -> bool {
        Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).matches(message)
    }

    #[test]
    fn terms() {
        let cases = [
            ("", "anything", true),
            ("  ", "", true),
            ("ERROR", "an ERROR here", true),
            ("ERROR", "an error here", false),
            ("ERROR ARGUMENTS", "[ERROR 420] INVALID ARGUMENTS", true),
            ("ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", false),
            ("?ERROR ?ARGUMENTS", "[ERROR 400] BAD REQUEST", true),
            ("?ERROR ?ARGUMENTS", "[INFO] REQUEST", false),
            ("?ERROR ?ARGUMENTS REQUEST", "[INFO] REQUEST FAILED", true),
            ("\"INTERNAL SERVER ERROR\"", "[ERROR 500] INTERNAL SERVER ERROR", true),
            ("\"SERVER INTERNAL\"", "[ERROR 500] INTERNAL SERVER ERROR", false),
            ("ERROR -EXITING", "[ERROR 1] EXITING", false),
            ("ERROR -EXITING", "[ERROR 1] GOING", true),
            ("-\"two words\"", "one two words", false),
            ("-\"two words\"", "two or more words", true),
            ("\"a \\\"quoted\\\" b\"", "a \"quoted\" b", true),
            ("%AUTHORIZED%", "UNAUTHORIZED REQUEST", true),
            ("%^[hc]at%", "cat", true),
            ("%^[hc]at%", "a cat", false),
            ("-%colou?r%", "a color", false),
            ("ERROR or Exception", "ERROR Exception", false),
            ("request_id:1", "request_id:12", true),
        ];
        for (pattern, message, expected) in cases {
            assert_eq!(check(pattern, message), expected, "{pattern} on {message}");
        }
    }

    #[test]
    fn json() {
        let event = r#"{"eventType":"UpdateTrail","sourceIp":"111.1.2.3","count":7,"ok":true,"none":null,
            "big":1.5e3,"user":{"id":1,"email":"a@example.com"},"list":[{"k":"v"},2],"odd key":"x","s":"5"}"#;
        let cases = [
            ("{ $.eventType = \"UpdateTrail\" }", true),
            ("{ $.eventType = UpdateTrail }", true),
            ("{ $.eventType = \"Update*\" }", true),
            ("{ $.eventType = \"*Trail\" }", true),
            ("{ $.eventType = \"*date*\" }", true),
            ("{ $.eventType = \"Create*\" }", false),
            ("{ $.eventType != \"CreateTrail\" }", true),
            ("{ $.missing != \"CreateTrail\" }", false),
            ("{ $.eventType = %^Up.*l$% }", true),
            ("{ $.count = 7 }", true),
            ("{ $.count = \"7\" }", true),
            ("{ $.count > 6 }", true),
            ("{ $.count>=7 && $.count<=7 }", true),
            ("{ $.count < 7 }", false),
            ("{ $.count != 7 }", false),
            ("{ $.big = 1500 }", true),
            ("{ $.s > 4 }", false),
            ("{ $.ok IS TRUE }", true),
            ("{ $.ok IS FALSE }", false),
            ("{ $.none IS NULL }", true),
            ("{ $.missing IS NULL }", false),
            ("{ $.missing NOT EXISTS }", true),
            ("{ $.user NOT EXISTS }", false),
            ("{ $.user.id = 1 }", true),
            ("{ $.user.email = \"*@example.com\" }", true),
            ("{ $.list[0].k = \"v\" }", true),
            ("{ $.list[1] = 2 }", true),
            ("{ $.list[9] = 2 }", false),
            ("{ $.list[*].k = \"v\" }", true),
            ("{ $['odd key'] = \"x\" }", true),
            ("{ ($.count = 1 || $.ok IS TRUE) && $.user.id = 1 }", true),
            ("{ $.count = 1 || $.ok IS TRUE && $.user.id = 2 }", false),
            ("{ $.sourceIp = 111.1.* }", true),
        ];
        for (pattern, expected) in cases {
            assert_eq!(check(pattern, event), expected, "{pattern}");
            assert!(!check(pattern, "not json"), "{pattern}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let deep = format!("{{ {}$.a = 1{} }}", "(".repeat(200), ")".repeat(200));
        let long = "x".repeat(1025);
        let cases = [
            "[ip, user]",
            "{ $.a }",
            "{ $.a = }",
            "{ a = 1 }",
            "{ $.a = 1",
            "{ $.a = 1 } x",
            "{ }",
            "{ $.a ~ 1 }",
            "{ $.a IS MAYBE }",
            "{ $.a[x] = 1 }",
            "{ $.a > \"text\" }",
            "\"open",
            "%open",
            "%[%",
            "%(a{9999}){9999}%",
            "{ $.a = 1 && }",
            "-",
            "?",
            &deep,
            &long,
        ];
        for pattern in cases {
            assert!(matches!(Pattern::parse(pattern), Err(QueryError::InvalidPattern(_))), "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[ -~é\n]{0,60}", json in "\\{ ?[$.a\\[\\]0-9'\"%*&|()=!<> ISNOTEXULR]{0,40} ?\\}") {
            for pattern in [pattern, json] {
                if let Ok(pattern) = Pattern::parse(&pattern) {
                    pattern.matches(r#"{"a":[1,{"0":"*"}]}"#);
                }
            }
        }
    }
}
