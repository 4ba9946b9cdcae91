//! What to do about slow starts, going by what their records say.

use crate::api::lambda::Configuration;
use crate::api::platform::{Import, Invocation};
use crate::figure;
use model::{Language, Runtime};

/// A start that loads for no longer than this needs no advice.
const LONG_US: u64 = 20_000;
/// What the platform's records say of a copy of a process that had loaded the code.
const COPY: &str = "the function's template";
/// And where no process of its language can be copied here.
const NOT_FORKED: &str = "it cannot be forked";
/// The handler's own modules, among packages.
const OWN: &str = ".";

/// Whether the start was a copy of a process that had loaded the code.
pub fn is_copy(start: &Invocation) -> bool {
    [format!("forked from {COPY}"), format!("a spare of {COPY}")]
        .iter()
        .any(|words| start.reason.contains(words))
}

/// Whether the start took its rung for a reason that passes by itself.
fn will_pass(start: &Invocation) -> bool {
    [
        "its template is being made",
        "its template was not made yet",
        "no process waits for",
        "as was asked for",
    ]
    .iter()
    .any(|why| start.reason.contains(why))
}

/// What kind of code a function is.
pub fn language(function: &Configuration) -> Option<Language> {
    Runtime::parse(&function.runtime).ok().map(|runtime| runtime.language)
}

/// How a package is called here.
pub fn package<'a>(function: &Configuration, import: &'a Import) -> &'a str {
    match (import.package.as_str(), language(function)) {
        (OWN, Some(Language::Node)) => "(own code and ES modules)",
        (OWN, _) => "(own code)",
        (package, _) => package,
    }
}

/// What the last cold starts, newest first, call for. Nothing where they were quick.
pub fn of(function: &Configuration, starts: &[Invocation]) -> Vec<String> {
    let mut advice = Vec::new();
    let Some(last) = starts.first() else { return advice };
    let name = &function.function_name;
    if last.outcome == "init-error" {
        advice.push(format!("the code could not be loaded; why, is in its log: dayfly logs {name}"));
        return advice;
    }
    advice.extend(about_waiting(name, starts));
    match language(function) {
        Some(Language::Python | Language::Node) => {
            if typical(starts, load_us) > LONG_US && !(function.snap_start.is_on() && will_pass(last)) {
                advice.extend(about_loading(function, last, starts));
                advice.extend(about_imports(starts));
            }
        }
        _ if will_pass(last) => {}
        _ => advice.extend(about_readiness(name, starts)),
    }
    advice
}

/// What a start took to load the code, as far as it has loaded it itself.
fn load_us(start: &Invocation) -> u64 {
    start.imports.iter().find(|import| import.package == OWN).map_or(0, |import| import.total_us)
}

/// A program that is slow to begin can only be begun before.
fn about_readiness(name: &str, starts: &[Invocation]) -> Option<String> {
    let start_us = typical(starts, Invocation::start_us);
    (start_us > LONG_US).then(|| {
        format!(
            "a start takes {} ms until the program is ready; to have instances ready before calls come, in its folder: \
             dayfly deploy --name {name} --provisioned 1",
            figure::milliseconds(start_us)
        )
    })
}

fn typical(starts: &[Invocation], what: impl Fn(&Invocation) -> u64) -> u64 {
    let mut values: Vec<u64> = starts.iter().map(what).collect();
    figure::median(&mut values).unwrap_or(0)
}

/// Calls that wait longer than a start takes wait for their turn to start.
fn about_waiting(name: &str, starts: &[Invocation]) -> Option<String> {
    let queue_us = typical(starts, |start| start.phases.queue_us);
    let start_us = typical(starts, Invocation::start_us);
    (queue_us > LONG_US.max(start_us)).then(|| {
        format!(
            "calls wait {} ms for their turn to start, longer than a start takes; to have instances ready before they \
             come, in its folder: dayfly deploy --name {name} --provisioned 2",
            figure::milliseconds(queue_us)
        )
    })
}

fn about_loading(function: &Configuration, last: &Invocation, starts: &[Invocation]) -> Option<String> {
    let name = &function.function_name;
    match (is_copy(last), function.snap_start.is_on()) {
        (true, _) => None,
        (false, true) => Some(format!(
            "SnapStart is on, but the last start was no copy of the function's template: {}",
            last.reason
        )),
        (false, false) if last.reason.contains(NOT_FORKED) => about_readiness(name, starts),
        (false, false) => Some(format!(
            "loading the code takes {} of a start's {} ms; to load it once and copy it, in its folder: dayfly deploy \
             --name {name} --snapstart",
            figure::milliseconds(typical(starts, load_us)),
            figure::milliseconds(typical(starts, Invocation::start_us)),
        )),
    }
}

