//! Single constraints: whether a value keeps them, and AWS's words for them.

use super::pattern;
use crate::{Kind, Shape, Value};
use std::fmt;

/// Characters of a value that a message repeats.
const ECHO_MAX: usize = 1024;

/// One constraint of a shape.
#[derive(Debug, Clone, Copy)]
pub enum Constraint {
    LengthMax(f64),
    LengthMin(f64),
    ValueMax(f64),
    ValueMin(f64),
    Pattern(&'static str),
    Choices(&'static [&'static str]),
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LengthMax(max) => write!(f, "Member must have length less than or equal to {max}"),
            Self::LengthMin(min) => write!(f, "Member must have length greater than or equal to {min}"),
            Self::ValueMax(max) => write!(f, "Member must have value less than or equal to {max}"),
            Self::ValueMin(min) => write!(f, "Member must have value greater than or equal to {min}"),
            Self::Pattern(pattern) => write!(f, "Member must satisfy regular expression pattern: {pattern}"),
            Self::Choices(choices) => {
                write!(f, "Member must satisfy enum value set: [{}]", choices.join(", "))
            }
        }
    }
}

/// All constraints of a shape, in AWS's order.
pub fn constraints(shape: &Shape) -> impl Iterator<Item = Constraint> + use<> {
    let limits = &shape.limits;
    let number = matches!(shape.kind, Kind::Integer | Kind::Long | Kind::Float | Kind::Double);
    let (max, min) = match number {
        true => (limits.max.map(Constraint::ValueMax), limits.min.map(Constraint::ValueMin)),
        false => (limits.max.map(Constraint::LengthMax), limits.min.map(Constraint::LengthMin)),
    };
    let pattern = limits.pattern.map(Constraint::Pattern);
    let choices = (!limits.choices.is_empty()).then_some(Constraint::Choices(limits.choices));
    [max, min, pattern, choices].into_iter().flatten()
}

/// The constraints that a value breaks.
pub fn broken<'v>(shape: &Shape, value: &'v Value) -> impl Iterator<Item = Constraint> + use<'v> {
    constraints(shape).filter(move |constraint| !keeps(*constraint, value))
}

fn keeps(constraint: Constraint, value: &Value) -> bool {
    match constraint {
        Constraint::LengthMax(max) => size(value).is_none_or(|size| size as f64 <= max),
        Constraint::LengthMin(min) => size(value).is_none_or(|size| size as f64 >= min),
        Constraint::ValueMax(max) => number(value).is_none_or(|number| number <= max),
        Constraint::ValueMin(min) => number(value).is_none_or(|number| number >= min),
        Constraint::Pattern(text) => value.as_str().is_none_or(|value| pattern::matches(text, value)),
        Constraint::Choices(choices) => value.as_str().is_none_or(|value| choices.contains(&value)),
    }
}

fn size(value: &Value) -> Option<usize> {
    match value {
        Value::Str(text) => Some(text.chars().count()),
        Value::Blob(bytes) => Some(bytes.len()),
        Value::List(values) => Some(values.len()),
        Value::Map(entries) => Some(entries.len()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// A value as messages repeat it: `null` bare, anything else in quotes.
pub fn show(value: &Value) -> String {
    if value.is_null() {
        return "null".into();
    }
    let mut text = String::new();
    plain(value, &mut text);
    if let Some((end, _)) = text.char_indices().nth(ECHO_MAX) {
        text.truncate(end);
        text.push('…');
    }
    format!("'{text}'")
}

fn plain(value: &Value, out: &mut String) {
    if out.len() > 4 * ECHO_MAX {
        return;
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => *out += &flag.to_string(),
        Value::Int(number) => *out += &number.to_string(),
        Value::Float(number) => *out += &number.to_string(),
        Value::Str(text) => out.push_str(text),
        Value::Blob(bytes) => *out += &format!("java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", bytes.len()),
        Value::Time(time) => *out += &time.format(crate::TimeFormat::Iso8601),
        Value::List(values) => series(out, ('[', ']'), values, plain),
        Value::Struct(values) => series(out, ('(', ')'), values, plain),
        Value::Map(entries) => series(out, ('{', '}'), entries, |(key, value), out| {
            out.push_str(key);
            out.push('=');
            plain(value, out);
        }),
        Value::Document(document) => *out += &document.to_string(),
    }
}

fn series<T>(out: &mut String, (open, close): (char, char), items: &[T], show: impl Fn(&T, &mut String)) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        show(item, out);
        if out.len() > 4 * ECHO_MAX {
            break;
        }
    }
    out.push(close);
}
