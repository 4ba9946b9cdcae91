//! `cargo xtask tidy`: the rules of the house that no compiler knows. Each says why when it is broken.

mod floors;
mod sizes;
mod words;

use std::path::{Path, PathBuf};
use std::process::Command;

/// One broken rule.
pub(crate) struct Breach {
    pub(crate) place: String,
    pub(crate) rule: String,
}

/// A file that git tracks or would track, with its text.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    pub(crate) fn is_generated(&self) -> bool {
        self.path.contains("/generated/")
    }

    /// The text before its test module.
    pub(crate) fn product(&self) -> &str {
        if self.is_test() {
            return "";
        }
        self.text.split("\n#[cfg(test)]\nmod ").next().unwrap_or("")
    }
}

/// Runs every check; prints what is broken and says whether all is well.
pub fn run() -> Result<(), String> {
    let root = root();
    let sources = sources(&root)?;
    let mut breaches = floors::check(&root);
    breaches.extend(sizes::check(&sources));
    breaches.extend(words::check(&sources));
    for breach in &breaches {
        eprintln!("{}: {}", breach.place, breach.rule);
    }
    if breaches.is_empty() {
        println!("tidy: {} files, no rule broken", sources.len());
        Ok(())
    } else {
        Err(format!("tidy: {} rules broken", breaches.len()))
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

fn sources(root: &Path) -> Result<Vec<Source>, String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("git ls-files: {e}"))?;
    let names = String::from_utf8_lossy(&listed.stdout);
    Ok(names
        .lines()
        .filter_map(|path| {
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            Some(Source { path: path.to_owned(), text })
        })
        .collect())
}
