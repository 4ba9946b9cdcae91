//! The policy of functions: what CPython, Node, Go, Rust and C programs are seen to call (`tests/seccomp/programs`)
//! and other runtimes are known to, less what reaches kernel code that they can do without. Argument rules
//! stand in `arguments`, what reaches files and processes of others in `reach`.

use super::arguments::{ARGUMENTS, FORKING, LIVING, SOCKET_BARE, SOCKET_LOOPBACK, SOCKET_ROUTED};
use super::policy::{Action, Policy, Rule, Verdict};
use super::reach::{OWN, SHARED};

/// With loopback only.
pub static LOOPBACK: Policy =
    Policy { name: "function", rules: &[ALLOWED, ANSWERED, ARGUMENTS, OWN, LIVING, SOCKET_LOOPBACK] };

/// With routes.
pub static ROUTED: Policy = Policy {
    name: "function with network",
    rules: &[ALLOWED, ANSWERED, ARGUMENTS, OWN, LIVING, SOCKET_ROUTED],
};

/// Without any namespace.
pub static BARE: Policy = Policy {
    name: "function without namespaces",
    rules: &[ALLOWED, ANSWERED, ARGUMENTS, SHARED, LIVING, SOCKET_BARE],
};

/// Of a template: besides what functions may, its children join the namespaces of a sandbox that was made for them
/// and give up what that gave them. Each then adds the function's own policy, which takes both away again.
pub static TEMPLATE: Policy =
    Policy { name: "template", rules: &[ALLOWED, ANSWERED, ARGUMENTS, OWN, FORKING, SOCKET_LOOPBACK] };

pub const fn allow(calls: &'static [&'static str]) -> Rule {
    Rule { calls, verdict: Verdict::Always(Action::Allow) }
}

pub const fn answer(errno: i32, calls: &'static [&'static str]) -> Rule {
    Rule { calls, verdict: Verdict::Always(Action::errno(errno)) }
}

#[rustfmt::skip]
const ALLOWED: &[Rule] = &[
    // Bytes of open files.
    allow(&["read", "write", "pread64", "pwrite64", "readv", "writev", "preadv", "pwritev", "preadv2",
            "pwritev2", "lseek", "sendfile", "copy_file_range", "ftruncate", "fallocate", "fadvise64",
            "readahead", "sync_file_range", "fsync", "fdatasync", "flock", "fcntl", "dup", "dup2", "dup3",
            "close", "close_range", "pipe", "pipe2"]),
    // Names in the file tree.
    allow(&["open", "openat", "openat2", "creat", "access", "faccessat", "faccessat2", "truncate", "getcwd",
            "chdir", "fchdir", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "link",
            "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "readlink", "readlinkat", "getdents",
            "getdents64", "umask", "inotify_init", "inotify_init1", "inotify_rm_watch"]),
    // Attributes of files, read.
    allow(&["stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "fgetxattr", "flistxattr",
            "file_getattr"]),
    // Waiting.
    allow(&["select", "pselect6", "poll", "ppoll", "epoll_create", "epoll_create1", "epoll_ctl",
            "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "signalfd", "signalfd4",
            "timerfd_create", "timerfd_settime", "timerfd_gettime", "nanosleep", "clock_nanosleep",
            "restart_syscall"]),
    // Memory.
    allow(&["mmap", "munmap", "mremap", "mprotect", "brk", "mincore", "msync", "mlock", "mlock2",
            "mlockall", "munlock", "munlockall", "memfd_create", "membarrier", "pkey_alloc", "pkey_free",
            "pkey_mprotect", "mseal", "get_mempolicy", "map_shadow_stack"]),
    // Processes and threads. `clone` has argument rules.
    allow(&["fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "getpid",
            "getppid", "gettid", "getpgrp", "getpgid", "setpgid", "getsid", "setsid", "set_tid_address",
            "set_robust_list", "get_robust_list", "futex", "futex_waitv", "futex_wake", "futex_wait",
            "futex_requeue", "rseq", "arch_prctl", "pidfd_open"]),
    // Signals.
    allow(&["kill", "tkill", "tgkill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
            "rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigtimedwait", "rt_sigsuspend",
            "rt_sigreturn", "sigaltstack", "pause", "alarm", "getitimer", "setitimer", "timer_create",
            "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete"]),
    // Who one is. Without capabilities the setters change nothing but the order of equal ids.
    allow(&["getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "setuid",
            "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "capget",
            "capset"]),
    // Time, limits and scheduling read, the machine. What changes limits has argument rules.
    allow(&["clock_gettime", "clock_getres", "gettimeofday", "time", "times", "getrlimit", "getrusage",
            "getpriority", "ioprio_get", "sched_yield", "sched_getaffinity", "sched_getparam",
            "sched_getscheduler", "sched_getattr", "sched_get_priority_max", "sched_get_priority_min",
            "sched_rr_get_interval", "getcpu", "sysinfo", "uname", "getrandom"]),
    // Sockets once made. `socket`, `socketpair` and `setsockopt` have argument rules.
    allow(&["bind", "connect", "listen", "accept", "accept4", "getsockname", "getpeername", "sendto",
            "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown", "getsockopt"]),
    // Confining oneself further.
    allow(&["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"]),
];

/// Refusals that need another answer than EPERM to make libraries take their other way.
const ANSWERED: &[Rule] = &[
    // libuv probes io_uring at its start. glibc falls back from clone3, whose flags a filter cannot read, to
    // clone. System V and POSIX queues are per-user kernel state that no runtime needs.
    answer(
        libc::ENOSYS,
        &[
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
            "clone3",
            "semget",
            "semop",
            "semtimedop",
            "semctl",
            "shmget",
            "shmat",
            "shmdt",
            "shmctl",
            "msgget",
            "msgsnd",
            "msgrcv",
            "msgctl",
            "mq_open",
            "mq_unlink",
            "mq_timedsend",
            "mq_timedreceive",
            "mq_notify",
            "mq_getsetattr",
        ],
    ),
    // Go copies by hand only when splicing is called impossible for these descriptors.
    answer(libc::EINVAL, &["splice", "tee", "vmsplice"]),
    // It would flush every disk of the host; a function's own files are in memory, so there is nothing to do.
    answer(0, &["sync", "syncfs"]),
];
