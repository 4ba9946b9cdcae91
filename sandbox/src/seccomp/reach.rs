//! Calls that reach files by path or open descriptor and processes by number, and that Landlock does not judge.

use super::arguments::{self, CORE, SET_ID, TERMINAL_TAKEOVER, clear, is, otherwise_allow, refuse, rule};
use super::function::{allow, answer};
use super::policy::{Clause, Rule, Test};

/// With namespaces: whatever they reach is the function's own.
#[rustfmt::skip]
pub const OWN: &[Rule] = &[
    allow(&["chown", "fchown", "lchown", "fchownat", "utime", "utimes", "futimesat", "utimensat", "getxattr",
            "lgetxattr", "listxattr", "llistxattr", "getxattrat", "listxattrat", "setxattr", "lsetxattr",
            "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat",
            "inotify_add_watch", "setpriority", "ioprio_set", "sched_setaffinity", "sched_setparam",
            "sched_setscheduler", "sched_setattr"]),
    rule(&["chmod", "fchmod"], &[arguments::allow(&[clear(1, SET_ID)])], libc::EPERM),
    rule(&["fchmodat", "fchmodat2"], &[arguments::allow(&[clear(2, SET_ID)])], libc::EPERM),
    otherwise_allow(&["ioctl"], &[refuse(&[is(1, TERMINAL_TAKEOVER)], libc::EPERM)]),
    otherwise_allow(&["prlimit64"], &[refuse(&[is(1, CORE)], libc::EPERM)]),
];

/// Without any: they reach whatever belongs to the user. A descriptor is no better than a path, since one that is open
/// for reading is enough, and the user's own interpreters and the function's package, which others share, may be read.
///
/// Modes, owners and times stay as they are, and whoever changes them is told that he has: `shutil.copy`, Node's `copyFile`
/// and `tar` take any error for a failure of the whole. Watches and what is not named here are refused with EPERM.
#[rustfmt::skip]
pub const SHARED: &[Rule] = &[
    rule(&["chmod", "fchmod"], &[refuse(&[clear(1, SET_ID)], 0)], libc::EPERM),
    rule(&["fchmodat", "fchmodat2"], &[refuse(&[clear(2, SET_ID)], 0)], libc::EPERM),
    answer(0, &["chown", "fchown", "lchown", "fchownat"]),
    otherwise_done(&["utime", "utimes"], &[refuse(&[is(1, NULL)], libc::EPERM)]),
    otherwise_done(&["futimesat"], &[refuse(&[is(2, NULL)], libc::EPERM)]),
    otherwise_done(&["utimensat"], &[refuse(&[is(1, NULL)], 0), refuse(&[is(2, NULL)], libc::EPERM)]),
    // The answer of file systems that have no attributes. Their values are what is in a file, as its bytes are.
    answer(libc::EOPNOTSUPP, &["getxattr", "lgetxattr", "listxattr", "llistxattr", "getxattrat", "listxattrat",
           "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr",
           "removexattrat"]),
    // File systems change flags, projects and keys of what is open for reading only. ENOTTY is the answer of those that
    // know no such request.
    rule(
        &["ioctl"],
        &[refuse(&[is(1, TERMINAL_TAKEOVER)], libc::EPERM), arguments::allow(&[TERMINAL_OR_SOCKET])],
        libc::ENOTTY,
    ),
    rule(
        &["prlimit64"],
        &[refuse(&[is(1, CORE)], libc::EPERM), arguments::allow(&[is(0, ONESELF)])],
        libc::EPERM,
    ),
    rule(
        &["sched_setaffinity", "sched_setparam", "sched_setscheduler", "sched_setattr"],
        &[arguments::allow(&[is(0, ONESELF)])],
        libc::EPERM,
    ),
    rule(&["setpriority"], &[arguments::allow(&[is(0, &[PRIO_PROCESS]), is(1, ONESELF)])], libc::EPERM),
    rule(&["ioprio_set"], &[arguments::allow(&[is(0, &[IOPRIO_WHO_PROCESS]), is(1, ONESELF)])], libc::EPERM),
];

/// The low half of a pointer to nothing. One to something may look the same; neither answer changes anything.
/// A path with no times means "now", which `pathlib.Path.touch` asks for first: only after an error does it make the file.
const NULL: &[u32] = &[0];

/// The thread that calls. A number may be anybody's, and a filter knows nobody's.
const ONESELF: &[u32] = &[0];

const PRIO_PROCESS: u32 = 0;
const IOPRIO_WHO_PROCESS: u32 = 1;

/// By the letter of the request: terminals and what every descriptor has (closing on exec, waiting, bytes to read), and
/// sockets.
const TERMINAL_OR_SOCKET: Test = Test { argument: 1, mask: 0xff00, any_of: &[0x5400, 0x8900] };

const fn otherwise_done(calls: &'static [&'static str], clauses: &'static [Clause]) -> Rule {
    rule(calls, clauses, 0)
}
