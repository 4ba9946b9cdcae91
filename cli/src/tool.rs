//! Runs the builders that users have: uv, pip, npm, cargo.

use crate::failure::Failure;
use crate::screen::Phase;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Between two signs of life where no spinner turns.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Lines of output that are kept.
const KEPT_LINES: usize = 5000;
/// Lines that are shown when a tool fails.
const SHOWN_LINES: usize = 20;
const LINE_BYTES: u64 = 16 * 1024;

/// A program and what to give it.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where it runs.
    pub directory: PathBuf,
    /// Variables set besides the user's own.
    pub environment: Vec<(&'static str, OsString)>,
}

/// What a tool left behind.
#[derive(Debug)]
pub struct Ran {
    /// Whether it exited with 0.
    pub success: bool,
    /// The last lines of standard output.
    pub stdout: Vec<String>,
    /// The last lines of both outputs, in order of arrival.
    pub lines: Vec<String>,
}

impl Tool {
    /// A tool that runs in `directory`.
    pub fn new(program: impl Into<PathBuf>, directory: &Path) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            directory: directory.to_owned(),
            environment: Vec::new(),
        }
    }

    /// Adds arguments.
    pub fn args<T: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// The tool's name, for messages.
    pub fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Runs it to its end.
    pub fn run(&self, phase: &Phase) -> Result<Ran, Failure> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(&self.directory)
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.cannot_start(&error))?;
        let (sender, lines) = sync_channel::<(bool, String)>(64);
        forward(child.stdout.take(), true, sender.clone());
        forward(child.stderr.take(), false, sender);
        let mut ran = Ran { success: false, stdout: Vec::new(), lines: Vec::new() };
        let (mut both, mut out) = (VecDeque::new(), VecDeque::new());
        loop {
            match lines.recv_timeout(HEARTBEAT) {
                Ok((is_out, line)) => {
                    if is_out {
                        keep(&mut out, line.clone());
                    }
                    keep(&mut both, line);
                }
                Err(RecvTimeoutError::Timeout) => phase.heartbeat(&format!("{} still runs", self.name())),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = child.wait().map_err(|error| self.cannot_start(&error))?;
        ran.success = status.success();
        ran.stdout = out.into();
        ran.lines = both.into();
        Ok(ran)
    }

    fn cannot_start(&self, error: &std::io::Error) -> Failure {
        Failure::new(
            format!("cannot run {}", self.program.display()),
            error.to_string(),
            format!("command -v {}", self.name()),
        )
    }
}

impl Ran {
    /// The end of the output, indented, to be shown above a failure.
    pub fn tail(&self) -> String {
        let skip = self.lines.len().saturating_sub(SHOWN_LINES);
        self.lines[skip..].iter().map(|line| format!("  | {line}\n")).collect()
    }

    /// The line that most likely says what went wrong.
    pub fn reason(&self) -> String {
        const MARKS: [&str; 5] = ["cause: ", "error: ", "ERROR: ", "error[", "× "];
        let marked =
            |mark: &&str| self.lines.iter().rev().find_map(|line| line.trim_start().strip_prefix(*mark));
        let last = || self.lines.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty());
        let npm = || self.lines.iter().find_map(|line| npm_reason(line));
        MARKS.iter().find_map(marked).or_else(npm).or_else(last).unwrap_or("it printed nothing").to_owned()
    }
}

/// What an error line of npm says, unless that is a code. npm begins with the reason and ends with advice.
fn npm_reason(line: &str) -> Option<&str> {
    const MARKS: [&str; 2] = ["npm error ", "npm ERR! "];
    const CODES: [&str; 4] = ["code ", "errno ", "syscall ", "path "];
    let text = MARKS.iter().find_map(|mark| line.strip_prefix(mark))?.trim();
    (!text.is_empty() && !CODES.iter().any(|code| text.starts_with(code))).then_some(text)
}

/// An executable of this name on the PATH.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| is_executable(file))
}

/// Whether this is a file that may be run.
pub fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn keep(lines: &mut VecDeque<String>, line: String) {
    if lines.len() == KEPT_LINES {
        lines.pop_front();
    }
    lines.push_back(line);
}

fn forward(pipe: Option<impl Read + Send + 'static>, is_out: bool, lines: SyncSender<(bool, String)>) {
    let Some(pipe) = pipe else { return };
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            match reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    if lines.send((is_out, text)).is_err() {
                        return;
                    }
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::Screen;

    #[test]
    fn output_and_end() {
        let phase = Screen::new(true).phase("test", "");
        let shell = |script: &str| {
            let tool = Tool::new("/bin/sh", Path::new("/")).args(["-c", script]).env("WORD", "hello");
            tool.run(&phase).expect("sh runs")
        };
        let ran = shell("echo $WORD; echo 'error: no' >&2; echo; exit 3");
        assert!(!ran.success);
        assert_eq!(ran.stdout, ["hello", ""]);
        assert_eq!(ran.reason(), "no");
        assert!(shell("true").success);
        let npm = shell(
            "echo npm error code EUSAGE; echo 'npm error '; echo npm error No lock.; echo npm error Log: x",
        );
        assert_eq!(npm.reason(), "No lock.");
        let missing = Tool::new("/nonexistent/pip", Path::new("/")).run(&phase).expect_err("it is missing");
        assert_eq!(missing.what, "cannot run /nonexistent/pip");
    }

    #[test]
    fn endless_output_is_bounded() {
        let phase = Screen::new(true).phase("test", "");
        let script = "i=0; while [ $i -lt 6000 ]; do echo $i; i=$((i+1)); done; head -c 100000 /dev/zero";
        let ran = Tool::new("/bin/sh", Path::new("/")).args(["-c", script]).run(&phase).expect("sh runs");
        assert_eq!(ran.lines.len(), KEPT_LINES);
    }
}
