//! Runs named tests, of Rust and of Python, and hears how each went.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a test went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Passed,
    Failed,
    /// And why.
    Skipped(String),
}

/// By the test's name in the list, each of its cases.
pub(super) type Answers = BTreeMap<String, Vec<(String, Answer)>>;

/// Runs all of them, a program at a time.
pub(super) fn all<'a>(
    root: &Path,
    target: &Path,
    tier: u8,
    tests: impl Iterator<Item = &'a String>,
) -> Result<Answers, String> {
    let mut answers = Answers::new();
    let mut programs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for test in tests {
        let (program, name) = test.split_once("::").ok_or_else(|| format!("{test} names no test"))?;
        programs.entry(program).or_default().insert(name);
    }
    let (python, rust): (BTreeMap<_, _>, _) =
        programs.into_iter().partition(|(program, _)| program.starts_with("tests/"));
    for (program, names) in &rust {
        println!("== {program}: {} tests", names.len());
        let (krate, part) = program.split_once('/').ok_or_else(|| format!("{program} names no crate"))?;
        let mut cargo = test(krate, part);
        cargo.args(["--", "--exact", "--show-output", "--format=pretty"]).args(names);
        let said = output(cargo, root, tier)?;
        answers.extend(
            of_cargo(&said, names).into_iter().map(|(name, cases)| (format!("{program}::{name}"), cases)),
        );
    }
    if !python.is_empty() {
        answers.extend(of_pytest(&pytest(root, target, tier, &python)?, &python));
    }
    Ok(answers)
}

/// `cargo test` of one program of tests. Beside it stands the binary's own crate, so that what both are made of is built with the
/// features that it has there, and not once more.
pub(super) fn test(krate: &str, part: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet", "-p", krate, "-p", "cli"]);
    if part == "lib" {
        cargo.arg("--lib");
    } else {
        cargo.args(["--test", part]);
    }
    cargo
}

fn pytest(
    root: &Path,
    target: &Path,
    tier: u8,
    programs: &BTreeMap<&str, BTreeSet<&str>>,
) -> Result<String, String> {
    if std::env::var_os("DAYFLY_BINARY").is_none() && !target.join("release/dayfly").exists() {
        return Err("there is no target/release/dayfly; build it: cargo build --release".into());
    }
    println!("== black-box tests: {}", programs.values().map(BTreeSet::len).sum::<usize>());
    let mut python = Command::new(root.join(".test/venv/bin/python"));
    python.args(["-m", "pytest", "-v", "--tb=short", "-p", "no:cacheprovider"]);
    for (file, names) in programs {
        python.args(names.iter().map(|name| format!("{file}::{name}")));
    }
    output(python, root, tier)
}

fn output(mut command: Command, root: &Path, tier: u8) -> Result<String, String> {
    let ran = command.current_dir(root).env("DAYFLY_TIER", tier.to_string()).env("COLUMNS", "1000").output();
    let ran = ran.map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    if !ran.status.success() {
        print!("{said}{}", String::from_utf8_lossy(&ran.stderr));
    }
    Ok(said)
}

/// Where a program is, by the search path.
pub(super) fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists())
}

/// `test NAME ... ok`, and below it what the tests have printed, where a line may say what was not run.
pub(super) fn of_cargo(said: &str, names: &BTreeSet<&str>) -> Answers {
    let mut answers = Answers::new();
    let mut speaker = None;
    for line in said.lines() {
        if let Some((name, how)) = line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... ")) {
            let answer = match how {
                "ok" => Answer::Passed,
                ignored if ignored.starts_with("ignored") => Answer::Skipped(ignored.to_owned()),
                _ => Answer::Failed,
            };
            if names.contains(name) {
                answers.entry(name.to_owned()).or_default().push((name.to_owned(), answer));
            }
        } else if let Some(name) =
            line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----"))
        {
            speaker = Some(name.to_owned());
        } else if let (Some(why), Some(name)) = (line.strip_prefix("not run: "), &speaker)
            && let Some(cases) = answers.get_mut(name)
        {
            cases.push((name.clone(), Answer::Skipped(why.to_owned())));
        }
    }
    answers
}

/// `tests/file.py::test[case] PASSED`.
pub(super) fn of_pytest(said: &str, programs: &BTreeMap<&str, BTreeSet<&str>>) -> Answers {
    let mut answers = Answers::new();
    for line in said.lines().filter(|line| line.starts_with("tests/")) {
        let found = [" PASSED", " FAILED", " ERROR", " SKIPPED"]
            .into_iter()
            .find_map(|word| line.split_once(word).map(|(case, rest)| (word, case, rest)));
        let Some((word, case, rest)) = found else { continue };
        let name = case.split('[').next().unwrap_or(case);
        let known = name
            .split_once("::")
            .is_some_and(|(file, test)| programs.get(file).is_some_and(|tests| tests.contains(test)));
        if known {
            let answer = match word {
                " PASSED" => Answer::Passed,
                " SKIPPED" => {
                    Answer::Skipped(rest.split(')').next().unwrap_or("").trim_matches([' ', '(']).into())
                }
                _ => Answer::Failed,
            };
            answers.entry(name.to_owned()).or_default().push((case.to_owned(), answer));
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_says_is_heard() {
        let said = "test a ... ok\ntest b ... FAILED\ntest c ... ignored, why\ntest other ... ok\n\
                    ---- a stdout ----\nnot run: as root\n";
        let answers = of_cargo(said, &BTreeSet::from(["a", "b", "c"]));
        assert_eq!(answers["a"][0].1, Answer::Passed);
        assert_eq!(answers["a"][1].1, Answer::Skipped("as root".into()));
        assert_eq!(answers["b"][0].1, Answer::Failed);
        assert_eq!(answers["c"][0].1, Answer::Skipped("ignored, why".into()));
        assert!(!answers.contains_key("other"));
    }

    #[test]
    fn what_pytest_says_is_heard() {
        let said = "tests/x.py::one[a b] PASSED   [ 1%]\ntests/x.py::one[c] FAILED [ 2%]\n\
                    tests/x.py::two SKIPPED (skipped: no root) [ 3%]\n";
        let answers = of_pytest(said, &BTreeMap::from([("tests/x.py", BTreeSet::from(["one", "two"]))]));
        assert_eq!(answers["tests/x.py::one"][0], ("tests/x.py::one[a b]".into(), Answer::Passed));
        assert_eq!(answers["tests/x.py::one"][1].1, Answer::Failed);
        assert_eq!(answers["tests/x.py::two"][0].1, Answer::Skipped("skipped: no root".into()));
    }
}
