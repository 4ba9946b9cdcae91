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
}