/// The package that half of a start or more goes into, where starts load the code.
fn about_imports(starts: &[Invocation]) -> Option<String> {
    let start = starts.iter().find(|start| !start.imports.is_empty())?;
    if starts.first().is_some_and(is_copy) {
        return None;
    }
    let largest =
        start.imports.iter().filter(|import| import.package != OWN).max_by_key(|import| import.total_us)?;
    (largest.total_us * 2 > start.start_us()).then(|| {
        format!(
            "importing {} takes {} of a start's {} ms: where only some calls need it, import it in the function that does",
            largest.package,
            figure::milliseconds(largest.total_us),
            figure::milliseconds(start.start_us())
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lambda::SnapStart;
    use crate::api::platform::Phases;

    fn start(reason: &str, queue_us: u64, init_us: u64, imports: &[(&str, u64)]) -> Invocation {
        let import = |&(package, total_us): &(&str, u64)| Import {
            package: package.into(),
            total_us,
            ..Import::default()
        };
        Invocation {
            reason: reason.into(),
            rung: "fork".into(),
            outcome: "success".into(),
            phases: Phases { queue_us, init_us, ..Phases::default() },
            imports: imports.iter().map(import).collect(),
            ..Invocation::default()
        }
    }

    fn function(runtime: &str, apply_on: &str) -> Configuration {
        Configuration {
            function_name: "f".into(),
            runtime: runtime.into(),
            snap_start: SnapStart { apply_on: apply_on.into() },
            ..Configuration::default()
        }
    }

    #[test]
    fn advice_follows_from_starts() {
        let runtime = "first instance; forked from the runtime's template";
        let copy = "first instance; forked from the function's template";
        let refused =
            "first instance; forked from the runtime's template; it cannot be forked: it started 1 threads";
        let heavy = start(runtime, 0, 300_000, &[(".", 290_000), ("boto3", 280_000), ("json", 9_000)]);
        let slow = [(".", 50_000)];
        let python = || function("python3.13", "None");
        let copied = || function("python3.13", "PublishedVersions");
        let (node, program) = (|| function("nodejs20.x", "None"), || function("provided.al2023", "None"));
        let cases: &[(&str, Configuration, Vec<Invocation>, &[&str])] = &[
            ("none", python(), vec![], &[]),
            ("quick", python(), vec![start(runtime, 0, 4000, &[])], &[]),
            ("a new process", python(), vec![start("first instance", 0, 90_000, &[])], &[]),
            (
                "quick as a rule",
                python(),
                [vec![heavy.clone()], vec![start(runtime, 0, 4000, &[]); 2]].concat(),
                &[],
            ),
            (
                "heavy",
                python(),
                vec![heavy.clone()],
                &["290 of a start's 300 ms", "importing boto3 takes 280 of"],
            ),
            (
                "own code",
                node(),
                vec![start(runtime, 0, 60_000, &[slow[0], ("a", 20_000)])],
                &["--name f --snapstart"],
            ),
            ("refused", copied(), vec![start(refused, 0, 50_000, &slow)], &["it started 1 threads"]),
            (
                "soon",
                copied(),
                vec![start("first instance; its template is being made", 0, 50_000, &slow)],
                &[],
            ),
            ("copied", copied(), vec![start(copy, 0, 30_000, &[]), heavy.clone()], &[]),
            ("crowded", python(), vec![start(runtime, 90_000, 4000, &[])], &["--provisioned 2"]),
            (
                "not forked",
                node(),
                vec![start(
                    "first instance; it cannot be forked: without namespaces nothing is",
                    0,
                    60_000,
                    &slow,
                )],
                &["--provisioned 1"],
            ),
            ("a program", program(), vec![start("first instance", 0, 50_000, &[])], &["--provisioned 1"]),
            ("a quick program", program(), vec![start("first instance", 0, 5000, &[])], &[]),
        ];
        for (what, function, starts, expected) in cases {
            let advice = of(function, starts);
            let said = advice.len() == expected.len()
                && advice.iter().zip(*expected).all(|(advice, expected)| advice.contains(expected));
            assert!(said, "{what}: {advice:?}");
        }
    }

    #[test]
    fn a_failed_start_points_to_the_log() {
        let failed = Invocation { outcome: "init-error".into(), ..start("first instance", 0, 900_000, &[]) };
        assert_eq!(
            of(&function("python3.13", "None"), &[failed]),
            ["the code could not be loaded; why, is in its log: dayfly logs f"]
        );
    }
}
