//! XML documents, written. The query protocol answers in XML; reading waits for the first REST-XML service.

use super::text::{Place, to_text};
use crate::{Field, Item, Kind, Location, Shape, Value};

/// An element that is being written.
pub struct Element<'w> {
    out: &'w mut String,
    name: &'w str,
}

impl<'w> Element<'w> {
    /// Opens an element, with a namespace unless it is empty.
    pub fn open(out: &'w mut String, name: &'w str, xmlns: &str) -> Self {
        out.push('<');
        out.push_str(name);
        if !xmlns.is_empty() {
            out.push_str(" xmlns=\"");
            escape(out, xmlns);
            out.push('"');
        }
        out.push('>');
        Self { out, name }
    }

    /// Writes text.
    pub fn text(&mut self, text: &str) {
        escape(self.out, text);
    }

    /// Where children are written.
    pub fn inside(&mut self) -> &mut String {
        self.out
    }

    /// Writes a child that holds only text.
    pub fn leaf(&mut self, name: &str, text: &str) {
        let mut child = Element::open(self.out, name, "");
        child.text(text);
        child.close();
    }

    /// Closes the element.
    pub fn close(self) {
        self.out.push_str("</");
        self.out.push_str(self.name);
        self.out.push('>');
    }
}

/// Writes the body members of a structure, without an element around them.
pub fn xml_members(out: &mut String, shape: &Shape, value: &Value) {
    let Value::Struct(values) = value else { return };
    for (field, value) in shape.fields().iter().zip(values) {
        if field.location == Location::Body && !value.is_null() {
            member(out, field, value);
        }
    }
}

fn member(out: &mut String, field: &Field, value: &Value) {
    match (value, &field.shape.kind) {
        (Value::List(values), Kind::List(item)) if field.flattened => {
            for value in values {
                element(out, field.wire, item.shape, value);
            }
        }
        (Value::Map(entries), Kind::Map(key, item)) if field.flattened => {
            for (name, value) in entries {
                entry(out, field.wire, (key, name), (item, value));
            }
        }
        _ => element(out, field.wire, field.shape, value),
    }
}

fn element(out: &mut String, name: &str, shape: &Shape, value: &Value) {
    let mut element = Element::open(out, name, "");
    match (value, &shape.kind) {
        (Value::Struct(_), _) => xml_members(element.inside(), shape, value),
        (Value::List(values), Kind::List(item)) => {
            for value in values {
                self::element(element.inside(), item.wire, item.shape, value);
            }
        }
        (Value::Map(entries), Kind::Map(key, item)) => {
            for (name, value) in entries {
                entry(element.inside(), "entry", (key, name), (item, value));
            }
        }
        _ => element.text(&to_text(shape, value, Place::Elsewhere).unwrap_or_default()),
    }
    element.close();
}

fn entry(out: &mut String, name: &str, (key, key_text): (&Item, &str), (item, value): (&Item, &Value)) {
    let mut entry = Element::open(out, name, "");
    entry.leaf(key.wire, key_text);
    element(entry.inside(), item.wire, item.shape, value);
    entry.close();
}

/// Characters that XML cannot hold become U+FFFD; a bare carriage return would be lost in parsing.
fn escape(out: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#xD;"),
            '\n' | '\t' => out.push(char),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(char),
        }
    }
}
