//! A small client-side reader of XML answers, independent of the crate under test. Namespaces are ignored.

use base64::Engine;
use quick_xml::Reader;
use quick_xml::events::Event;
use wire::{Kind, Shape, Time, TimeFormat, Value};

/// An element.
#[derive(Debug, Default, Clone)]
pub struct Node {
    pub name: String,
    pub children: Vec<Node>,
    pub text: String,
}

impl Node {
    /// Reads a document.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(text);
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) => open.push(Self::named(start.local_name().as_ref())),
                Event::Empty(start) => {
                    let node = Self::named(start.local_name().as_ref());
                    open.last_mut().expect("the root stays open").children.push(node);
                }
                Event::End(_) => {
                    let node = open.pop().expect("the reader checks nesting");
                    open.last_mut().expect("the root stays open").children.push(node);
                }
                Event::Text(text) => {
                    open.last_mut().expect("the root stays open").text += &text.xml10_content();
                }
                Event::GeneralRef(entity) => {
                    let escaped = format!("&{};", &*entity);
                    let text = quick_xml::escape::unescape(&escaped).map_err(|error| error.to_string())?;
                    open.last_mut().expect("the root stays open").text += &text;
                }
                Event::Eof => return Ok(open.remove(0)),
                _ => {}
            }
        }
    }

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children of that name.
    fn all(&self, name: &str) -> Vec<&Self> {
        self.children.iter().filter(|child| child.name == name).collect()
    }

    /// Reads the element as a value of `shape`.
    pub fn value(&self, shape: &'static Shape) -> Value {
        match &shape.kind {
            Kind::Structure(structure) => {
                let member = |field: &wire::Field| {
                    let found = self.all(field.wire);
                    match &field.shape.kind {
                        _ if found.is_empty() => Value::Null,
                        Kind::List(item) if field.flattened => {
                            Value::List(found.iter().map(|node| node.value(item.shape)).collect())
                        }
                        Kind::Map(key, item) if field.flattened => entries(&found, (key, item)),
                        _ => found[0].value(field.shape),
                    }
                };
                Value::Struct(structure.fields.iter().map(member).collect())
            }
            Kind::List(item) => {
                Value::List(self.all(item.wire).iter().map(|node| node.value(item.shape)).collect())
            }
            Kind::Map(key, item) => entries(&self.all("entry"), (key, item)),
            _ => scalar(shape, &self.text),
        }
    }
}

fn entries(nodes: &[&Node], (key, item): (&wire::Item, &wire::Item)) -> Value {
    let entry = |node: &&Node| {
        let key = node.child(key.wire).expect("an entry has a key");
        (key.text.clone(), node.child(item.wire).map_or(Value::Null, |node| node.value(item.shape)))
    };
    Value::Map(nodes.iter().map(entry).collect())
}

fn scalar(shape: &Shape, text: &str) -> Value {
    match &shape.kind {
        Kind::Boolean => Value::Bool(text == "true"),
        Kind::Integer | Kind::Long => Value::Int(text.parse().expect("a whole number")),
        Kind::Float | Kind::Double => Value::Float(match text {
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            _ => text.parse().expect("a number"),
        }),
        Kind::Blob => {
            Value::Blob(base64::engine::general_purpose::STANDARD.decode(text).expect("base64").into())
        }
        Kind::Timestamp(format) => {
            Value::Time(Time::parse(text, format.unwrap_or(TimeFormat::Iso8601)).expect("a moment"))
        }
        _ => Value::Str(text.to_owned()),
    }
}
