//! A second opinion: `seccompiler` compiles the same policy, its argument rules written down by hand; both
//! filters must let the same calls through.

use std::collections::BTreeMap;

use sandbox::seccomp::{Action, Arch, Network, Policy, SYSCALLS, Verdict, compile};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use crate::interpreter::{Question, run};
use crate::{policies, samples};

type Conditions = Vec<(u8, SeccompCmpOp, u64)>;

/// The ways to pass, any of them; in each, all conditions hold.
fn by_hand(name: &str, policy: &Policy) -> Vec<Conditions> {
    const TYPE: u64 = !0o2_004_000 & 0xffff_ffff;
    let chmod = |argument: u8| vec![vec![(argument, MaskedEq(0o6000), 0)]];
    let node = |mode: u8| {
        let kinds = [0, 0o010_0000, 0o001_0000, 0o014_0000];
        kinds.map(|kind| vec![(mode, MaskedEq(0o17_0000), kind), (mode, MaskedEq(0o6000), 0)]).to_vec()
    };
    match name {
        "clone" => vec![vec![(0, MaskedEq(0x7e02_0000), 0)]],
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" | "utime" | "utimes" | "futimesat" | "utimensat"
            if is_bare(policy) =>
        {
            vec![]
        }
        "sched_setaffinity" | "sched_setparam" | "sched_setscheduler" | "sched_setattr" => {
            vec![vec![(0, Eq, 0)]]
        }
        "setpriority" => vec![vec![(0, Eq, 0), (1, Eq, 0)]],
        "ioprio_set" => vec![vec![(0, Eq, 1), (1, Eq, 0)]],
        "chmod" | "fchmod" => chmod(1),
        "fchmodat" | "fchmodat2" => chmod(2),
        "mknod" => node(1),
        "mknodat" => node(2),
        "ioctl" if is_bare(policy) => [0x5400, 0x8900]
            .map(|kind| vec![(1, MaskedEq(0xff00), kind), (1, Ne, 0x5412), (1, Ne, 0x541c), (1, Ne, 0x5423)])
            .to_vec(),
        "ioctl" => vec![vec![(1, Ne, 0x5412), (1, Ne, 0x541c), (1, Ne, 0x5423)]],
        "setrlimit" => vec![vec![(0, Ne, 4)]],
        "prlimit64" if is_bare(policy) => vec![vec![(0, Eq, 0), (1, Ne, 4)]],
        "prlimit64" => vec![vec![(1, Ne, 4)]],
        "personality" => vec![vec![(0, Eq, 0)], vec![(0, Eq, 0xffff_ffff)]],
        "prctl" => {
            let own = [1, 2, 3, 4, 7, 15, 16, 21, 22, 23, 29, 30, 36, 37, 38, 39, 41, 42, 52, 0x5356_4d41];
            let surrendering: &[u64] = if is_template(policy) { &[24, 28, 47] } else { &[] };
            own.iter().chain(surrendering).map(|option| vec![(0, Eq, *option)]).collect()
        }
        "madvise" if is_template(policy) => vec![vec![(2, Ne, 10), (2, Ne, 12)]],
        "madvise" => vec![vec![(2, Ne, 12)]],
        "keyctl" => vec![vec![(0, Eq, 1), (1, Eq, 0)]],
        "seccomp" => vec![vec![(0, Eq, 1), (1, MaskedEq(8), 0)], vec![(0, Eq, 0)], vec![(0, Eq, 2)]],
        "setsockopt" => vec![
            vec![(1, Eq, 1), (2, Ne, 26), (2, Ne, 50), (2, Ne, 51), (2, Ne, 52)],
            vec![(1, Eq, 6), (2, Ne, 31)],
            vec![(1, Eq, 17), (2, Ne, 100)],
            vec![(1, Eq, 0)],
            vec![(1, Eq, 41)],
        ],
        "socketpair" => [1, 2].map(|kind| vec![(0, Eq, 1), (1, MaskedEq(TYPE), kind)]).to_vec(),
        "socket" if is_bare(policy) => [(2, 0), (2, 6), (10, 0), (10, 6)]
            .map(|(family, protocol)| vec![(0, Eq, family), (1, MaskedEq(TYPE), 1), (2, Eq, protocol)])
            .to_vec(),
        "socket" => {
            let mut ways = Vec::new();
            for kind in [1, 2] {
                ways.push(vec![(0, Eq, 1), (1, MaskedEq(TYPE), kind)]);
                for (family, protocol) in [(2, 0), (2, 6), (2, 17), (10, 0), (10, 6), (10, 17)] {
                    ways.push(vec![(0, Eq, family), (1, MaskedEq(TYPE), kind), (2, Eq, protocol)]);
                }
            }
            if std::ptr::eq(policy, Policy::function(Network::Routed)) {
                ways.extend([2, 3].map(|kind| vec![(0, Eq, 16), (1, MaskedEq(TYPE), kind), (2, Eq, 0)]));
            }
            ways
        }
        "mmap" => vec![vec![(2, MaskedEq(4), 0), (3, MaskedEq(0x20), 0x20)]],
        "mprotect" => vec![vec![(2, MaskedEq(4), 0)]],
        other => panic!("{other} has argument rules that the oracle was not told"),
    }
}

fn is_template(policy: &Policy) -> bool {
    std::ptr::eq(policy, Policy::template())
}

fn is_bare(policy: &Policy) -> bool {
    std::ptr::eq(policy, Policy::bare())
}

fn second_opinion(policy: &Policy, arch: Arch) -> Vec<libc::sock_filter> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in SYSCALLS {
        let Some(number) = call.number(arch) else { continue };
        match policy.verdict(call) {
            Verdict::Always(Action::Allow) => {
                rules.insert(number.into(), Vec::new());
            }
            Verdict::Always(_) => {}
            Verdict::ByArguments(..) => {
                let ways: Vec<_> = by_hand(call.name, policy).into_iter().map(rule).collect();
                // To seccompiler, a call without conditions passes.
                if !ways.is_empty() {
                    rules.insert(number.into(), ways);
                }
            }
        }
    }
    let target = match arch {
        Arch::X86_64 => TargetArch::x86_64,
        Arch::Aarch64 => TargetArch::aarch64,
    };
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, target).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect()
}

fn rule(conditions: Conditions) -> SeccompRule {
    let conditions = conditions
        .into_iter()
        .map(|(argument, op, value)| {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value).unwrap()
        })
        .collect();
    SeccompRule::new(conditions).unwrap()
}

#[test]
fn seccompiler_lets_the_same_calls_through() {
    for policy in policies() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let (ours, theirs) = (compile(policy, arch), second_opinion(policy, arch));
            for number in 0..=1023 {
                let call = SYSCALLS.iter().find(|call| call.number(arch) == Some(number));
                let verdict = call.map_or(Verdict::Always(Action::Kill), |call| policy.verdict(call));
                for arguments in samples::arguments(verdict) {
                    let question = Question { arch: arch.audit(), number, arguments };
                    let passes =
                        |program: &[libc::sock_filter]| run(program, &question, |_| {}) == Action::Allow;
                    assert_eq!(passes(&ours), passes(&theirs), "{} {arch:?} {question:x?}", policy.name);
                }
            }
        }
    }
}
