//! Small, trusted commands of the host.

use crate::Exit;
use std::time::Duration;

/// A command to run on the host.
#[derive(Debug, Clone, Default)]
pub struct Command {
    /// Program (absolute path) and arguments.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// How long it may run.
    pub timeout: Duration,
    /// What it reads from its standard input; at most 64 KiB.
    pub stdin: Vec<u8>,
    /// Most bytes kept of its standard output and of its standard error, each; the rest is read and dropped.
    pub max_output: usize,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub status: Exit,
    /// What it wrote to standard output, cut at `max_output`.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, cut at `max_output`.
    pub stderr: Vec<u8>,
}
