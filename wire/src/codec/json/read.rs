//! JSON to values, in one pass and directed by the schema: unknown members are skipped, never stored.

use super::super::{VALUES_MAX, text};
use crate::{Error, Field, Kind, Location, Shape, Time, TimeFormat, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// Reads one document.
pub fn document(shape: &'static Shape, document: &[u8]) -> Result<Value, Error> {
    let left = Cell::new(VALUES_MAX);
    let mut reader = serde_json::Deserializer::from_slice(document);
    let seed = Seed { shape, member: "", left: &left };
    let value = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| Error::serialization(message(&error)))
}

/// What went wrong, without the parser's own words for where: our messages name the member.
fn message(error: &serde_json::Error) -> String {
    if error.is_data() {
        let text = error.to_string();
        return text.rsplit_once(" at line ").map(|(head, _)| head.to_owned()).unwrap_or(text);
    }
    format!("The request body is not valid JSON: {error}")
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    shape: &'static Shape,
    member: &'a str,
    left: &'a Cell<usize>,
}

impl Seed<'_> {
    fn refuse<E: serde::de::Error>(&self, token: &str) -> E {
        let target = match &self.shape.kind {
            Kind::Structure(_) => "a structure",
            Kind::List(_) => "a list",
            Kind::Map(..) => "a map",
            Kind::String | Kind::JsonString => "a String",
            Kind::Blob => "a Blob",
            Kind::Boolean => "a Boolean",
            Kind::Integer => "an Integer",
            Kind::Long => "a Long",
            Kind::Float => "a Float",
            Kind::Double => "a Double",
            Kind::Timestamp(_) => "a timestamp",
            Kind::Document => "a document",
        };
        let place = if self.member.is_empty() { String::new() } else { format!(" at '{}'", self.member) };
        E::custom(format!("{token} can not be converted to {target}{place}"))
    }

    fn number<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Float | Kind::Double => Ok(Value::Float(number)),
            Kind::Timestamp(None | Some(TimeFormat::Epoch)) => {
                Time::from_seconds(number).map(Value::Time).ok_or_else(|| self.refuse("NUMBER_VALUE"))
            }
            Kind::Integer | Kind::Long if number.fract() == 0.0 && number.abs() < 9e15 => {
                self.visit_i64(number as i64)
            }
            _ => Err(self.refuse("NUMBER_VALUE")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| D::Error::custom("The request holds too many values"))?);
        if matches!(self.shape.kind, Kind::Document) {
            let document: serde_json::Value = serde::Deserialize::deserialize(reader)?;
            return Ok(Value::Document(document));
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shape.name)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Boolean => Ok(Value::Bool(flag)),
            _ => Err(self.refuse(if flag { "TRUE_VALUE" } else { "FALSE_VALUE" })),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Long => Ok(Value::Int(number)),
            Kind::Integer if i32::try_from(number).is_ok() => Ok(Value::Int(number)),
            Kind::Integer => Err(self.refuse("NUMBER_VALUE out of range")),
            _ => self.number(number as f64),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) if matches!(self.shape.kind, Kind::Integer | Kind::Long) => {
                Err(self.refuse("NUMBER_VALUE out of range"))
            }
            Err(_) => self.number(number as f64),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        self.number(number)
    }

    fn visit_str<E: serde::de::Error>(self, string: &str) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Blob => {
                let bytes = STANDARD.decode(string).map_err(|_| self.refuse("Text that is not base64"))?;
                Ok(Value::Blob(Bytes::from(bytes)))
            }
            Kind::Timestamp(Some(format @ (TimeFormat::Iso8601 | TimeFormat::HttpDate))) => {
                Time::parse(string, format).map(Value::Time).ok_or_else(|| self.refuse("STRING_VALUE"))
            }
            Kind::Float | Kind::Double => {
                text::special(string).map(Value::Float).ok_or_else(|| self.refuse("STRING_VALUE"))
            }
            Kind::String | Kind::JsonString => Ok(Value::Str(string.into())),
            _ => Err(self.refuse("STRING_VALUE")),
        }
    }

    fn visit_string<E: serde::de::Error>(self, string: String) -> Result<Value, E> {
        match self.shape.kind {
            Kind::String | Kind::JsonString => Ok(Value::Str(string)),
            _ => self.visit_str(&string),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Kind::List(item) = &self.shape.kind else {
            return Err(self.refuse("Start of list"));
        };
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Seed { shape: item.shape, ..self })? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        match &self.shape.kind {
            Kind::Structure(structure) => self.structure(structure.fields, entries),
            Kind::Map(_, item) => {
                let mut values = Vec::new();
                while let Some(key) = entries.next_key::<String>()? {
                    values.push((key, entries.next_value_seed(Seed { shape: item.shape, ..self })?));
                }
                Ok(Value::Map(values))
            }
            _ => Err(self.refuse("Start of structure or map")),
        }
    }
}

impl Seed<'_> {
    fn structure<'de, A: MapAccess<'de>>(
        self,
        fields: &'static [Field],
        mut entries: A,
    ) -> Result<Value, A::Error> {
        let mut values = vec![Value::Null; fields.len()];
        let mut seen = vec![false; fields.len()];
        while let Some(key) = entries.next_key::<std::borrow::Cow<'de, str>>()? {
            let known = |field: &Field| field.wire == key && field.location == Location::Body;
            let Some(index) = fields.iter().position(known) else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            if std::mem::replace(&mut seen[index], true) {
                return Err(A::Error::custom(format!("Member '{key}' is given twice")));
            }
            let field = &fields[index];
            values[index] =
                entries.next_value_seed(Seed { shape: field.shape, member: field.name, left: self.left })?;
        }
        Ok(Value::Struct(values))
    }
}
