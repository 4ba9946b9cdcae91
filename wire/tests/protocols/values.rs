//! Values from the cases' own notation, and what counts as equal.

use serde_json::Value as Json;
use wire::{Kind, Location, Shape, Time, Value};

/// A value of `shape` as the cases write it: blobs as text, timestamps as seconds.
pub fn value(shape: &'static Shape, json: &Json) -> Value {
    if json.is_null() {
        return Value::Null;
    }
    let text = || json.as_str().unwrap_or_else(|| panic!("{json} is no text for {}", shape.name)).to_owned();
    match &shape.kind {
        Kind::Structure(structure) => {
            let member = |field: &wire::Field| value(field.shape, &json[field.name]);
            let known = |name: &String| structure.fields.iter().any(|field| field.name == name);
            assert!(json.as_object().is_some_and(|members| members.keys().all(known)), "{json}");
            Value::Struct(structure.fields.iter().map(member).collect())
        }
        Kind::List(item) => {
            let items = json.as_array().expect("a list");
            Value::List(items.iter().map(|json| value(item.shape, json)).collect())
        }
        Kind::Map(_, item) => {
            let entries = json.as_object().expect("a map");
            Value::Map(entries.iter().map(|(key, json)| (key.clone(), value(item.shape, json))).collect())
        }
        Kind::String | Kind::JsonString => Value::Str(text()),
        Kind::Blob => Value::Blob(text().into_bytes().into()),
        Kind::Boolean => Value::Bool(json.as_bool().expect("a boolean")),
        Kind::Integer | Kind::Long => Value::Int(json.as_i64().expect("a whole number")),
        Kind::Float | Kind::Double => Value::Float(number(json)),
        Kind::Timestamp(_) => Value::Time(Time::from_seconds(number(json)).expect("a moment")),
        Kind::Document => Value::Document(json.clone()),
    }
}

fn number(json: &Json) -> f64 {
    match json.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        _ => json.as_f64().expect("a number"),
    }
}

/// A text that is equal for equal values. Maps have no order; header names have no case; an empty list, map or
/// structure in a place that cannot show it is an absent one; documents are compared as JSON.
pub fn canonical(shape: &'static Shape, value: &Value, wire_shows_empty: bool) -> String {
    let Value::Struct(values) = value else { return plain(value, false) };
    let mut out = String::new();
    for (field, value) in shape.fields().iter().zip(values) {
        let shows_empty = wire_shows_empty && field.location == Location::Body;
        let empty = match value {
            Value::Map(entries) => entries.is_empty(),
            Value::List(values) => values.is_empty() && field.location != Location::Body,
            Value::Struct(values) => values.iter().all(Value::is_null) && field.location == Location::Payload,
            _ => false,
        };
        if !value.is_null() && (shows_empty || !empty) {
            out += &format!("{}: {}\n", field.name, plain(value, field.location == Location::Headers));
        }
    }
    out
}

fn plain(value: &Value, fold: bool) -> String {
    match value {
        Value::Map(entries) => {
            let key = |key: &String| if fold { key.to_lowercase() } else { key.clone() };
            let mut entries: Vec<_> = entries.iter().map(|(k, v)| (key(k), plain(v, false))).collect();
            entries.sort();
            format!("{entries:?}")
        }
        Value::List(values) => {
            format!("{:?}", values.iter().map(|value| plain(value, false)).collect::<Vec<_>>())
        }
        Value::Struct(values) => {
            format!("struct {:?}", values.iter().map(|value| plain(value, false)).collect::<Vec<_>>())
        }
        Value::Float(number) => format!("Float({})", *number as f32),
        other => format!("{other:?}"),
    }
}
