//! What runs inside: the tests' own programs, one after the other, each with its time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;

/// The name of the one program that runs all tests in Python.
pub(super) const PYTEST: &str = "pytest";

/// The whole machine's time. It is emulated, about ten times slower than this one.
pub(super) const BOOT_SECONDS: u32 = 2700;

/// A program's time, and the time for all tests in Python.
const PROGRAM_SECONDS: u32 = 900;
const PYTEST_SECONDS: u32 = 1500;

/// A program to run.
pub(super) struct Errand {
    name: String,
    folder: String,
    seconds: u32,
    command: Vec<String>,
}

/// What is to be run, built already.
pub(super) fn errands(
    root: &Path,
    target: &Path,
    binary: &Path,
    rust: &BTreeMap<&str, BTreeSet<&str>>,
    python: &BTreeMap<&str, BTreeSet<&str>>,
) -> Result<Vec<Errand>, String> {
    let mut errands = Vec::new();
    for (program, names) in rust {
        let (krate, part) = program.split_once('/').ok_or_else(|| format!("{program} names no crate"))?;
        let built = executable(root, target, krate, part)?;
        let mut command = vec![built];
        command.extend(
            ["--exact", "--show-output", "--format=pretty", "--color=never", "--test-threads=1"]
                .map(str::to_owned),
        );
        command.extend(names.iter().map(|name| (*name).to_owned()));
        let folder = root.join(krate).display().to_string();
        errands.push(Errand { name: (*program).to_owned(), folder, seconds: PROGRAM_SECONDS, command });
    }
    if !python.is_empty() {
        let interpreter = root.join(".test/venv/bin/python").display().to_string();
        let mut command =
            vec!["env".to_owned(), format!("DAYFLY_BINARY={}", binary.display()), "COLUMNS=1000".into()];
        command.push(interpreter);
        command.extend(
            ["-m", "pytest", "-v", "--color=no", "--tb=short", "-p", "no:cacheprovider"].map(str::to_owned),
        );
        for (file, names) in python {
            command.extend(names.iter().map(|name| format!("{file}::{name}")));
        }
        let folder = root.display().to_string();
        errands.push(Errand { name: PYTEST.into(), folder, seconds: PYTEST_SECONDS, command });
    }
    Ok(errands)
}

/// Builds a crate's tests and says where they are.
fn executable(root: &Path, target: &Path, krate: &str, part: &str) -> Result<String, String> {
    let mut cargo = super::run::test(krate, part);
    cargo.args(["--no-run", "--message-format=json"]);
    let ran = cargo.current_dir(root).env("CARGO_TARGET_DIR", target).stderr(Stdio::inherit()).output();
    let ran = ran.map_err(|error| format!("cargo: {error}"))?;
    let said = String::from_utf8_lossy(&ran.stdout);
    let messages = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let of_test = |message: &serde_json::Value| {
        let is_test = message["profile"]["test"].as_bool() == Some(true);
        is_test.then(|| message["executable"].as_str().map(str::to_owned)).flatten()
    };
    let mut found = messages.filter_map(|message| of_test(&message));
    found.next_back().ok_or_else(|| format!("{krate}/{part} could not be built"))
}

/// The errands as a script.
pub(super) fn script(errands: &[Errand]) -> String {
    let mut script = include_str!("inside.sh").to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    let _ = writeln!(script, "export PATH={}", quoted(&path));
    for errand in errands {
        let command: Vec<String> = errand.command.iter().map(|word| quoted(word)).collect();
        let (name, folder) = (quoted(&errand.name), quoted(&errand.folder));
        let _ = writeln!(script, "bounded {name} {folder} {} {}", errand.seconds, command.join(" "));
    }
    script.push_str("echo o > /proc/sysrq-trigger\nsleep 60\n");
    script
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// By program, what it has printed.
pub(super) fn heard(said: &str) -> BTreeMap<String, String> {
    let mut heard: BTreeMap<String, String> = BTreeMap::new();
    let mut speaker: Option<&str> = None;
    for line in said.lines() {
        if let Some(name) = line.strip_prefix("@@ begin ") {
            speaker = Some(name);
        } else if line.starts_with("@@ end ") {
            speaker = None;
        } else if let Some(name) = speaker {
            let text = heard.entry(name.to_owned()).or_default();
            text.push_str(line);
            text.push('\n');
        }
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_is_heard_by_itself() {
        let said =
            "boot\n@@ kernel 6.1\n@@ begin a/lib\none\n@@ end a/lib 0\nnoise\n@@ begin pytest\ntwo\nthree\n";
        let heard = heard(said);
        let expected = [("a/lib", "one\n"), ("pytest", "two\nthree\n")];
        assert_eq!(heard, expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    }

    #[test]
    fn words_reach_the_program_as_they_are() {
        for (word, expected) in [("a b", "'a b'"), ("it's", "'it'\\''s'"), ("$x", "'$x'")] {
            assert_eq!(quoted(word), expected);
        }
    }
}
