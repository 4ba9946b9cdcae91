//! Values to JSON.

use super::super::text::float_text;
use crate::{Field, Kind, Location, Shape, TimeFormat, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// Writes one document.
pub fn document(shape: &'static Shape, value: &Value) -> Vec<u8> {
    serde_json::to_vec(&Walk { shape, value }).expect("values have string keys and memory is the only sink")
}

struct Walk<'v> {
    shape: &'static Shape,
    value: &'v Value,
}

impl Serialize for Walk<'_> {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        match (self.value, &self.shape.kind) {
            (Value::Null, _) => writer.serialize_unit(),
            (Value::Bool(flag), _) => writer.serialize_bool(*flag),
            (Value::Int(number), _) => writer.serialize_i64(*number),
            (Value::Float(number), _) => float(*number, writer),
            (Value::Str(text), _) => writer.serialize_str(text),
            (Value::Blob(bytes), _) => writer.serialize_str(&STANDARD.encode(bytes)),
            (Value::Time(time), Kind::Timestamp(Some(format))) if *format != TimeFormat::Epoch => {
                writer.serialize_str(&time.format(*format))
            }
            (Value::Time(time), _) if time.us % 1_000_000 == 0 => writer.serialize_i64(time.us / 1_000_000),
            (Value::Time(time), _) => writer.serialize_f64(time.seconds()),
            (Value::List(values), Kind::List(item)) => {
                let mut list = writer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Walk { shape: item.shape, value })?;
                }
                list.end()
            }
            (Value::Map(entries), Kind::Map(_, item)) => {
                let mut map = writer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, &Walk { shape: item.shape, value })?;
                }
                map.end()
            }
            (Value::Struct(values), Kind::Structure(structure)) => {
                members(structure.fields, values, writer.serialize_map(None)?)
            }
            (Value::Document(document), _) => document.serialize(writer),
            (Value::List(_) | Value::Map(_) | Value::Struct(_), _) => {
                Err(serde::ser::Error::custom("a value does not have the shape that its table says"))
            }
        }
    }
}

fn members<M: SerializeMap>(fields: &[Field], values: &[Value], mut map: M) -> Result<M::Ok, M::Error> {
    for (field, value) in fields.iter().zip(values) {
        if field.location == Location::Body && !value.is_null() {
            map.serialize_entry(field.wire, &Walk { shape: field.shape, value })?;
        }
    }
    map.end()
}

fn float<S: Serializer>(number: f64, writer: S) -> Result<S::Ok, S::Error> {
    if number.is_finite() { writer.serialize_f64(number) } else { writer.serialize_str(&float_text(number)) }
}
