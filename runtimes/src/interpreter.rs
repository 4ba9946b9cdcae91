//! One language interpreter of this machine.

use model::Language;
use std::path::PathBuf;

/// An interpreter that functions can run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// What it interprets.
    pub language: Language,
    /// Major, minor, patch.
    pub version: (u16, u16, u16),
    /// The real executable, after all symbolic links.
    pub executable: PathBuf,
    /// The folder that holds it and its libraries.
    pub prefix: PathBuf,
    /// Files and folders outside the system's own that it needs, each to be visible at its own place.
    pub needs: Vec<PathBuf>,
    /// Name, within the runtime folder, of our bootstrap in the form that it loads fastest.
    pub bootstrap: String,
}

impl Interpreter {
    /// The identifier of the runtimes it serves, such as `python3.12`, `nodejs22.x` or `java21`.
    pub fn identifier(&self) -> String {
        let (major, minor, _) = self.version;
        match self.language {
            Language::Python => format!("python{major}.{minor}"),
            Language::Node => format!("nodejs{major}.x"),
            Language::Java => format!("java{major}"),
            Language::Provided => "provided.al2023".into(),
            Language::Wasm => "wasm".into(),
        }
    }
}
