//! Conditions of policy statements.

/// Condition keys of a request and their values. Keys compare without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context(Vec<(String, String)>);

impl Context {
    /// Adds a key that the platform itself knows to be true; never one that a client sent.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.push((key.to_ascii_lowercase(), value.into()));
        self
    }
}
