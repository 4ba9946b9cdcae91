//! Resource policies: documents that say who may do what with one resource.

mod condition;
mod glob;
mod principal;

pub use condition::Context;

use condition::Truth;
use model::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The only policy language version there is.
pub const LANGUAGE: &str = "2012-10-17";

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Document {
    /// [`LANGUAGE`].
    pub version: String,
    /// A name for the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it says.
    pub statement: Vec<Statement>,
}

/// One rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Statement {
    /// Its name in the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Whether it allows or denies.
    pub effect: Effect,
    /// `"*"`, or an object such as `{"AWS": …}` or `{"Service": …}`.
    pub principal: Value,
    /// Actions, with `*` and `?`.
    pub action: OneOrMany,
    /// Resource ARNs, with `*` and `?`.
    pub resource: OneOrMany,
    /// Operators, each with condition keys and values.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub condition: Map<String, Value>,
}

/// Whether a statement allows or denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies, and no other statement can undo that.
    Deny,
}

/// One text, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// `"a"`.
    One(String),
    /// `["a", "b"]`.
    Many(Vec<String>),
}

impl OneOrMany {
    fn any(&self, fits: impl FnMut(&String) -> bool) -> bool {
        match self {
            Self::One(text) => std::slice::from_ref(text).iter().any(fits),
            Self::Many(texts) => texts.iter().any(fits),
        }
    }
}

/// What a policy says about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it and none denies it.
    Allow,
    /// A statement denies it.
    Deny,
    /// No statement speaks of it.
    Silent,
}

/// What is asked of a policy.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// Such as `lambda:InvokeFunction`.
    pub action: &'a str,
    /// An ARN.
    pub resource: &'a str,
    /// Condition keys and their values.
    pub context: &'a Context,
}

impl Document {
    /// What the document says about `request`. A statement that cannot be understood in full grants nothing;
    /// one that denies then denies.
    pub fn decide(&self, request: Request<'_>) -> Decision {
        let mut decision = Decision::Silent;
        for statement in &self.statement {
            match (statement.effect, statement.matches(request)) {
                (Effect::Deny, Truth::True | Truth::Unknown) => return Decision::Deny,
                (Effect::Allow, Truth::True) => decision = Decision::Allow,
                (_, Truth::False) | (Effect::Allow, Truth::Unknown) => {}
            }
        }
        decision
    }
}

impl Statement {
    fn matches(&self, request: Request<'_>) -> Truth {
        let action = request.action.to_ascii_lowercase();
        let speaks = self.action.any(|pattern| glob::matches(&pattern.to_ascii_lowercase(), &action))
            && self.resource.any(|pattern| glob::matches(pattern, request.resource));
        if speaks {
            principal::matches(&self.principal, request.caller)
                .and(condition::holds(&self.condition, request.context))
        } else {
            Truth::False
        }
    }
}

#[cfg(test)]
mod tests;
