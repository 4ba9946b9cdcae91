//! A program that a template has forked into a sandbox: from the empty sandbox until it lives there.

use super::Ends;
use crate::Exit;
use crate::channel;
use crate::identity::Identity;
use crate::inside::NAMESPACES;
use crate::step::Failure;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The steps of `entry/enter.rs`, by number from 1.
const STEPS: [&str; 10] = [
    "request",
    "fork",
    "namespaces",
    "cgroup-enter",
    "descriptors",
    "identity",
    "privileges",
    "landlock",
    "seccomp",
    "rlimits",
];

/// What the child is given.
pub(super) struct Baggage<'a> {
    /// The sandbox's namespaces, then its Landlock rules where there are any.
    pub(super) keys: &'a [OwnedFd],
    /// The far end of [`Tenant::entry`].
    pub(super) entry: OwnedFd,
    /// Standard output, standard error, control.
    pub(super) ends: &'a Ends,
    /// Files that put the writer into the sandbox's control groups.
    pub(super) doors: Vec<OwnedFd>,
}

impl Baggage<'_> {
    /// In the order in which the child expects them.
    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let (namespaces, rules) = self.keys.split_at(NAMESPACES.len().min(self.keys.len()));
        let own = |fd| OwnedFd::as_fd(fd);
        let sandbox = namespaces.iter().chain([&self.entry]).map(own);
        sandbox.chain(self.ends.descriptors()).chain(self.doors.iter().chain(rules).map(own)).collect()
    }

    /// Whether the last descriptor is that of Landlock rules.
    pub(super) fn has_rules(&self) -> bool {
        self.keys.len() > NAMESPACES.len()
    }
}

/// A template's child that lives, or will live, in a sandbox.
pub(super) struct Tenant {
    entry: OwnedFd,
    pub(super) listen: Vec<u16>,
    /// The most processes that it may be.
    pub(super) processes: u32,
    program: Option<(Pid, OwnedFd)>,
    exit: Option<Exit>,
}

/// What the child has said of how it entered.
pub(super) enum Entered {
    /// Nothing yet.
    Not,
    /// It is there. The kernel says who it is.
    Here(Pid),
    /// It is not, and why.
    Failed(Failure),
}

impl Tenant {
    /// And the child's end of what it speaks over.
    pub(super) fn new(listen: Vec<u16>, processes: u32) -> io::Result<(Self, OwnedFd)> {
        let (entry, far_entry) = channel::pair()?;
        rustix::net::sockopt::set_socket_passcred(&entry, true)?;
        Ok((Self { entry, listen, processes, program: None, exit: None }, far_entry))
    }

    /// Where the child says how it entered.
    pub(super) fn entry(&self) -> BorrowedFd<'_> {
        self.entry.as_fd()
    }

    pub(super) fn entered(&self) -> Entered {
        let failed = |step: &str, error: io::Error| Entered::Failed(Failure::new(step, &error));
        match channel::receive_from(&self.entry) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Entered::Not,
            Err(error) => failed("fork", error),
            Ok(None) => failed("fork", io::ErrorKind::BrokenPipe.into()),
            Ok(Some((bytes, pid))) => match (bytes.as_slice(), pid) {
                ([0], Some(pid)) => Entered::Here(pid),
                ([step, errno @ ..], _) if errno.len() == 4 => {
                    let errno = i32::from_le_bytes([errno[0], errno[1], errno[2], errno[3]]);
                    let name = STEPS.get(usize::from(*step).wrapping_sub(1)).copied().unwrap_or("fork");
                    failed(name, io::Error::from_raw_os_error(errno))
                }
                _ => failed("fork", io::ErrorKind::InvalidData.into()),
            },
        }
    }

    /// Takes the child on, if it is what it should be.
    pub(super) fn admit(&mut self, pid: Pid, identity: Identity) -> Result<(), Failure> {
        let refuse = |error: &io::Error| Failure::new("privileges", error);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| refuse(&error.into()))?;
        let number = pid.as_raw_nonzero().get();
        self.program = Some((pid, pidfd));
        let status = fs::read_to_string(format!("/proc/{number}/status")).map_err(|error| refuse(&error))?;
        match unconfined(&status, identity.user) {
            None => Ok(()),
            Some(line) => Err(refuse(&io::Error::other(format!("the child is not confined: {line}")))),
        }
    }

    /// Becomes readable when the program has ended.
    pub(super) fn program(&self) -> Option<BorrowedFd<'_>> {
        self.program.as_ref().map(|(_, pidfd)| pidfd.as_fd())
    }

    pub(super) fn pid(&self) -> Option<Pid> {
        self.program.as_ref().map(|(pid, _)| *pid)
    }

    /// Buries the program, whose parent the launcher has become, if it has ended. `false` while somebody else is its
    /// parent.
    pub(super) fn bury(&mut self) -> bool {
        let Some((_, pidfd)) = &self.program else { return true };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options) {
            Ok(Some(status)) => {
                let code = status.exit_status().map(Exit::Code);
                self.exit = code.or_else(|| status.terminating_signal().map(Exit::Signal));
                true
            }
            _ => false,
        }
    }

    pub(super) fn exit(&self) -> Exit {
        self.exit.unwrap_or(Exit::Signal(libc::SIGKILL))
    }
}

/// The line of a process's status that says more than a function may: of another user, with capabilities, free to gain
/// more, without a filter, or outside a process namespace of its own.
fn unconfined(status: &str, user: u32) -> Option<&str> {
    let expected = |name: &str, value: &str| match name {
        "Uid" => value.split_whitespace().all(|id| id.parse() == Ok(user)),
        "CapInh" | "CapPrm" | "CapEff" | "CapBnd" | "CapAmb" => {
            value.trim_matches(['0', ' ', '\t']).is_empty()
        }
        "NoNewPrivs" => value.trim() == "1",
        "Seccomp" => value.trim() == "2",
        "NSpid" => value.split_whitespace().count() > 1,
        _ => true,
    };
    status.lines().find(|line| line.split_once(':').is_some_and(|(name, value)| !expected(name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_confined_children_are_taken_on() {
        let good = "Uid:\t7\t7\t7\t7\nNSpid:\t400\t2\nCapInh:\t0000\nCapPrm:\t0000\nCapEff:\t0000\nCapBnd:\t0000\n\
                    CapAmb:\t0000\nNoNewPrivs:\t1\nSeccomp:\t2\nThreads:\t1\n";
        let spoiled = [
            ("", "", None),
            ("Uid:\t7\t7", "Uid:\t8\t7", Some("Uid:\t8\t7\t7\t7")),
            ("NSpid:\t400\t2", "NSpid:\t400", Some("NSpid:\t400")),
            ("CapEff:\t0000", "CapEff:\t0200", Some("CapEff:\t0200")),
            ("CapBnd:\t0000", "CapBnd:\t01ff", Some("CapBnd:\t01ff")),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0", Some("NoNewPrivs:\t0")),
            ("Seccomp:\t2", "Seccomp:\t0", Some("Seccomp:\t0")),
        ];
        for (from, to, expected) in spoiled {
            assert_eq!(unconfined(&good.replacen(from, to, usize::from(!from.is_empty())), 7), expected);
        }
    }
}
