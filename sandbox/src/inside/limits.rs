//! Limits of each process, and of the kernel objects that all processes of the sandbox share.

use super::{Birth, Plan};
use crate::protocol::Arrival;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, write};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::os::fd::BorrowedFd;

/// How much more than its memory a process may reserve where no control group bounds the sandbox: interpreters reserve
/// more than they use, and each thread a stack of 8 MiB.
const SLACK_BYTES: u64 = 1 << 30;

/// No core dump: too little for a file, and the one value at which the kernel does not start the host's handler
/// either, which at 0 it does (core(5); `coredump_pipe` in fs/coredump.c).
const NO_CORE_BYTES: u64 = 1;

/// How much larger than all of `/tmp` a file may look.
const LARGEST_BEYOND_TMP_BYTES: u64 = 1 << 30;

/// The largest `/tmp` that a program may be given which waits for its work: its limits can only be lowered then.
pub(crate) const LARGEST_TMP_BYTES: u64 = 10 << 30;

/// Whether a control group bounds memory, or only limits per process do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ceiling {
    Group,
    Process,
}

/// Counters of our own user namespace (namespaces(7), inotify(7)). Without user namespaces no other kind can be made
/// either, since that takes capabilities; so one line stands for eight, each of which would cost 20 microseconds.
/// Watches are bounded by the memory that they are charged to.
const COUNTERS: [(&str, &str); 3] =
    [("max_user_namespaces", "0"), ("max_inotify_instances", "16"), ("max_fanotify_groups", "0")];

/// Processes of a template's user where no control group bounds the template: its own and those of all its copies, which
/// count towards the user that owns their sandboxes.
const TEMPLATE_PROCESSES: u64 = 4096;

/// Lowers the counters for this namespace and all below it, in this mount of `/proc` or in the usual one.
pub(super) fn lower_counters(proc: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let folder = if proc.is_some() { "sys/user" } else { "/proc/sys/user" };
    for (name, value) in COUNTERS {
        let path = format!("{folder}/{name}");
        match openat(proc.unwrap_or(CWD), path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(counter) => drop(write(counter, value.as_bytes())?),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// How many processes the user of a process may have, itself included; `None`: as many as before.
fn most_processes(birth: Birth, pids: u32, ceiling: Ceiling) -> Option<u64> {
    match birth {
        Birth::Template(_) => (ceiling == Ceiling::Process).then_some(TEMPLATE_PROCESSES),
        _ => Some(pids.into()),
    }
}

/// Sets those that are the same for everybody. No limit on address space: JavaScript and Go reserve far more than they
/// use.
pub(super) fn set_common() -> io::Result<()> {
    let common = [
        (Resource::Nofile, 1024),
        (Resource::Core, NO_CORE_BYTES),
        (Resource::Memlock, 64 << 10),
        (Resource::Sigpending, 256),
        (Resource::Msgqueue, 64 << 10),
        (Resource::Stack, 8 << 20),
        (Resource::Nice, 0),
        (Resource::Rtprio, 0),
    ];
    common.into_iter().try_for_each(lower)
}

/// Sets those that depend on what the sandbox is for.
pub(super) fn set(plan: &Plan<'_>, arrival: &Arrival) -> io::Result<()> {
    lower((Resource::Fsize, largest_file(arrival.tmp_bytes)))?;
    if let Some(most) = most_processes(plan.birth, arrival.pids, plan.ceiling) {
        lower((Resource::Nproc, most))?;
    }
    if plan.ceiling == Ceiling::Process {
        lower((Resource::Data, most_data(arrival.memory_bytes)))?;
    }
    Ok(())
}

/// Sets a soft and a hard limit, to what it is if that is lower.
fn lower((resource, value): (Resource, u64)) -> io::Result<()> {
    let value = getrlimit(resource).maximum.map_or(value, |hard| hard.min(value));
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}

/// How large a file may look. `/tmp` is full before; this only bounds what looks large and is not.
pub(crate) fn largest_file(tmp_bytes: u64) -> u64 {
    tmp_bytes.saturating_mul(2).saturating_add(LARGEST_BEYOND_TMP_BYTES)
}

/// How much one process may reserve where no control group bounds them all.
pub(crate) fn most_data(memory_bytes: u64) -> u64 {
    memory_bytes.saturating_add(SLACK_BYTES)
}
