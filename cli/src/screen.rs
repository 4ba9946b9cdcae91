//! Where words go: results to standard output, everything about them to standard error.

use crate::failure::Failure;
use crate::table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize as _;
use std::io::{ErrorKind, IsTerminal as _, Write};
use std::time::Duration;

/// The user's terminal, or whatever stands in its place.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Print machine-readable results only.
    pub json: bool,
    tables: bool,
    animate: bool,
}

impl Screen {
    /// Looks at what the process writes to.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            tables: std::io::stdout().is_terminal(),
            animate: std::io::stderr().is_terminal() && std::env::var_os("CI").is_none() && !json,
        }
    }

    /// A line of the result.
    pub fn line(&self, text: impl AsRef<str>) {
        self.bytes(text.as_ref().as_bytes());
        self.bytes(b"\n");
    }

    /// A piece of the result, as it is. A reader that has gone away ends the program quietly.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut out = anstream::stdout();
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush())
            && error.kind() == ErrorKind::BrokenPipe
        {
            std::process::exit(0);
        }
    }

    /// Bytes that a function returned: never changed, not even on a terminal.
    pub fn raw(&self, bytes: &[u8]) {
        let mut out = std::io::stdout();
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush())
            && error.kind() == ErrorKind::BrokenPipe
        {
            std::process::exit(0);
        }
    }

    /// Whether standard output is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.tables
    }

    /// A table as the result.
    pub fn table(&self, table: &Table) {
        self.bytes(table.render(self.tables).as_bytes());
    }

    /// One JSON document as the result: indented for people, on one line for programs.
    pub fn document(&self, value: &serde_json::Value) {
        let text =
            if self.tables { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        self.line(text.expect("a JSON value always has a text"));
    }

    /// A remark for people; silent with `--json`.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.json {
            anstream::eprintln!("{}", text.as_ref());
        }
    }

    /// A remark with a name in front, in a column.
    pub fn fact(&self, name: &str, text: impl AsRef<str>) {
        self.note(format!("{} {}", format!("{name:<13}").cyan(), text.as_ref()));
    }

    /// Something that may surprise the user.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.note(format!("{} {}", format!("{:<13}", "note").yellow(), text.as_ref()));
    }

    /// The last words of a command that failed.
    pub fn failure(&self, failure: &Failure) {
        if self.json {
            anstream::eprintln!("{}", failure.json());
        } else {
            anstream::eprint!("{}", failure.render());
        }
    }

    /// Begins a phase that may take a while.
    pub fn phase(&self, name: &'static str, doing: impl Into<String>) -> Phase {
        let bar = self.animate.then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{prefix:13.cyan} {spinner} {wide_msg} {elapsed:.dim}")
                    .expect("the template is well formed"),
            );
            bar.set_prefix(name);
            bar.set_message(doing.into());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Phase { screen: *self, name, bar }
    }
}

/// A phase that is under way: a spinner on a terminal, nothing elsewhere until it ends.
#[derive(Debug)]
pub struct Phase {
    screen: Screen,
    name: &'static str,
    bar: Option<ProgressBar>,
}

impl Phase {
    /// Ends the phase with one line that says what came of it.
    pub fn done(self, outcome: impl AsRef<str>) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.screen.fact(self.name, outcome);
    }

    /// Says that the phase still runs, where no spinner shows it.
    pub fn heartbeat(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => self.screen.fact(self.name, format!("{text} …")),
        }
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
