//! Between generated structs and [`Value`]s.

use crate::{Error, Shape, Time, Value};
use bytes::Bytes;
use std::collections::BTreeMap;

/// A Rust type that stands for a member of a structure.
pub trait Member: Sized {
    /// Reads a value. Fails where the value is not of the type's shape; decoded and validated values always are.
    fn from_value(value: Value) -> Result<Self, Error>;
    /// Gives the value up to a codec.
    fn into_value(self) -> Value;
}

/// A structure with a schema table.
pub trait Shaped: Member {
    /// The table.
    const SHAPE: &'static Shape;
}

/// Fields of a [`Value::Struct`], taken in order.
pub struct Fields(std::vec::IntoIter<Value>);

impl Fields {
    /// The fields of `value`.
    pub fn of(value: Value) -> Result<Self, Error> {
        match value {
            Value::Struct(values) => Ok(Self(values.into_iter())),
            other => Err(mismatch("a structure", &other)),
        }
    }

    /// The next field.
    pub fn take<T: Member>(&mut self) -> Result<T, Error> {
        T::from_value(self.0.next().unwrap_or_default())
    }
}

/// What a value of the wrong shape is answered with.
pub fn mismatch(expected: &str, found: &Value) -> Error {
    let found = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Str(_) => "a string",
        Value::Blob(_) => "bytes",
        Value::Time(_) => "a timestamp",
        Value::List(_) => "a list",
        Value::Map(_) | Value::Struct(_) => "a structure or map",
        Value::Document(_) => "a document",
    };
    Error::serialization(format!("expected {expected}, found {found}"))
}

macro_rules! scalar {
    ($($type:ty, $variant:ident, $what:literal;)*) => {$(
        impl Member for $type {
            fn from_value(value: Value) -> Result<Self, Error> {
                match value {
                    Value::$variant(inner) => Ok(inner),
                    other => Err(mismatch($what, &other)),
                }
            }
            fn into_value(self) -> Value {
                Value::$variant(self)
            }
        }
    )*};
}

scalar! {
    bool, Bool, "a boolean";
    i64, Int, "a number";
    f64, Float, "a number";
    String, Str, "a string";
    Bytes, Blob, "bytes";
    Time, Time, "a timestamp";
    serde_json::Value, Document, "a document";
}

impl Member for i32 {
    fn from_value(value: Value) -> Result<Self, Error> {
        let wide = i64::from_value(value)?;
        Self::try_from(wide).map_err(|_| Error::serialization(format!("{wide} is too large for an Integer")))
    }

    fn into_value(self) -> Value {
        Value::Int(i64::from(self))
    }
}

impl Member for () {
    fn from_value(_: Value) -> Result<Self, Error> {
        Ok(())
    }

    fn into_value(self) -> Value {
        Value::Struct(Vec::new())
    }
}

impl<T: Member> Member for Option<T> {
    fn from_value(value: Value) -> Result<Self, Error> {
        if value.is_null() { Ok(None) } else { T::from_value(value).map(Some) }
    }

    fn into_value(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }
}

impl<T: Member> Member for Box<T> {
    fn from_value(value: Value) -> Result<Self, Error> {
        T::from_value(value).map(Box::new)
    }

    fn into_value(self) -> Value {
        (*self).into_value()
    }
}

impl<T: Member> Member for Vec<T> {
    fn from_value(value: Value) -> Result<Self, Error> {
        match value {
            Value::List(items) => items.into_iter().map(T::from_value).collect(),
            other => Err(mismatch("a list", &other)),
        }
    }

    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(T::into_value).collect())
    }
}

impl<T: Member> Member for BTreeMap<String, T> {
    fn from_value(value: Value) -> Result<Self, Error> {
        match value {
            Value::Map(entries) => entries.into_iter().map(|(k, v)| Ok((k, T::from_value(v)?))).collect(),
            other => Err(mismatch("a map", &other)),
        }
    }

    fn into_value(self) -> Value {
        Value::Map(self.into_iter().map(|(k, v)| (k, v.into_value())).collect())
    }
}

/// Joins a generated struct to its table; fields in the table's order.
macro_rules! shaped {
    ($name:ident, $table:ident, [$($field:ident),*]) => {
        impl $crate::Member for $name {
            fn from_value(value: $crate::Value) -> Result<Self, $crate::Error> {
                #[allow(unused_mut, unused_variables)] // a structure may have no members
                let mut fields = $crate::Fields::of(value)?;
                Ok(Self { $($field: fields.take()?),* })
            }
            fn into_value(self) -> $crate::Value {
                $crate::Value::Struct(vec![$($crate::Member::into_value(self.$field)),*])
            }
        }
        impl $crate::Shaped for $name {
            const SHAPE: &'static $crate::Shape = &$table;
        }
    };
    (sensitive $name:ident, $table:ident, [$($field:ident),*]) => {
        $crate::shaped::shaped!($name, $table, [$($field),*]);
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), " { hidden: holds sensitive members }"))
            }
        }
    };
}

/// A closed set of texts as an enum.
macro_rules! choice {
    ($name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($variant),* }
        impl $name {
            /// Every choice, in the model's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// Every text, in the model's order.
            pub const TEXTS: &'static [&'static str] = &[$($text),*];
            /// The text on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
            /// The choice that `text` names.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl $crate::Member for $name {
            fn from_value(value: $crate::Value) -> Result<Self, $crate::Error> {
                value.as_str().and_then(Self::parse)
                    .ok_or_else(|| $crate::mismatch(concat!("a ", stringify!($name)), &value))
            }
            fn into_value(self) -> $crate::Value {
                $crate::Value::Str(self.as_str().into())
            }
        }
    };
}

/// The adapter of a service's trait to [`crate::Dispatch`].
macro_rules! serve {
    ($interface:ident { $($name:literal => $method:ident($($input:ident)?)),* $(,)? }) => {
        /// Makes a [`crate::Dispatch`] of an implementation.
        pub struct Serve<T>(pub T);

        impl<T: $interface> $crate::Dispatch<T::Cx> for Serve<T> {
            fn service(&self) -> &'static $crate::Service {
                &SERVICE
            }

            fn call<'a>(
                &'a self,
                cx: &'a T::Cx,
                operation: &'static $crate::Operation,
                input: $crate::Value,
            ) -> $crate::BoxFuture<'a, Result<$crate::Value, $crate::Error>> {
                match operation.name {
                    $($name => Box::pin(async move {
                        let output = self.0.$method(cx $(, <$input as $crate::Member>::from_value(input)?)?);
                        Ok($crate::Member::into_value(output.await?))
                    }),)*
                    _ => Box::pin(async move { Err($crate::Error::not_implemented(SERVICE.name, operation)) }),
                }
            }
        }
    };
}

pub(crate) use {choice, serve, shaped};
