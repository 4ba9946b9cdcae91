//! Conditions of policy statements.

use super::glob;
use serde_json::{Map, Value};

/// Condition keys of a request and their values. Keys compare without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context(Vec<(String, String)>);

impl Context {
    /// Adds a key that the platform itself knows to be true; never one that a client sent.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.push((key.to_ascii_lowercase(), value.into()));
        self
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }
}

/// True, false, or not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    Unknown,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl Truth {
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Unknown,
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::True, _) | (_, Self::True) => Self::True,
            (Self::False, Self::False) => Self::False,
            _ => Self::Unknown,
        }
    }
}

/// The keys that this platform can have in a request's context, in lower case. A key outside this list is not
/// understood; one inside it that a request lacks is absent, which is something else.
const KEYS: [&str; 6] = [
    "aws:principalorgid",
    "aws:sourceaccount",
    "aws:sourcearn",
    "lambda:eventsourcetoken",
    "lambda:functionurlauthtype",
    "lambda:invokedviafunctionurl",
];

/// Whether all conditions of a statement hold.
pub(super) fn holds(conditions: &Map<String, Value>, context: &Context) -> Truth {
    conditions.iter().fold(Truth::True, |so_far, (operator, keys)| {
        so_far.and(match (Operator::parse(operator), keys) {
            (Some(operator), Value::Object(keys)) => keys
                .iter()
                .fold(Truth::True, |so_far, (key, wanted)| so_far.and(operator.holds(key, wanted, context))),
            _ => Truth::Unknown,
        })
    })
}

struct Operator {
    compare: fn(&str, &str) -> bool,
    negated: bool,
    /// Holds where the key is absent.
    if_exists: bool,
    null: bool,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        let (name, if_exists) = match text.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let (compare, negated): (fn(&str, &str) -> bool, bool) = match name {
            "StringEquals" => (|wanted, is| wanted == is, false),
            "StringNotEquals" => (|wanted, is| wanted == is, true),
            "StringEqualsIgnoreCase" => (|wanted, is| wanted.eq_ignore_ascii_case(is), false),
            "StringNotEqualsIgnoreCase" => (|wanted, is| wanted.eq_ignore_ascii_case(is), true),
            "StringLike" => (glob::matches, false),
            "StringNotLike" => (glob::matches, true),
            "ArnEquals" | "ArnLike" => (glob::arn_matches, false),
            "ArnNotEquals" | "ArnNotLike" => (glob::arn_matches, true),
            "Bool" => (|wanted, is| wanted.eq_ignore_ascii_case(is), false),
            "Null" if !if_exists => (|_, _| false, false),
            _ => return None,
        };
        Some(Self { compare, negated, if_exists, null: name == "Null" })
    }

    fn holds(&self, key: &str, wanted: &Value, context: &Context) -> Truth {
        let key = key.to_ascii_lowercase();
        let (true, Some(wanted)) = (KEYS.contains(&key.as_str()), texts(wanted)) else {
            return Truth::Unknown;
        };
        let is = context.get(&key);
        if self.null {
            let absent = if is.is_none() { "true" } else { "false" };
            return wanted.iter().any(|w| w == absent).into();
        }
        match is {
            None => (self.negated || self.if_exists).into(),
            Some(is) => (wanted.iter().any(|w| (self.compare)(w, is)) != self.negated).into(),
        }
    }
}

/// The wanted values as texts; `None` where one is neither text, number nor truth value.
fn texts(wanted: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match wanted {
        Value::Array(list) => list.iter().map(text).collect(),
        one => text(one).map(|text| vec![text]),
    }
}
