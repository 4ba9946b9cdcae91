//! Calls of functions that are judged by their arguments. Those that reach files and processes of others stand in `reach`.

use super::policy::{Action, Clause, Rule, Test, Verdict};

const ALL: u32 = u32::MAX;

/// Rules that hold with and without a network.
pub const ARGUMENTS: &[Rule] = &[
    rule(&["clone"], &[allow(&[clear(0, NEW_NAMESPACE)])], libc::EPERM),
    rule(&["mknod"], &[allow(&[PLAIN_NODE_1, clear(1, SET_ID)])], libc::EPERM),
    rule(&["mknodat"], &[allow(&[PLAIN_NODE_2, clear(2, SET_ID)])], libc::EPERM),
    rule(&["personality"], &[allow(&[is(0, &[0, 0xffff_ffff])])], libc::EPERM),
    rule(&["seccomp"], SECCOMP, libc::EPERM),
    otherwise_allow(&["setrlimit"], &[refuse(&[is(0, CORE)], libc::EPERM)]),
    rule(&["setsockopt"], SOCKET_OPTIONS, libc::ENOPROTOOPT),
    rule(&["socketpair"], &[allow(&[is(0, UNIX), STREAM_OR_DATAGRAM])], libc::EAFNOSUPPORT),
];

/// Pages that are merged with equal ones tell by their time who else has them. The answer is that of kernels that cannot.
const NOT_MERGED: Clause = refuse(&[is(2, &[bits(libc::MADV_MERGEABLE)])], libc::EINVAL);

/// What a function's processes may change of themselves.
pub const LIVING: &[Rule] = &[
    rule(&["prctl"], &[allow(&[is(0, PROCESS_OPTIONS)])], libc::EPERM),
    otherwise_allow(&["madvise"], &[NOT_MERGED]),
];

/// The same for a template. `setns` needs a descriptor of namespaces, which only the launcher hands out. V8 keeps its
/// memory from being copied to children (`MADV_DONTFORK`), which is the one thing that a template is for: the advice
/// is taken and forgotten.
pub const FORKING: &[Rule] = &[
    rule(&["prctl"], &[allow(&[is(0, PROCESS_OPTIONS)]), allow(&[is(0, SURRENDERS)])], libc::EPERM),
    otherwise_allow(&["madvise"], &[NOT_MERGED, refuse(&[is(2, &[bits(libc::MADV_DONTFORK)])], 0)]),
    rule(&["keyctl"], &[allow(&[is(0, &[JOIN_SESSION_KEYRING]), is(1, &[0])])], libc::EPERM),
    Rule { calls: &["setns"], verdict: Verdict::Always(Action::Allow) },
];

/// `socket` without a network.
pub const SOCKET_LOOPBACK: &[Rule] =
    &[rule(&["socket"], &[UNIX_SOCKET, INTERNET_SOCKET, OTHER_PROTOCOL], libc::EAFNOSUPPORT)];

/// `socket` with a network: interfaces and routes may be asked for as well.
pub const SOCKET_ROUTED: &[Rule] =
    &[rule(&["socket"], &[UNIX_SOCKET, INTERNET_SOCKET, OTHER_PROTOCOL, ROUTE_SOCKET], libc::EAFNOSUPPORT)];

/// `socket` where there is no network namespace: what Landlock judges, and nothing else. A socket of the host's own that
/// has a path, such as that of the user's service manager, is reached by no rule of Landlock's.
pub const SOCKET_BARE: &[Rule] = &[rule(
    &["socket"],
    &[CONNECTION, refuse(&[is(0, INTERNET), STREAM], libc::EPROTONOSUPPORT)],
    libc::EAFNOSUPPORT,
)];

const CONNECTION: Clause = allow(&[is(0, INTERNET), STREAM, is(2, &[0, 6])]);

/// The `CLONE_NEW*` flags; `CLONE_NEWTIME` lies in the exit signal's byte and is for `clone3` only.
const NEW_NAMESPACE: u32 = bits(
    libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET,
);

pub const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;

const PLAIN_NODES: &[u32] = &[0, libc::S_IFREG, libc::S_IFIFO, libc::S_IFSOCK];
const PLAIN_NODE_1: Test = Test { argument: 1, mask: libc::S_IFMT, any_of: PLAIN_NODES };
const PLAIN_NODE_2: Test = Test { argument: 2, mask: libc::S_IFMT, any_of: PLAIN_NODES };

/// TIOCSTI types into a terminal, TIOCLINUX pastes into a console, TIOCSETD loads line disciplines: each has
/// been a way out.
pub const TERMINAL_TAKEOVER: &[u32] = &[0x5412, 0x541c, 0x5423];

