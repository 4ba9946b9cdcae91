//! `services.toml`: what is generated, and what each served operation needs to be allowed.

use super::Failure;
use super::model::Model;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The whole file.
#[derive(Debug, Deserialize)]
pub struct Plan {
    pub botocore: Package,
    pub services: BTreeMap<String, Service>,
}

/// The package that holds the models.
#[derive(Debug, Deserialize)]
pub struct Package {
    pub version: String,
    pub sha256: String,
}

/// One service: its model and what of it is served.
#[derive(Debug, Deserialize)]
pub struct Service {
    pub model: String,
    pub validation_code: Option<String>,
    /// By `Shape.Member`: media types of payloads, which the models do not carry.
    #[serde(default)]
    pub media_types: BTreeMap<String, String>,
    #[serde(default)]
    pub actions: BTreeMap<String, String>,
    /// By shape: values of our own that an enum accepts besides the vendor's.
    #[serde(default)]
    pub values: BTreeMap<String, Vec<String>>,
    pub operations: BTreeMap<String, Resource>,
}

/// Which input member names the resource; none: the action is on `*`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    pub function: Option<String>,
    pub arn: Option<String>,
    #[serde(default)]
    pub log_group: Vec<String>,
}

impl Plan {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        Ok(toml::from_str(&std::fs::read_to_string(path)?)?)
    }
}

impl Service {
    /// Adds our own values to the model.
    pub fn extend(&self, model: &mut Model) -> Result<(), Failure> {
        for (shape, values) in &self.values {
            let known = model.shapes.get_mut(shape).filter(|shape| !shape.choices.is_empty());
            known.ok_or_else(|| format!("no enum {shape}"))?.choices.extend(values.iter().cloned());
        }
        Ok(())
    }
}

impl Resource {
    /// The members that it names, to be checked against the model.
    pub fn members(&self) -> impl Iterator<Item = &String> {
        self.function.iter().chain(&self.arn).chain(&self.log_group)
    }

    /// As a Rust expression.
    pub fn expression(&self) -> String {
        if let Some(member) = &self.function {
            format!("Resource::Function {{ member: {member:?} }}")
        } else if let Some(member) = &self.arn {
            format!("Resource::Arn {{ member: {member:?} }}")
        } else if self.log_group.is_empty() {
            "Resource::Any".into()
        } else {
            format!("Resource::LogGroup {{ members: &{:?} }}", self.log_group)
        }
    }
}
