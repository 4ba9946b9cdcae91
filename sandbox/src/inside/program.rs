//! The program: a child of the first process, made before it is known which program it will be.

use super::{
    Plan, Streams, close_all_but, complain, enter_folder, filter, landlock, limits, receive_boot, vacancy,
};
use crate::Exit;
use crate::channel;
use crate::kernel;
use crate::probe;
use crate::protocol::{Arrival, Boot, CONTROL, decode, encode};
use crate::step::{Failure, Steps};
use rustix::process::{Pid, WaitOptions, wait};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

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

/// Forks the process that will become a program, and lives until that ends; returns only if it could not be forked, or
/// did not become the program.
pub(super) fn expect(plan: &Plan<'_>, steps: Steps<'_>, namespaces: Vec<OwnedFd>) -> Result<(), Failure> {
    if plan.request.layers.rlimits {
        steps.take("rlimits", limits::set_common)?;
    }
    filter(plan, steps)?;
    // SAFETY: this process is a fork of the launcher, which has one thread, and has started none.
    match steps.take("program", || unsafe { kernel::fork_plainly() })? {
        None => wait_for_work(plan, steps, namespaces),
        Some(pid) => {
            drop(namespaces);
            if landlock::wanted(plan) {
                steps.take("landlock", || landlock::restrict(plan))?;
            }
            attend(plan, pid)
        }
    }
}

/// Says that the sandbox is built, and waits for what it is for.
fn wait_for_work(plan: &Plan<'_>, steps: Steps<'_>, namespaces: Vec<OwnedFd>) -> Result<(), Failure> {
    steps.take("descriptors", || close_all_but(waiting(plan, &namespaces)))?;
    // Its parent leads the sandbox's first one.
    steps.take("session", || Ok(rustix::process::setsid()?))?;
    let rules = match landlock::wanted(plan) {
        true => Some(steps.take("landlock", || landlock::prepare(plan))?),
        false => None,
    };
    steps.take("program", || vacancy::hand_out(plan.line, namespaces, None))?;
    let message = steps.take("program", || vacancy::receive(plan.line))?;
    let streams = steps.take("program", || Streams::of(&message.fds))?;
    let become_it = || {
        let arrival = steps.take("program", || decode::<Arrival>(&message.bytes))?;
        if plan.request.layers.rlimits {
            steps.take("rlimits", || limits::set(plan, &arrival))?;
        }
        if let Some(rules) = rules {
            steps.take("landlock", || landlock::take_on(plan, rules, &arrival.guests))?;
        }
        let boot = steps.take("program", || receive_boot(streams.boot))?;
        become_it(plan, steps, streams, boot)
    };
    let failed: Result<(), Failure> = become_it();
    failed.inspect_err(|failure| complain(streams.boot, failure))
}

fn waiting(plan: &Plan<'_>, namespaces: &[OwnedFd]) -> Vec<RawFd> {
    let own = [plan.line.as_raw_fd(), plan.null.as_raw_fd()];
    (0..=CONTROL).chain(own).chain(namespaces.iter().map(AsRawFd::as_raw_fd)).collect()
}

/// Becomes what it is told to; returns only if that failed.
pub(super) fn become_it(
    plan: &Plan<'_>,
    steps: Steps<'_>,
    streams: Streams<'_>,
    boot: Boot,
) -> Result<(), Failure> {
    let (argv, env, workdir) = match (boot, plan.bare) {
        (Boot::Program { argv, env, workdir }, Some(bare)) => bare.translated(&argv, &env, &workdir),
        (Boot::Program { argv, env, workdir }, None) => (argv, env, workdir),
        (Boot::Probe, _) => {
            return steps.take("program", || {
                channel::send(streams.boot, &encode(&probe::View::look())?, &[])?;
                kernel::exit_now(0)
            });
        }
    };
    let launch = steps.take("program", || Launch::new(&argv, &env, workdir))?;
    steps.take("program", || {
        hand_over(plan, streams, &launch.folder)?;
        Err(kernel::execute(&launch.program, &launch.arguments, &launch.environment))
    })
}

/// Leaves the program its standard streams, its control socket, and nothing else.
fn hand_over(plan: &Plan<'_>, streams: Streams<'_>, folder: &str) -> io::Result<()> {
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