/// Names, death signals, dumpability, reaping, timer slack, huge pages, privileges read or given up,
/// `PR_SET_VMA`.
const PROCESS_OPTIONS: &[u32] = &[
    bits(libc::PR_SET_PDEATHSIG),
    bits(libc::PR_GET_PDEATHSIG),
    bits(libc::PR_GET_DUMPABLE),
    bits(libc::PR_SET_DUMPABLE),
    bits(libc::PR_GET_KEEPCAPS),
    bits(libc::PR_SET_NAME),
    bits(libc::PR_GET_NAME),
    bits(libc::PR_GET_SECCOMP),
    bits(libc::PR_SET_SECCOMP),
    bits(libc::PR_CAPBSET_READ),
    bits(libc::PR_SET_TIMERSLACK),
    bits(libc::PR_GET_TIMERSLACK),
    bits(libc::PR_SET_CHILD_SUBREAPER),
    bits(libc::PR_GET_CHILD_SUBREAPER),
    bits(libc::PR_SET_NO_NEW_PRIVS),
    bits(libc::PR_GET_NO_NEW_PRIVS),
    bits(libc::PR_SET_THP_DISABLE),
    bits(libc::PR_GET_THP_DISABLE),
    bits(libc::PR_GET_SPECULATION_CTRL),
    0x5356_4d41,
];

/// Capabilities given up, and the bits that keep them from coming back.
const SURRENDERS: &[u32] =
    &[bits(libc::PR_CAPBSET_DROP), bits(libc::PR_SET_SECUREBITS), bits(libc::PR_CAP_AMBIENT)];

/// The limit that keeps core dumps from the host's handler does so at one value only (`inside/limits.rs`): whoever lowers
/// it to 0 has his memory handed to a program of the host. Whether a call would only read it stands in a pointer, which
/// a filter sees half of; so it may not even be read.
pub const CORE: &[u32] = &[libc::RLIMIT_CORE];

const JOIN_SESSION_KEYRING: u32 = 1;

/// A process may tighten its own filter, never be told of its children's calls (`NEW_LISTENER`).
const SECCOMP: &[Clause] = &[allow(&[is(0, &[1]), clear(1, 0x8)]), allow(&[is(0, &[0, 2])])];

/// Kernel code that parses packets with programs of the caller's or changes how a socket's bytes are read.
const SOCKET_OPTIONS: &[Clause] = &[
    // SOL_SOCKET: SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF.
    refuse(&[is(1, &[1]), is(2, &[26, 50, 51, 52])], libc::EPERM),
    // IPPROTO_TCP: TCP_ULP.
    refuse(&[is(1, &[6]), is(2, &[31])], libc::EPERM),
    // IPPROTO_UDP: UDP_ENCAP.
    refuse(&[is(1, &[17]), is(2, &[100])], libc::EPERM),
    // SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6.
    allow(&[is(1, &[1, 0, 6, 17, 41])]),
];

const UNIX: &[u32] = &[bits(libc::AF_UNIX)];
const INTERNET: &[u32] = &[bits(libc::AF_INET), bits(libc::AF_INET6)];

const STREAM_OR_DATAGRAM: Test = Test {
    argument: 1,
    mask: !bits(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK),
    any_of: &[bits(libc::SOCK_STREAM), bits(libc::SOCK_DGRAM)],
};

const STREAM: Test = Test {
    argument: 1,
    mask: !bits(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK),
    any_of: &[bits(libc::SOCK_STREAM)],
};

const UNIX_SOCKET: Clause = allow(&[is(0, UNIX), STREAM_OR_DATAGRAM]);

/// Protocol 0, TCP or UDP: others (MPTCP, SCTP, SMC, ping) load modules that functions do not need.
const INTERNET_SOCKET: Clause = allow(&[is(0, INTERNET), STREAM_OR_DATAGRAM, is(2, &[0, 6, 17])]);

/// Go and others ask for MPTCP first and take this answer as "use TCP".
const OTHER_PROTOCOL: Clause = refuse(&[is(0, INTERNET), STREAM_OR_DATAGRAM], libc::EPROTONOSUPPORT);

/// `NETLINK_ROUTE`, raw as glibc and Go ask for it, or datagram.
const ROUTE_SOCKET: Clause = allow(&[
    is(0, &[bits(libc::AF_NETLINK)]),
    Test {
        argument: 1,
        mask: !bits(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK),
        any_of: &[bits(libc::SOCK_RAW), bits(libc::SOCK_DGRAM)],
    },
    is(2, &[bits(libc::NETLINK_ROUTE)]),
]);

pub const fn rule(calls: &'static [&'static str], clauses: &'static [Clause], otherwise: i32) -> Rule {
    Rule { calls, verdict: Verdict::ByArguments(clauses, Action::errno(otherwise)) }
}

pub const fn otherwise_allow(calls: &'static [&'static str], clauses: &'static [Clause]) -> Rule {
    Rule { calls, verdict: Verdict::ByArguments(clauses, Action::Allow) }
}

pub const fn allow(when: &'static [Test]) -> Clause {
    Clause { when, then: Action::Allow }
}

pub const fn refuse(when: &'static [Test], with: i32) -> Clause {
    Clause { when, then: Action::errno(with) }
}

pub const fn is(argument: u8, any_of: &'static [u32]) -> Test {
    Test { argument, mask: ALL, any_of }
}

pub const fn clear(argument: u8, mask: u32) -> Test {
    Test { argument, mask, any_of: &[0] }
}

const fn bits(value: i32) -> u32 {
    value.cast_unsigned()
}
