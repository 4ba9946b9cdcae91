//! A value of any shape: what codecs read into and write from.

use crate::{Shape, Time};
use bytes::Bytes;

/// A value. Which variant stands where is decided by the [`Shape`] beside it.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// An absent member.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating number.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes, decoded.
    Blob(Bytes),
    /// A moment.
    Time(Time),
    /// A list.
    List(Vec<Value>),
    /// A map, in the order of the wire.
    Map(Vec<(String, Value)>),
    /// A structure: one value per field of its shape, in the shape's order.
    Struct(Vec<Value>),
    /// Any JSON.
    Document(serde_json::Value),
}

impl Value {
    /// A structure of `shape` without any member set.
    pub fn empty(shape: &Shape) -> Self {
        Self::Struct(vec![Self::Null; shape.fields().len()])
    }

    /// The text, where this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the member is absent.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The member `name` of a structure of `shape`; `None` where the shape has no such member.
    pub fn member(&self, shape: &Shape, name: &str) -> Option<&Value> {
        match self {
            Self::Struct(values) => values.get(shape.position(name)?),
            _ => None,
        }
    }
}
