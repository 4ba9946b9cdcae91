//! What the doctor found.

use crate::context::Context;
use crate::pasted::Flags;
use crate::table::{Align, Table};
use owo_colors::OwoColorize as _;
use serde_json::{Value, json};

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Functions run, but something is weaker or less convenient than it could be.
    Weak,
    /// Functions cannot run.
    Missing,
}

/// One finding.
#[derive(Debug, Clone)]
pub struct Check {
    name: &'static str,
    state: State,
    found: String,
    fix: Option<String>,
}

/// All findings, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Report {
    checks: Vec<Check>,
    level: Option<u8>,
}

impl Check {
    /// A finding.
    pub fn new(name: &'static str, state: State, found: String) -> Self {
        Self { name, state, found, fix: None }
    }

    /// What helps.
    pub fn fix(mut self, fix: String) -> Self {
        self.fix = Some(fix);
        self
    }
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Weak => "weak",
            Self::Missing => "missing",
        }
    }
}

impl Report {
    /// Adds a finding.
    pub fn add(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// The level of protection, 1 to 3; 0 if no sandbox can be made.
    pub fn level(&mut self, level: u8) {
        self.level = Some(level);
        if level == 0 {
            self.add(Check::new("sandbox", State::Missing, "no sandbox can be made here".into()));
        }
    }

    /// Whether functions can run here.
    pub fn is_able(&self) -> bool {
        self.checks.iter().all(|check| check.state != State::Missing)
    }

    /// Prints it.
    pub fn show(&self, context: &Context) {
        let screen = context.screen;
        if screen.json {
            return screen.document(&self.document());
        }
        let mut table = Table::new(&[("CHECK", Align::Left), ("STATE", Align::Left), ("FOUND", Align::Left)]);
        for check in &self.checks {
            table.row([check.name.to_owned(), check.state.word().to_owned(), check.found.clone()]);
        }
        screen.table(&table);
        let fixes = || self.checks.iter().filter_map(|check| Some((check, check.fix.as_ref()?)));
        if fixes().next().is_some() {
            screen.line("");
        }
        for (check, fix) in fixes() {
            screen.line(format!("{}: {}\n  {} {fix}", check.name, check.found, "fix:".cyan()));
        }
        screen.line("");
        screen.line(self.verdict());
    }

    fn verdict(&self) -> String {
        let level = self.level.map_or_else(String::new, |level| format!("; sandboxes at level {level} of 3"));
        if self.is_able() {
            format!("functions can run here{level}")
        } else {
            format!("functions cannot run here until what is missing is fixed{level}")
        }
    }

    /// Makes commands that help mean the platform that was asked about.
    pub fn mean(&mut self, flags: &Flags) {
        for fix in self.checks.iter_mut().filter_map(|check| check.fix.as_mut()) {
            *fix = flags.onto(fix);
        }
    }

    fn document(&self) -> Value {
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| {
                json!({ "name": check.name, "state": check.state.word(), "found": check.found, "fix": check.fix })
            })
            .collect();
        json!({ "able": self.is_able(), "level": self.level, "checks": checks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let mut report = Report::default();
        report.add(Check::new("a", State::Weak, "b".into()).fix("c".into()));
        report.level(2);
        assert_eq!(report.verdict(), "functions can run here; sandboxes at level 2 of 3");
        report.level(0);
        assert!(!report.is_able());
        let document = report.document();
        assert_eq!(document["checks"][0]["fix"], "c");
        assert_eq!(document["able"], false);
    }
}
