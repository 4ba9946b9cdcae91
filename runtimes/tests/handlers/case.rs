//! One handler, what it is sent, and what must come of it: from our bootstraps and from AWS's own clients.

/// A row of the tables.
pub struct Case {
    pub name: &'static str,
    /// Path below the task root, and text.
    pub files: &'static [(&'static str, &'static str)],
    pub handler: &'static str,
    pub env: &'static [(&'static str, &'static str)],
    /// One call after another: the event, where `letters 9` stands for a JSON string of nine letters, and what comes.
    pub calls: &'static [(&'static str, Want)],
    /// What the log must hold, in this order. `<time>` and `<id>` stand for a time and the request's id; a line
    /// break within one record is a line break here.
    pub log: &'static [&'static str],
    /// Where AWS's client does something else that we do not follow, and why.
    pub differs: Option<&'static str>,
}

impl Case {
    pub const PYTHON: Self =
        Self { name: "", files: &[], handler: "app.handler", env: &[], calls: &[], log: &[], differs: None };
    pub const JAVA: Self = Self { handler: "", ..Self::PYTHON };
    pub const NODE: Self = Self { handler: "index.handler", ..Self::PYTHON };
}

/// What must come of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// These bytes.
    Returns(&'static str),
    /// These bytes once non-ASCII characters are written as `\u` escapes: before Python 3.12, AWS's client does that.
    ReturnsText(&'static str),
    /// A JSON string of so many letters.
    ReturnsLetters(usize),
    /// An error: type (empty: none), message (`<task>` stands for the task root), and the user's own stack, outermost first for
    /// Python and innermost first for Node and Java, as `file:line`.
    Fails(&'static str, &'static str, &'static [&'static str]),
    /// The same, while loading.
    InitFails(&'static str, &'static str, &'static [&'static str]),
    /// The process ends without an answer, with this status; -1: by a signal.
    Exits(i32),
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    Returned(String),
    Failed(String),
    InitFailed(String),
    Exited(i32),
    Broken(String),
}

/// What an implementation did with a case.
#[derive(Debug)]
pub struct Outcome {
    pub calls: Vec<Got>,
    pub log: String,
}

/// Compares; the complaint.
pub fn complaint(case: &Case, outcome: &Outcome, task: &str, ascii: bool) -> Option<String> {
    for (index, (_, want)) in case.calls.iter().enumerate() {
        let got = outcome.calls.get(index);
        if !got.is_some_and(|got| matches(*want, got, task, ascii)) {
            return Some(format!("call {index}: wanted {want:?}\n     got {got:?}\nlog:\n{}", outcome.log));
        }
    }
    let mut rest = outcome.log.as_str();
    for line in case.log {
        match rest.find(line) {
            Some(at) => rest = &rest[at + line.len()..],
            None => return Some(format!("the log lacks {line:?} (in this order):\n{}", outcome.log)),
        }
    }
    None
}

fn matches(want: Want, got: &Got, task: &str, ascii: bool) -> bool {
    match (want, got) {
        (Want::Returns(want), Got::Returned(got)) => want == got,
        (Want::ReturnsLetters(count), Got::Returned(got)) => *got == letters(count),
        (Want::ReturnsText(want), Got::Returned(got)) => {
            *got == if ascii { escaped(want) } else { want.into() }
        }
        (Want::Fails(kind, message, stack), Got::Failed(json))
        | (Want::InitFails(kind, message, stack), Got::InitFailed(json)) => {
            let Ok(error) = serde_json::from_str::<serde_json::Value>(json) else { return false };
            error["errorType"].as_str().unwrap_or_default() == kind
                && error["errorMessage"]
                    .as_str()
                    .is_some_and(|got| without_bootstrap(got) == message.replace("<task>", task))
                && user_frames(&error, task) == stack
        }
        (Want::Exits(want), Got::Exited(got)) => want == *got,
        _ => false,
    }
}

/// Node names the file that loads the handler, too: in AWS's client another one than ours.
fn without_bootstrap(message: &str) -> String {
    let own =
        |line: &&str| !(line.ends_with("/bootstrap.cjs") || line.ends_with("/aws-lambda-ric/dist/index.mjs"));
    message.split('\n').filter(own).collect::<Vec<_>>().join("\n")
}

/// A JSON string of `count` letters.
pub fn letters(count: usize) -> String {
    format!("\"{}\"", "x".repeat(count))
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for unit in text.encode_utf16() {
        match char::from_u32(u32::from(unit)).filter(|c| matches!(c, ' '..='~')) {
            Some(plain) => out.push(plain),
            None => out.push_str(&format!("\\u{unit:04x}")),
        }
    }
    out
}

/// `stackTrace` of Python's client or `trace` of Node's, without frames outside the task root.
fn user_frames(error: &serde_json::Value, task: &str) -> Vec<String> {
    let list = error.get("stackTrace").or_else(|| error.get("trace"));
    let entries =
        list.and_then(|list| list.as_array()).into_iter().flatten().filter_map(|entry| entry.as_str());
    entries.filter_map(|entry| frame(entry, task)).collect()
}

/// `cases.Deeds.fails(Deeds.java:40)`.
fn java_frame(entry: &str) -> Option<String> {
    let (_, place) = entry.strip_prefix("cases.")?.split_once('(')?;
    Some(place.trim_end_matches(')').to_owned())
}

fn frame(entry: &str, task: &str) -> Option<String> {
    let python = entry.trim_start().starts_with("File ");
    if !python && !entry.trim_start().starts_with("at ") {
        return java_frame(entry);
    }
    let rest = entry.split_once(&format!("{task}/"))?.1;
    let (file, rest) = rest.split_once(if python { '"' } else { ':' })?;
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    let line = digits.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(format!("{file}:{line}"))
}
