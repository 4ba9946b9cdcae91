//! The list of checks: numbers, tiers, and the tests that prove each.

use serde::Deserialize;
use std::path::Path;

/// Where it lies.
const FILE: &str = "tests/checks.toml";

/// One check of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    pub(super) number: u16,
    pub(super) what: String,
    /// 0: every commit; 1: every merge; 2: nightly; 3: weekly.
    pub(super) tier: u8,
    /// `crate/target::test`, where `lib` is the crate itself, or `tests/file.py::test`.
    pub(super) tests: Vec<String>,
    /// What of it no test proves, and why.
    pub(super) open: Option<String>,
}

#[derive(Deserialize)]
struct List {
    check: Vec<Check>,
    vm: Vm,
}

/// What is tested again under another kernel.
#[derive(Deserialize)]
struct Vm {
    tests: Vec<String>,
}

/// The tests that `--vm` runs.
pub(super) fn read_vm(root: &Path) -> Result<Vec<String>, String> {
    parse(root).map(|list| list.vm.tests)
}

fn parse(root: &Path) -> Result<List, String> {
    let text = std::fs::read_to_string(root.join(FILE)).map_err(|error| format!("{FILE}: {error}"))?;
    toml::from_str(&text).map_err(|error| format!("{FILE}: {error}"))
}

/// Reads the list. Every check has a test or says why it has none.
pub(super) fn read(root: &Path) -> Result<Vec<Check>, String> {
    let list = parse(root)?;
    match list.check.iter().find(|check| check.tests.is_empty() && check.open.is_none()) {
        Some(check) => Err(format!("{FILE}: check {} has neither a test nor a reason", check.number)),
        None => Ok(list.check),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_there_once_and_every_test_exists() {
        let root = crate::tidy::root();
        let checks = read(&root).unwrap();
        let numbers: Vec<u16> = checks.iter().map(|check| check.number).collect();
        let expected: Vec<u16> = (1..=56).chain(126..=140).chain(161..=165).collect();
        assert_eq!(numbers, expected);
        for test in checks.iter().flat_map(|check| &check.tests).chain(&read_vm(&root).unwrap()) {
            let (place, name) = test.split_once("::").expect("a place and a name");
            let name = name.rsplit("::").next().unwrap_or(name);
            let found = match place.split_once('/').expect("a crate and a target") {
                ("tests", file) => has(&root.join("tests").join(file), &format!("def {name}(")),
                (krate, "lib") => has(&root.join(krate).join("src"), &format!("fn {name}(")),
                (krate, _) => has(&root.join(krate).join("tests"), &format!("fn {name}(")),
            };
            assert!(found, "{test} does not exist");
        }
    }

    fn has(path: &Path, text: &str) -> bool {
        if path.is_dir() {
            let mut entries = std::fs::read_dir(path).unwrap().flatten();
            return entries.any(|entry| has(&entry.path(), text));
        }
        std::fs::read_to_string(path).is_ok_and(|found| found.contains(text))
    }
}
