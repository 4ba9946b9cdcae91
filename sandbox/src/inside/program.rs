//! The program: started as the first process's child, then waited for.

use super::{Plan, enter_folder};
use crate::Exit;
use crate::channel;
use crate::kernel;
use crate::protocol::encode;
use crate::step::{Failure, Steps};
use rustix::process::{Pid, WaitOptions, wait};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Starts the program and lives until it ends; returns only if it could not be started.
pub(super) fn run(
    plan: &Plan<'_>,
    steps: Steps<'_>,
    argv: &[String],
    env: &[(String, String)],
    workdir: &str,
) -> Result<(), Failure> {
    let (program, arguments, environment) = steps.take("program", || {
        let arguments = argv.iter().map(|text| string(text)).collect::<io::Result<Vec<_>>>()?;
        let environment = env
            .iter()
            .map(|(name, value)| string(&format!("{name}={value}")))
            .collect::<io::Result<Vec<_>>>()?;
        let program = arguments.first().cloned().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((program, arguments, environment))
    })?;
    if matches!(plan.birth, super::Birth::Template(_)) {
        // Nobody is buried here: a template sees to its own children.
        let failed = hand_over(plan, workdir).err();
        let error = failed.unwrap_or_else(|| kernel::execute(&program, &arguments, &environment));
        return Err(Failure::new("program", &error));
    }
    // SAFETY: this process is a fork of the launcher, which has one thread, and has started none.
    let Some(pid) = steps.take("program", || unsafe { kernel::fork_plainly() })? else {
        let failed = hand_over(plan, workdir).err();
        let error = failed.unwrap_or_else(|| kernel::execute(&program, &arguments, &environment));
        return Err(Failure::new("program", &error));
    };
    attend(plan, pid)
}

/// Leaves the program its standard streams, its control socket, and nothing else.
fn hand_over(plan: &Plan<'_>, workdir: &str) -> io::Result<()> {
    // A template leads a session already.
    if !matches!(plan.birth, super::Birth::Template(_)) {
        rustix::process::setsid()?;
    }
    enter_folder(workdir)?;
    let [input, output, errors] = plan.stdio;
    rustix::stdio::dup2_stdin(input)?;
    rustix::stdio::dup2_stdout(output)?;
    rustix::stdio::dup2_stderr(errors)?;
    let mut first = 3;
    if let Some(control) = plan.control {
        kernel::duplicate_to(control, 3)?;
        first = 4;
    }
    // Not closed yet: a failing exec is still reported.
    kernel::close_from(first, RawFd::MAX, true)
}

/// Waits for the program, burying whatever else dies meanwhile, and reports its end.
fn attend(plan: &Plan<'_>, program: Pid) -> Result<(), Failure> {
    let line = plan.line.as_raw_fd();
    let closed =
        kernel::close_from(0, line - 1, false).and_then(|()| kernel::close_from(line + 1, RawFd::MAX, false));
    closed.map_err(|error| Failure::new("program", &error))?;
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
