//! Form documents: the requests of the query protocol. Names with dots and numbers stand for nesting.

use super::{VALUES_MAX, text};
use crate::{Error, Field, Item, Kind, Shape, Value};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::collections::BTreeMap;

const DEPTH_MAX: usize = 64;

/// A parsed form.
#[derive(Debug, Default)]
pub struct Form {
    root: Node,
    pairs: usize,
}

#[derive(Debug, Default)]
struct Node {
    text: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Form {
    /// Adds pairs in `application/x-www-form-urlencoded`: a body, or the query string of a URL.
    pub fn add(&mut self, encoded: &str) -> Result<(), Error> {
        for pair in encoded.split('&').filter(|pair| !pair.is_empty()) {
            self.pairs += 1;
            if self.pairs > VALUES_MAX / 10 {
                return Err(Error::serialization("The request holds too many parameters"));
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (unescape(key)?, unescape(value)?);
            if key.split('.').count() > DEPTH_MAX {
                return Err(Error::serialization("A parameter is nested too deeply"));
            }
            let mut node = &mut self.root;
            for part in key.split('.') {
                node = node.children.entry(part.to_owned()).or_default();
            }
            node.text.get_or_insert(value);
        }
        Ok(())
    }

    /// The text of a top-level parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.root.children.get(name)?.text.as_deref()
    }

    /// Reads a value of `shape`. Parameters that it does not know are ignored.
    pub fn read(&self, shape: &'static Shape) -> Result<Value, Error> {
        self.root.value(shape, false, "")
    }
}

impl Node {
    fn value(&self, shape: &'static Shape, flattened: bool, member: &str) -> Result<Value, Error> {
        match &shape.kind {
            Kind::Structure(structure) => self.structure(structure.fields),
            Kind::List(item) => self.list(item, flattened, member),
            Kind::Map(key, value) => self.map(key, value, flattened, member),
            _ => match &self.text {
                Some(text) => text::from_text(shape, text, super::Place::Elsewhere, member),
                None => Err(Error::serialization(format!("Unexpected nesting at '{member}'"))),
            },
        }
    }

    fn structure(&self, fields: &'static [Field]) -> Result<Value, Error> {
        let read = |field: &'static Field| match self.children.get(field.wire) {
            Some(node) => node.value(field.shape, field.flattened, field.name),
            None => Ok(Value::Null),
        };
        fields.iter().map(read).collect::<Result<_, _>>().map(Value::Struct)
    }

    fn list(&self, item: &'static Item, flattened: bool, member: &str) -> Result<Value, Error> {
        let values = self.numbered(if flattened { None } else { Some(item.wire) }, member)?;
        let values = values.into_iter().map(|node| node.value(item.shape, false, member));
        values.collect::<Result<_, _>>().map(Value::List)
    }

    fn map(
        &self,
        key: &'static Item,
        value: &'static Item,
        flattened: bool,
        member: &str,
    ) -> Result<Value, Error> {
        let mut entries = Vec::new();
        for node in self.numbered(if flattened { None } else { Some("entry") }, member)? {
            let name = node.children.get(key.wire).and_then(|node| node.text.clone());
            let name =
                name.ok_or_else(|| Error::serialization(format!("An entry of '{member}' has no key")))?;
            let value = match node.children.get(value.wire) {
                Some(node) => node.value(value.shape, false, member)?,
                None => Value::Null,
            };
            entries.push((name, value));
        }
        Ok(Value::Map(entries))
    }

    /// The children named by numbers, below the child `name` where one is given, in the numbers' order.
    fn numbered(&self, name: Option<&str>, member: &str) -> Result<Vec<&Node>, Error> {
        let parent = match name {
            Some(name) => self.children.get(name),
            None => Some(self),
        };
        let mut found = Vec::new();
        for (number, node) in parent.map(|node| &node.children).into_iter().flatten() {
            let wrong = |_| Error::serialization(format!("{number:?} is not a position in '{member}'"));
            found.push((number.parse::<u32>().map_err(wrong)?, node));
        }
        found.sort_by_key(|(number, _)| *number);
        Ok(found.into_iter().map(|(_, node)| node).collect())
    }
}

/// Undoes form encoding: `+` is a space, `%xx` a byte.
pub fn unescape(text: &str) -> Result<String, Error> {
    let text = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| Error::serialization("A parameter is not UTF-8"))
}
