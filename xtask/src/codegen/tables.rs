//! The shapes that the served operations reach, and the static table of each.

use super::Failure;
use super::model::{Model, Reference, Shape};
use super::names::screaming;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Shapes that are generated, by name.
pub struct Reached<'m> {
    pub shapes: BTreeMap<&'m str, &'m Shape>,
    media_types: &'m BTreeMap<String, String>,
}

impl<'m> Reached<'m> {
    /// Everything that `roots` refer to, directly or not.
    pub fn from(
        model: &'m Model,
        media_types: &'m BTreeMap<String, String>,
        roots: impl IntoIterator<Item = String>,
    ) -> Result<Self, Failure> {
        let mut shapes = BTreeMap::new();
        let mut waiting: Vec<String> = roots.into_iter().collect();
        while let Some(name) = waiting.pop() {
            let (name, shape) =
                model.shapes.get_key_value(&name).ok_or_else(|| format!("no shape {name}"))?;
            if shapes.insert(name.as_str(), shape).is_none() {
                waiting.extend(shape.references()?);
            }
        }
        let mut statics = BTreeMap::new();
        for name in shapes.keys() {
            if let Some(other) = statics.insert(screaming(name), *name) {
                return Err(format!("{name} and {other} would share one table name").into());
            }
        }
        Ok(Self { shapes, media_types })
    }

    /// Names of the shapes for which `holds` is true of the shape itself or of any that it refers to.
    pub fn closure(&self, holds: impl Fn(&Shape) -> bool) -> Result<BTreeSet<&'m str>, Failure> {
        let direct = self.shapes.iter().filter(|(_, shape)| holds(shape));
        let mut found: BTreeSet<&str> = direct.map(|(name, _)| *name).collect();
        loop {
            let before = found.len();
            for (name, shape) in &self.shapes {
                if shape.references()?.iter().any(|inner| found.contains(inner.as_str())) {
                    found.insert(name);
                }
            }
            if found.len() == before {
                return Ok(found);
            }
        }
    }

    /// The table of one shape as Rust source; `None` for shapes that share one of the plain tables.
    pub fn table(&self, name: &str, shape: &Shape) -> Result<Option<String>, Failure> {
        if plain(shape).is_some() {
            return Ok(None);
        }
        let mut text = format!("pub static {}: Shape = {}", screaming(name), self.construct(name, shape)?);
        if let Some(min) = shape.min {
            write!(text, ".min({min:?})")?;
        }
        if let Some(max) = shape.max {
            write!(text, ".max({max:?})")?;
        }
        if let Some(pattern) = &shape.pattern {
            write!(text, ".pattern({pattern:?})")?;
        }
        if !shape.choices.is_empty() {
            write!(text, ".choices({}::TEXTS)", super::emit::type_name(name))?;
        }
        if shape.sensitive {
            text += ".sensitive()";
        }
        Ok(Some(text + ";"))
    }

    fn construct(&self, name: &str, shape: &Shape) -> Result<String, Failure> {
        let inner = |reference: &Option<Reference>, usual: &str| {
            let reference = reference.as_ref().ok_or_else(|| format!("{name} has no element"))?;
            if reference.location_name.as_deref().is_some_and(|wire| wire != usual) {
                return Err(format!("{name}: renamed elements have no builder yet"));
            }
            self.reference(reference).map_err(|error| error.to_string())
        };
        let kind = match shape.kind.as_str() {
            "structure" => return self.structure(name, shape),
            "list" => return Ok(format!("Shape::list({name:?}, {})", inner(&shape.member, "member")?)),
            "map" => {
                let (key, value) = (inner(&shape.key, "key")?, inner(&shape.value, "value")?);
                return Ok(format!("Shape::map({name:?}, {key}, {value})"));
            }
            "timestamp" => format!("Timestamp({})", time_format(shape)?),
            other => scalar_kind(other)?.into(),
        };
        Ok(format!("Shape::new({name:?}, Kind::{kind})"))
    }

    fn structure(&self, name: &str, shape: &Shape) -> Result<String, Failure> {
        let mut fields = String::new();
        for (member, reference) in shape.members()? {
            fields += &self.field(&member, &reference, shape)?;
            if let Some(media_type) = self.media_types.get(&format!("{name}.{member}")) {
                write!(fields, ".media({media_type:?})")?;
            }
            fields.push_str(", ");
        }
        Ok(if shape.exception {
            format!("Shape::error({name:?}, &[{fields}], {})", fault(name, shape))
        } else if shape.union {
            format!("Shape::union({name:?}, &[{fields}])")
        } else {
            format!("Shape::structure({name:?}, &[{fields}])")
        })
    }

    fn field(&self, member: &str, reference: &Reference, parent: &Shape) -> Result<String, Failure> {
        if reference.jsonvalue || reference.timestamp_format.is_some() || reference.xml_attribute {
            return Err(format!("member {member} carries a trait that has no builder yet").into());
        }
        let mut text = format!("Field::new({member:?}, {})", self.reference(reference)?);
        if let Some(wire) = reference.location_name.as_deref().filter(|wire| *wire != member) {
            write!(text, ".wire({wire:?})")?;
        }
        let is_map = self.shapes.get(reference.shape.as_str()).is_some_and(|shape| shape.kind == "map");
        let location = match reference.location.as_deref() {
            None if parent.payload.as_deref() == Some(member) => Some("Payload"),
            None => None,
            Some("uri") => Some("Label"),
            Some("querystring") if is_map => Some("QueryMap"),
            Some("querystring") => Some("Query"),
            Some("header") => Some("Header"),
            Some("headers") => Some("Headers"),
            Some("statusCode") => Some("Status"),
            Some(other) => return Err(format!("member {member} travels in an unknown place {other}").into()),
        };
        if let Some(location) = location {
            write!(text, ".at(Location::{location})")?;
        }
        if parent.required.iter().any(|required| required == member) {
            text += ".required()";
        }
        let target = self.shapes.get(reference.shape.as_str());
        if reference.flattened || target.is_some_and(|shape| shape.flattened) {
            text += ".flattened()";
        }
        Ok(text)
    }

    fn reference(&self, reference: &Reference) -> Result<String, Failure> {
        let name = reference.shape.as_str();
        let shape = self.shapes.get(name).ok_or_else(|| format!("no shape {name}"))?;
        Ok(match plain(shape) {
            Some(plain) => format!("&Shape::{plain}"),
            None => format!("&{}", screaming(name)),
        })
    }
}

