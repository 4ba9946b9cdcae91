//! The steps of making a sandbox, each of which can fail, and by name.

use crate::{Fault, SandboxError};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// Every step, in the order in which they are taken. The first ones are the launcher's, the others those of the
/// sandbox's first process.
pub const STEPS: [&str; 29] = [
    "cgroup",
    "network",
    "base",
    "bind",
    "clone",
    "identity-map",
    "oom-score",
    "start",
    "descriptors",
    "cgroup-enter",
    "cgroup-namespace",
    "identity",
    "session",
    "keyring",
    "hostname",
    "namespaces",
    "root",
    "binds",
    "tmp",
    "shm",
    "proc",
    "counters",
    "pivot",
    "privileges",
    "parent-death",
    "rlimits",
    "landlock",
    "seccomp",
    "program",
];

/// A step that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// Its name.
    pub(crate) step: String,
    /// The error number; 0 where there is none.
    pub(crate) errno: i32,
    /// What there is to say besides the number.
    pub(crate) detail: String,
}

/// How long a test can make a step take, to kill the launcher meanwhile.
const HESITATION: Duration = Duration::from_secs(3);

/// Takes steps one by one and names the one that fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps<'a>(pub(crate) Option<&'a Fault>);

impl Steps<'_> {
    /// Takes one step, or fails in its place where a test asks for that.
    pub(crate) fn take<T>(
        self,
        step: &'static str,
        work: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, Failure> {
        debug_assert!(STEPS.contains(&step), "{step} is not in the list of steps");
        match self.0 {
            Some(fault) if fault.step == step && fault.errno == 0 => {
                std::thread::sleep(HESITATION);
                work()
            }
            Some(fault) if fault.step == step => Err(io::Error::from_raw_os_error(fault.errno)),
            _ => work(),
        }
        .map_err(|error| Failure::new(step, &error))
    }
}

impl Failure {
    pub(crate) fn new(step: &str, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        let detail = if errno == 0 { error.to_string() } else { String::new() };
        Self { step: step.to_owned(), errno, detail }
    }

    /// The error without the step's name.
    pub(crate) fn source(&self) -> io::Error {
        if self.errno == 0 {
            io::Error::other(self.detail.clone())
        } else {
            io::Error::from_raw_os_error(self.errno)
        }
    }
}

impl From<Failure> for SandboxError {
    fn from(failure: Failure) -> Self {
        let source = failure.source();
        Self::Setup { step: failure.step, source }
    }
}
