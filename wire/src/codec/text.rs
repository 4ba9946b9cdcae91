//! Scalars as text: in headers, query strings, path labels, forms and XML.

use crate::{Error, Kind, Shape, Time, TimeFormat, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// Where a text stands; decides how timestamps and JSON text are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A header.
    Header,
    /// Query string, path label, form or XML element.
    Elsewhere,
}

/// Reads the text of a scalar.
pub fn from_text(shape: &Shape, text: &str, place: Place, member: &str) -> Result<Value, Error> {
    let wrong = |kind: &str| Error::serialization(format!("{text:?} at '{member}' is not {kind}"));
    Ok(match &shape.kind {
        Kind::String => Value::Str(text.into()),
        Kind::JsonString if place == Place::Header => {
            let bytes = STANDARD.decode(text).map_err(|_| wrong("base64"))?;
            Value::Str(String::from_utf8(bytes).map_err(|_| wrong("base64 of UTF-8 text"))?)
        }
        Kind::JsonString => Value::Str(text.into()),
        Kind::Blob => Value::Blob(Bytes::from(STANDARD.decode(text).map_err(|_| wrong("base64"))?)),
        Kind::Boolean => match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return Err(wrong("a Boolean")),
        },
        Kind::Integer => Value::Int(text.parse::<i32>().map_err(|_| wrong("an Integer"))?.into()),
        Kind::Long => Value::Int(text.parse().map_err(|_| wrong("a Long"))?),
        Kind::Float | Kind::Double => {
            Value::Float(special(text).or_else(|| text.parse().ok()).ok_or_else(|| wrong("a Double"))?)
        }
        Kind::Timestamp(format) => {
            let format = time_format(*format, place);
            Value::Time(Time::parse(text, format).ok_or_else(|| wrong("a timestamp"))?)
        }
        Kind::Structure(_) | Kind::List(_) | Kind::Map(..) | Kind::Document => {
            return Err(wrong("a structure, list or map"));
        }
    })
}

/// Writes a scalar as text; `None` for values that have no text.
pub fn to_text(shape: &Shape, value: &Value, place: Place) -> Option<String> {
    Some(match value {
        Value::Str(text) if place == Place::Header && matches!(shape.kind, Kind::JsonString) => {
            STANDARD.encode(text)
        }
        Value::Str(text) => text.clone(),
        Value::Blob(bytes) => STANDARD.encode(bytes),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => float_text(*number),
        Value::Time(time) => {
            let fixed = if let Kind::Timestamp(format) = shape.kind { format } else { None };
            time.format(time_format(fixed, place))
        }
        Value::Null | Value::List(_) | Value::Map(_) | Value::Struct(_) | Value::Document(_) => return None,
    })
}

/// The floating numbers that JSON and XML write as words.
pub fn special(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// A floating number as text.
pub fn float_text(number: f64) -> String {
    if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else {
        number.to_string()
    }
}

fn time_format(fixed: Option<TimeFormat>, place: Place) -> TimeFormat {
    fixed.unwrap_or(match place {
        Place::Header => TimeFormat::HttpDate,
        Place::Elsewhere => TimeFormat::Iso8601,
    })
}