/// The shared table of a shape without constraints.
fn plain(shape: &Shape) -> Option<&'static str> {
    let free = shape.min.is_none() && shape.max.is_none() && shape.pattern.is_none();
    if !free || shape.sensitive || !shape.choices.is_empty() || shape.timestamp_format.is_some() {
        return None;
    }
    Some(match shape.kind.as_str() {
        "string" => "STRING",
        "blob" => "BLOB",
        "boolean" => "BOOLEAN",
        "integer" => "INTEGER",
        "long" => "LONG",
        "double" => "DOUBLE",
        "timestamp" => "TIMESTAMP",
        _ => return None,
    })
}

fn scalar_kind(kind: &str) -> Result<&'static str, Failure> {
    Ok(match kind {
        "string" => "String",
        "blob" => "Blob",
        "boolean" => "Boolean",
        "integer" => "Integer",
        "long" => "Long",
        "float" => "Float",
        "double" => "Double",
        other => return Err(format!("unknown type {other}").into()),
    })
}

fn time_format(shape: &Shape) -> Result<String, Failure> {
    Ok(match shape.timestamp_format.as_deref() {
        None => "None".into(),
        Some("unixTimestamp") => "Some(TimeFormat::Epoch)".into(),
        Some("iso8601") => "Some(TimeFormat::Iso8601)".into(),
        Some("rfc822") => "Some(TimeFormat::HttpDate)".into(),
        Some(other) => return Err(format!("unknown timestamp format {other}").into()),
    })
}

fn fault(name: &str, shape: &Shape) -> String {
    let modeled = shape.error.as_ref().and_then(|error| error.http_status_code);
    let status = modeled.unwrap_or(if shape.fault { 500 } else { 400 });
    let side = if status >= 500 { "receiver" } else { "sender" };
    let code = shape.error.as_ref().and_then(|error| error.code.as_deref()).filter(|code| *code != name);
    let code = code.map(|code| format!(".code({code:?})")).unwrap_or_default();
    format!("Fault::{side}({status}){code}")
}
