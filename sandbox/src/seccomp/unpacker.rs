//! The policy of the child that unpacks archives: it reads one file, makes files beneath one directory, and
//! ends.

use super::policy::{Action, Clause, Policy, Rule, Test, Verdict};

/// No way to a program, a socket, another process, or an existing name.
pub static UNPACKER: Policy = Policy { name: "unpacker", rules: &[RULES] };

const REFUSED: Action = Action::errno(libc::EPERM);

const NOT_EXECUTABLE: u32 = libc::PROT_EXEC.cast_unsigned();
const ANONYMOUS: u32 = libc::MAP_ANONYMOUS.cast_unsigned();

const RULES: &[Rule] = &[
    Rule {
        calls: &[
            "pread64",
            "write",
            "close",
            "openat2",
            "mkdirat",
            "symlinkat",
            "syncfs",
            "brk",
            "munmap",
            "mremap",
            "madvise",
            "futex",
            "getrandom",
            "restart_syscall",
            "exit_group",
        ],
        verdict: Verdict::Always(Action::Allow),
    },
    // Memory for the allocator, never code and never a file's pages.
    Rule {
        calls: &["mmap"],
        verdict: Verdict::ByArguments(
            &[Clause {
                when: &[
                    Test { argument: 2, mask: NOT_EXECUTABLE, any_of: &[0] },
                    Test { argument: 3, mask: ANONYMOUS, any_of: &[ANONYMOUS] },
                ],
                then: Action::Allow,
            }],
            REFUSED,
        ),
    },
    Rule {
        calls: &["mprotect"],
        verdict: Verdict::ByArguments(
            &[Clause {
                when: &[Test { argument: 2, mask: NOT_EXECUTABLE, any_of: &[0] }],
                then: Action::Allow,
            }],
            REFUSED,
        ),
    },
];
