//! `cargo xtask secure [--tier N | --vm [TEXT…]]`: every security check of `tests/checks.toml` up to a tier, run for real, and a table
//! of how each went. What could not be run is said to be not run, never passed.

mod list;
mod run;
mod vm;

use list::Check;
use run::{Answer, Answers};
use std::path::PathBuf;

/// The tier that runs where none is named: what every commit is tested with.
const USUAL_TIER: u8 = 0;

/// How a check went.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    /// What is tested passed; what is not, the text says.
    Partly(String),
    Failed(String),
    NotRun(String),
}

/// Runs the checks and prints the table.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = crate::tidy::root();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let tier = match words.as_slice() {
        ["--vm", only @ ..] => return vm::run(&root, &target, only),
        [] => USUAL_TIER,
        ["--tier", number] => number.parse().map_err(|_| format!("{number} is no tier: 0, 1, 2 or 3"))?,
        _ => return Err("usage: cargo xtask secure [--tier N | --vm [TEXT…]]".into()),
    };
    let checks = list::read(&root)?;
    let wanted: Vec<&Check> = checks.iter().filter(|check| check.tier <= tier).collect();
    let answers = run::all(&root, &target, tier, wanted.iter().flat_map(|check| &check.tests))?;
    let verdicts: Vec<Verdict> = checks.iter().map(|check| judge(check, tier, &answers)).collect();
    report(&checks, &verdicts)
}

fn judge(check: &Check, tier: u8, answers: &Answers) -> Verdict {
    if let (true, Some(open)) = (check.tests.is_empty(), &check.open) {
        return Verdict::NotRun(open.clone());
    }
    if check.tier > tier {
        return Verdict::NotRun(format!("tier {}", check.tier));
    }
    let mut skipped = Vec::new();
    let mut passed = false;
    for test in &check.tests {
        match answers.get(test) {
            None => return Verdict::Failed(format!("{test} did not run")),
            Some(answer) => {
                if let Some(name) = answer.iter().find_map(|(name, a)| (*a == Answer::Failed).then_some(name))
                {
                    return Verdict::Failed(name.clone());
                }
                passed |= answer.iter().any(|(_, a)| *a == Answer::Passed);
                skipped.extend(answer.iter().filter_map(|(name, a)| match a {
                    Answer::Skipped(why) => Some(format!("{name}: {why}")),
                    _ => None,
                }));
            }
        }
    }
    match (passed, &check.open) {
        (false, _) => Verdict::NotRun(skipped.join("; ")),
        (true, None) if skipped.is_empty() => Verdict::Passed,
        (true, open) => Verdict::Partly(open.iter().cloned().chain(skipped).collect::<Vec<_>>().join("; ")),
    }
}

fn report(checks: &[Check], verdicts: &[Verdict]) -> Result<(), String> {
    let mut counts = [0; 4];
    for (check, verdict) in checks.iter().zip(verdicts) {
        let (at, word, why) = match verdict {
            Verdict::Passed => (0, "pass", ""),
            Verdict::Partly(why) => (1, "partly", why.as_str()),
            Verdict::Failed(why) => (2, "FAIL", why.as_str()),
            Verdict::NotRun(why) => (3, "not run", why.as_str()),
        };
        counts[at] += 1;
        println!("{:>3}  T{}  {word:<8} {:<32} {why}", check.number, check.tier, check.what);
    }
    let [passed, partly, failed, not_run] = counts;
    println!("{passed} pass, {partly} partly, {failed} fail, {not_run} not run");
    if failed == 0 { Ok(()) } else { Err(format!("{failed} security checks failed")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tests: &[&str], open: Option<&str>) -> Check {
        let tests = tests.iter().map(|test| (*test).to_owned()).collect();
        Check { number: 1, what: "x".into(), tier: 1, tests, open: open.map(str::to_owned) }
    }

    #[test]
    fn nothing_passes_that_did_not_run() {
        let one = |name: &str, answer| (name.to_owned(), vec![(name.to_owned(), answer)]);
        let answers: Answers = [
            one("good", Answer::Passed),
            one("bad", Answer::Failed),
            one("idle", Answer::Skipped("no root".into())),
        ]
        .into_iter()
        .collect();
        let cases = [
            (check(&["good"], None), 1, Verdict::Passed),
            (check(&["good"], None), 0, Verdict::NotRun("tier 1".into())),
            (check(&["good"], Some("rest")), 1, Verdict::Partly("rest".into())),
            (check(&["good", "bad"], None), 1, Verdict::Failed("bad".into())),
            (check(&["good", "gone"], None), 1, Verdict::Failed("gone did not run".into())),
            (check(&["good", "idle"], None), 1, Verdict::Partly("idle: no root".into())),
            (check(&["idle"], None), 1, Verdict::NotRun("idle: no root".into())),
            (check(&[], Some("no images")), 0, Verdict::NotRun("no images".into())),
        ];
        for (check, tier, expected) in cases {
            assert_eq!(judge(&check, tier, &answers), expected, "{:?}", check.tests);
        }
    }
}
