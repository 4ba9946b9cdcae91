//! What a function's imports cost, as far as the records of its starts tell.

use crate::advice;
use crate::api::lambda::Configuration;
use crate::api::platform::{Import, Invocation};
use crate::figure;
use crate::table::{Align, Table};
use model::Language;
use serde_json::{Value, json};

/// What is known.
#[derive(Debug, PartialEq, Eq)]
pub enum Cost<'a> {
    /// There are no packages to import when it starts, and why.
    DoesNotApply(&'static str),
    /// No start that is recorded has loaded the code.
    NotSeen,
    /// As this start saw it.
    Seen(&'a Invocation),
}

/// What the newest of these cold starts that has loaded the code says.
pub fn cost<'a>(function: &Configuration, starts: &'a [Invocation]) -> Cost<'a> {
    match advice::language(function) {
        Some(Language::Java) => {
            Cost::DoesNotApply("the JVM loads a class when it is first used, not a package when it starts")
        }
        Some(Language::Provided) => Cost::DoesNotApply("a compiled program imports nothing when it starts"),
        Some(Language::Wasm) => {
            Cost::DoesNotApply("a component is compiled once, when it is deployed, and imports nothing")
        }
        _ => {
            let loaded = |start: &&Invocation| !advice::is_copy(start) && start.outcome != "init-error";
            starts.iter().find(loaded).map_or(Cost::NotSeen, Cost::Seen)
        }
    }
}

impl Cost<'_> {
    /// One line above the packages, or in their place.
    pub fn line(&self, function: &Configuration, now_us: u64) -> String {
        match self {
            Self::DoesNotApply(why) => format!("import cost: does not apply, since {why}"),
            Self::NotSeen => format!(
                "import cost: not seen yet, no recorded start has imported anything itself; \
                 next: dayfly invoke {} --cold=spawn",
                function.function_name
            ),
            Self::Seen(start) => {
                let changed = figure::parse_modified(&function.last_modified);
                let stale = changed.is_some_and(|changed| start.started_us / 1_000_000 < changed);
                let when = figure::age(now_us.saturating_sub(start.started_us) / 1_000_000);
                let when = if stale { format!("{when}, before the last change") } else { when };
                let took = figure::milliseconds(start.start_us());
                let seen = format!("as the start {when} saw it, which took {took} ms");
                if start.imports.is_empty() {
                    return format!("import cost: nothing took a millisecond or more, {seen}");
                }
                format!("import cost in milliseconds, {seen}:")
            }
        }
    }

    /// The packages, if any.
    pub fn packages(&self) -> &[Import] {
        match self {
            Self::Seen(start) => &start.imports,
            _ => &[],
        }
    }

    /// For programs.
    pub fn document(&self) -> Value {
        match self {
            Self::DoesNotApply(why) => json!({"applies": false, "why": why}),
            Self::NotSeen => json!({"applies": true, "packages": null}),
            Self::Seen(start) => json!({
                "applies": true,
                "request_id": start.request_id,
                "started_us": start.started_us,
                "start_us": start.start_us(),
                "packages": start.imports,
            }),
        }
    }
}

/// A row for each package.
pub fn table(function: &Configuration, packages: &[Import]) -> Table {
    let mut table = Table::new(&[
        ("PACKAGE", Align::Left),
        ("MODULES", Align::Right),
        ("WITH ITS IMPORTS", Align::Right),
        ("BY ITSELF", Align::Right),
    ]);
    for import in packages {
        table.row([
            advice::package(function, import).to_owned(),
            if import.modules == 0 { "-".to_owned() } else { import.modules.to_string() },
            figure::milliseconds(import.total_us),
            figure::milliseconds(import.own_us),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(id: &str, reason: &str, outcome: &str) -> Invocation {
        Invocation {
            request_id: id.into(),
            reason: reason.into(),
            outcome: outcome.into(),
            started_us: 1_767_225_600_000_000,
            ..Invocation::default()
        }
    }

    #[test]
    fn the_newest_start_that_loaded_the_code_counts() {
        let copy = start("copy", "first instance; a spare of the function's template", "success");
        let failed = start("failed", "first instance", "init-error");
        let waits = start("waits", "first instance; its template is being made", "success");
        let older = start("older", "first instance; forked from the runtime's template", "error");
        let cases: &[(&str, &[&Invocation], Option<&str>)] = &[
            ("python3.13", &[&copy, &failed, &waits, &older], Some("waits")),
            ("nodejs20.x", &[&older], Some("older")),
            ("nodejs20.x", &[&copy, &failed], None),
            ("python3.13", &[], None),
        ];
        for (runtime, starts, expected) in cases {
            let function = Configuration { runtime: (*runtime).into(), ..Configuration::default() };
            let starts: Vec<Invocation> = starts.iter().map(|start| (*start).clone()).collect();
            let seen = match cost(&function, &starts) {
                Cost::Seen(start) => Some(start.request_id.as_str()),
                _ => None,
            };
            assert_eq!(seen, *expected, "{runtime} {starts:?}");
        }
    }

    #[test]
    fn one_line_says_what_is_known() {
        let now_us = 1_767_225_600_000_000 + 180_000_000;
        let mut seen = start("a", "first instance", "success");
        seen.phases.init_us = 312_000;
        let function = |runtime: &str, modified: &str| Configuration {
            function_name: "f".into(),
            runtime: runtime.into(),
            last_modified: modified.into(),
            ..Configuration::default()
        };
        let (before, after) = ("2025-12-31T23:59:00.000+0000", "2026-01-01T00:01:00.000+0000");
        let cases = [
            ("wasm", before, "does not apply"),
            ("java21", before, "does not apply"),
            ("provided.al2023", before, "does not apply"),
            (
                "python3.13",
                before,
                "nothing took a millisecond or more, as the start 3 min ago saw it, which took 312 ms",
            ),
            ("python3.13", after, "3 min ago, before the last change saw it"),
        ];
        for (runtime, modified, expected) in cases {
            let function = function(runtime, modified);
            let line = cost(&function, std::slice::from_ref(&seen)).line(&function, now_us);
            assert!(line.contains(expected), "{runtime}: {line}");
        }
        let function = function("python3.13", before);
        assert!(cost(&function, &[]).line(&function, now_us).ends_with("next: dayfly invoke f --cold=spawn"));
    }
}
