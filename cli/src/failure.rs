//! What the user reads when something did not work: what, why, and a command to run next.

use owo_colors::OwoColorize as _;

/// How the process ends. `dayfly --help` documents the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done.
    Done = 0,
    /// The platform, this machine or a tool refused.
    Failed = 1,
    /// The command line or `dayfly.toml` is wrong.
    Usage = 2,
    /// `dayfly invoke`: the function was called and reported an error.
    FunctionError = 3,
}

/// A failure in three lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What did not work.
    pub what: String,
    /// The reason, as far as it is known.
    pub why: String,
    /// A command that helps, ready to be pasted.
    pub hint: String,
    /// The exit code.
    pub exit: Exit,
}

impl Failure {
    /// A failure of the platform, the machine or a tool.
    pub fn new(what: impl Into<String>, why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), hint: hint.into(), exit: Exit::Failed }
    }

    /// A mistake in what the user wrote.
    pub fn usage(what: impl Into<String>, why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(what, why, hint) }
    }

    /// The three lines, coloured; strip the colours where they do not belong.
    pub fn render(&self) -> String {
        format!(
            "{}: {}\n{}: {}\n{}: {}\n",
            "error".red().bold(),
            one_line(&self.what),
            "why".yellow(),
            one_line(&self.why),
            "hint".cyan(),
            self.hint,
        )
    }

    /// The same for machines, on one line.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "error": { "what": self.what, "why": self.why, "hint": self.hint, "exit": self.exit as u8 }
        })
    }

    /// A command line that clap refused, in our three lines. `command` is the subcommand that was meant, if any.
    pub fn from_clap(error: &clap::Error, command: Option<&str>) -> Self {
        let text = error.to_string();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let usage = lines.iter().find_map(|line| line.strip_prefix("Usage: "));
        let tip = lines.iter().find_map(|line| line.strip_prefix("tip: "));
        let first: Vec<&str> = lines
            .iter()
            .copied()
            .take_while(|line| !["Usage:", "tip:", "For more"].iter().any(|mark| line.starts_with(mark)))
            .collect();
        let first = first.join(" ");
        let first = first.strip_prefix("error: ").unwrap_or(&first);
        let (first, values) = match first.split_once(" [possible values: ") {
            Some((first, values)) => (first, Some(format!("it is one of {}", values.trim_end_matches(']')))),
            None => (first, None),
        };
        let (what, reason) = match first.split_once("': ") {
            Some((what, reason)) => (format!("{what}'"), Some(reason.to_owned())),
            None => (first.to_owned(), None),
        };
        let usage = || usage.map(|usage| format!("usage: {usage}"));
        let why = tip.map(str::to_owned).or(reason).or(values).or_else(usage);
        let why = why.unwrap_or_else(|| "the command line cannot be read".to_owned());
        let command = command.map_or_else(String::new, |command| format!(" {command}"));
        Self::usage(what, why, format!("dayfly{command} --help"))
    }
}

fn one_line(text: &str) -> String {
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_lines() {
        let failure = Failure::new(
            "cannot reach Dayfly at http://127.0.0.1:4566",
            "connection refused:\n nothing listens there",
            "dayfly up",
        );
        let plain = anstream::adapter::strip_str(&failure.render()).to_string();
        assert_eq!(
            plain,
            "error: cannot reach Dayfly at http://127.0.0.1:4566\n\
             why: connection refused:; nothing listens there\n\
             hint: dayfly up\n"
        );
    }

    #[test]
    fn json_holds_the_same() {
        let failure = Failure::usage("a", "b", "c");
        assert_eq!(failure.json().to_string(), r#"{"error":{"what":"a","why":"b","hint":"c","exit":2}}"#);
    }

    #[test]
    fn mistyped_command_lines() {
        use clap::CommandFactory as _;
        let check = |line: &[&str], what: &str, why: &str, hint: &str| {
            let error =
                crate::commands::Dayfly::command().try_get_matches_from(line).expect_err("it is wrong");
            let failure = Failure::from_clap(&error, line.get(1).copied().filter(|word| *word != "depoly"));
            assert_eq!((failure.what.as_str(), failure.hint.as_str()), (what, hint), "{error}");
            assert!(failure.why.contains(why), "{:?}", failure.why);
        };
        check(&["dayfly", "depoly"], "unrecognized subcommand 'depoly'", "'deploy'", "dayfly --help");
        check(
            &["dayfly", "invoke"],
            "the following required arguments were not provided: <NAME>",
            "usage: dayfly invoke",
            "dayfly invoke --help",
        );
        check(
            &["dayfly", "logs", "x", "--folow"],
            "unexpected argument '--folow' found",
            "'--follow'",
            "dayfly logs --help",
        );
        check(
            &["dayfly", "invoke", "x", "--cold=hot"],
            "invalid value 'hot' for '--cold[=<RUNG>]'",
            "it is one of any, spare, fork, spawn",
            "dayfly invoke --help",
        );
        check(
            &["dayfly", "logs", "x", "--since", "1y"],
            "invalid value '1y' for '--since <SINCE>'",
            "unit \"y\" is none of s, m, h, d, w",
            "dayfly logs --help",
        );
    }
}
