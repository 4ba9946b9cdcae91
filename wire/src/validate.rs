//! Validation from the models' constraints, in the uniform text that AWS answers with.

mod pattern;
mod words;

use crate::{Error, Kind, Shape, Value};
pub use pattern::pattern_compiles;
use std::fmt;
use words::{broken, constraints, show};

/// Failures that are written out; more are only counted.
const SHOWN_MAX: usize = 50;

/// Checks a value against the constraints of its shape.
pub fn validate(shape: &'static Shape, value: &Value) -> Result<(), Error> {
    let mut findings = Findings::default();
    findings.walk(shape, value, &Path::Root);
    findings.finish()
}

#[derive(Default)]
struct Findings {
    texts: Vec<String>,
    count: usize,
}

impl Findings {
    fn finish(self) -> Result<(), Error> {
        let noun = match self.count {
            0 => return Ok(()),
            1 => "error",
            _ => "errors",
        };
        let texts = self.texts.join("; ");
        Err(Error::validation(format!("{} validation {noun} detected: {texts}", self.count)))
    }

    fn add(&mut self, shape: &Shape, value: &Value, path: &Path<'_>, what: &str) {
        self.count += 1;
        if self.texts.len() < SHOWN_MAX {
            let silent = hidden(shape) && !value.is_null();
            let value = if silent { String::new() } else { format!(" {}", show(value)) };
            self.texts.push(format!("Value{value} at '{path}' failed to satisfy constraint: {what}"));
        }
    }

    fn walk(&mut self, shape: &'static Shape, value: &Value, path: &Path<'_>) {
        for constraint in broken(shape, value) {
            self.add(shape, value, path, &constraint.to_string());
        }
        match (&shape.kind, value) {
            (Kind::Structure(structure), Value::Struct(values)) => {
                for (field, value) in structure.fields.iter().zip(values) {
                    let path = Path::Member(path, field.name);
                    match value {
                        Value::Null if field.required => {
                            self.add(field.shape, value, &path, "Member must not be null");
                        }
                        Value::Null => {}
                        _ => self.walk(field.shape, value, &path),
                    }
                }
                if structure.union && values.iter().filter(|value| !value.is_null()).count() > 1 {
                    self.add(shape, value, path, "Member must have exactly one member set");
                }
            }
            (Kind::List(item), Value::List(values)) if !is_scalar(item.shape) => {
                for (index, value) in values.iter().enumerate() {
                    self.walk(item.shape, value, &Path::Position(path, index + 1));
                }
            }
            (Kind::List(item), Value::List(values))
                if values.iter().any(|value| fails(item.shape, value)) =>
            {
                let all = all(item.shape);
                self.add(shape, value, path, &format!("Member must satisfy constraint: [{all}]"));
            }
            (Kind::Map(key, item), Value::Map(entries)) => {
                let fail = |text: &str| fails(key.shape, &Value::Str(text.to_owned()));
                if entries.iter().any(|(text, _)| fail(text)) {
                    let all = all(key.shape);
                    self.add(shape, value, path, &format!("Map keys must satisfy constraint: [{all}]"));
                }
                self.map_values((shape, item.shape), value, entries, path);
            }
            _ => {}
        }
    }

    fn map_values(
        &mut self,
        (map, shape): (&'static Shape, &'static Shape),
        whole: &Value,
        entries: &[(String, Value)],
        path: &Path<'_>,
    ) {
        if !is_scalar(shape) {
            for (key, value) in entries {
                self.walk(shape, value, &Path::Key(path, key));
            }
        } else if entries.iter().any(|(_, value)| fails(shape, value)) {
            let all = all(shape);
            self.add(map, whole, path, &format!("Map value must satisfy constraint: [{all}]"));
        }
    }
}

/// Where a value stands; written out only in messages.
enum Path<'p> {
    Root,
    Member(&'p Path<'p>, &'static str),
    Position(&'p Path<'p>, usize),
    Key(&'p Path<'p>, &'p str),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parent = match self {
            Self::Root => return Ok(()),
            Self::Member(parent, _) | Self::Position(parent, _) | Self::Key(parent, _) => parent,
        };
        if !matches!(parent, Self::Root) {
            write!(f, "{parent}.")?;
        }
        match self {
            Self::Root => Ok(()),
            Self::Member(_, name) => {
                let mut chars = name.chars();
                chars.next().map_or(Ok(()), |first| write!(f, "{}{}", first.to_lowercase(), chars.as_str()))
            }
            Self::Position(_, number) => write!(f, "{number}.member"),
            Self::Key(_, key) => write!(f, "{key}.member"),
        }
    }
}

/// Whether messages keep silent about values of a shape.
fn hidden(shape: &Shape) -> bool {
    shape.sensitive
        || match &shape.kind {
            Kind::Structure(_) => true,
            Kind::List(item) => hidden(item.shape),
            Kind::Map(key, value) => hidden(key.shape) || hidden(value.shape),
            _ => false,
        }
}

fn is_scalar(shape: &Shape) -> bool {
    !matches!(shape.kind, Kind::Structure(_) | Kind::List(_) | Kind::Map(..))
}

fn fails(shape: &'static Shape, value: &Value) -> bool {
    value.is_null() || broken(shape, value).next().is_some()
}

fn all(shape: &'static Shape) -> String {
    let mut texts: Vec<String> = constraints(shape).map(|constraint| constraint.to_string()).collect();
    texts.push("Member must not be null".into());
    texts.join(", ")
}
