//! The program: started as the first process's child, then waited for.

use super::{Plan, Streams, close_all_but, enter_folder};
use crate::Exit;
use crate::channel;
use crate::kernel;
use crate::protocol::encode;
use crate::step::{Failure, Steps};
use rustix::process::{Pid, WaitOptions, wait};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// What is executed.
pub(super) struct Launch {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    folder: String,
}

impl Launch {
    pub(super) fn new(argv: &[String], env: &[(String, String)], folder: String) -> io::Result<Self> {
        let arguments = argv.iter().map(|text| string(text)).collect::<io::Result<Vec<_>>>()?;
        let environment = env
            .iter()
            .map(|(name, value)| string(&format!("{name}={value}")))
            .collect::<io::Result<Vec<_>>>()?;
        let program = arguments.first().cloned().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { program, arguments, environment, folder })
    }
}

/// Starts the program and lives until it ends; returns only if it could not be started.
pub(super) fn run(
    plan: &Plan<'_>,
    steps: Steps<'_>,
    streams: Streams<'_>,
    launch: &Launch,
) -> Result<(), Failure> {
    if plan.birth.is_program() {
        if plan.bare.is_some() {
            // Those that lose their parents become the program's own, so that they are known as its own.
            let adopting = || Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?);
            steps.take("program", adopting)?;
        }
        // Nobody is buried here: it sees to its own children, and the launcher to those that it leaves.
        return Err(become_it(plan, streams, launch));
    }
    // SAFETY: this process is a fork of the launcher, which has one thread, and has started none.
    match steps.take("program", || unsafe { kernel::fork_plainly() })? {
        None => Err(become_it(plan, streams, launch)),
        Some(pid) => attend(plan, pid),
    }
}

/// Executes the program; returns only if that failed.
fn become_it(plan: &Plan<'_>, streams: Streams<'_>, launch: &Launch) -> Failure {
    let failed = hand_over(plan, streams, &launch.folder).err();
    let execute = || kernel::execute(&launch.program, &launch.arguments, &launch.environment);
    Failure::new("program", &failed.unwrap_or_else(execute))
}

/// Leaves the program its standard streams, its control socket, and nothing else.
fn hand_over(plan: &Plan<'_>, streams: Streams<'_>, folder: &str) -> io::Result<()> {
    // These lead a session already.
    if !plan.birth.is_program() {
        rustix::process::setsid()?;
    }
    enter_folder(folder)?;
    rustix::stdio::dup2_stdin(plan.null)?;
    rustix::stdio::dup2_stdout(streams.stdout)?;
    rustix::stdio::dup2_stderr(streams.stderr)?;
    let mut first = 3;
    if let Some(control) = streams.control {
        kernel::duplicate_to(control, 3)?;
        first = 4;
    }
    // Not closed yet: a failing exec is still reported.
    kernel::close_from(first, RawFd::MAX, true)
}

/// Waits for the program, burying whatever else dies meanwhile, and reports its end.
fn attend(plan: &Plan<'_>, program: Pid) -> Result<(), Failure> {
    close_all_but(vec![plan.line.as_raw_fd()]).map_err(|error| Failure::new("program", &error))?;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == program => {
                let exit = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, signal) => Exit::Signal(signal.unwrap_or(libc::SIGKILL)),
                };
                if let Ok(bytes) = encode(&exit) {
                    let _ = channel::send(plan.line, &bytes, &[]);
                }
                kernel::exit_now(0);
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => kernel::exit_now(super::NEVER_RAN),
        }
    }
}

fn string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::ErrorKind::InvalidInput.into())
}
