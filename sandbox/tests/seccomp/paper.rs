//! Security check 29 on paper: the compiled filter says what the table says, and nothing in either is there
//! for nothing.

use std::collections::BTreeSet;

use sandbox::seccomp::{Action, Arch, Clause, Policy, SYSCALLS, Test, Verdict, compile};

use crate::interpreter::{Question, run};
use crate::{policies, samples};

const ARCHES: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

fn verdict_of(policy: &Policy, arch: Arch, number: u32) -> Option<Verdict> {
    let call = SYSCALLS.iter().find(|call| call.number(arch) == Some(number))?;
    Some(policy.verdict(call))
}

#[test]
fn the_filter_says_what_the_table_says() {
    const X32: u32 = 0x4000_0000;
    for policy in policies() {
        for arch in ARCHES {
            let program = compile(policy, arch);
            let mut unreached: BTreeSet<usize> = (0..program.len()).collect();
            let numbers = (0..=1023).chain(X32..=X32 + 1023).chain([u32::MAX, X32 - 1, 1 << 31]);
            for number in numbers {
                let verdict = verdict_of(policy, arch, number);
                for arguments in samples::arguments(verdict.unwrap_or(Verdict::Always(Action::Kill))) {
                    let question = Question { arch: arch.audit(), number, arguments };
                    let got = run(&program, &question, |at| {
                        unreached.remove(&at);
                    });
                    let wanted = policy.decide(arch, number, &arguments);
                    assert_eq!(got, wanted, "{} {arch:?} {question:x?}", policy.name);
                }
            }
            check_foreign(policy, arch, &program, &mut unreached);
            assert!(unreached.is_empty(), "{} {arch:?}: dead instructions {unreached:?}", policy.name);
        }
    }
}

/// Audit numbers of 32-bit x86, 32-bit Arm, the other 64-bit one, and nonsense.
fn check_foreign(
    policy: &Policy,
    arch: Arch,
    program: &[libc::sock_filter],
    unreached: &mut BTreeSet<usize>,
) {
    for audit in [0x4000_0003, 0x4000_0028, 0xc000_003e, 0xc000_00b7, 0, u32::MAX] {
        if audit == arch.audit() {
            continue;
        }
        for number in 0..=1023 {
            let question = Question { arch: audit, number, arguments: [0; 6] };
            let got = run(program, &question, |at| {
                unreached.remove(&at);
            });
            assert_eq!(got, Action::Kill, "{} {arch:?} {question:x?}", policy.name);
        }
    }
}

#[test]
fn filters_are_short_and_shallow() {
    for policy in policies() {
        for arch in ARCHES {
            let program = compile(policy, arch);
            let mut deepest = 0;
            for number in 0..=1023 {
                let question = Question { arch: arch.audit(), number, arguments: [0; 6] };
                let mut steps = 0;
                run(&program, &question, |_| steps += 1);
                deepest = deepest.max(steps);
            }
            eprintln!("{} {arch:?}: {} instructions, {deepest} deep", policy.name, program.len());
            assert!(program.len() <= 300, "{} {arch:?}: {} instructions", policy.name, program.len());
            assert!(deepest <= 40, "{} {arch:?}: {deepest} instructions for one call", policy.name);
        }
    }
}

#[test]
fn no_rule_is_redundant() {
    for policy in policies() {
        let mut named = BTreeSet::new();
        for rule in policy.rules.iter().copied().flatten() {
            for name in rule.calls {
                assert!(named.insert(name), "{}: {name} is named twice", policy.name);
                assert!(SYSCALLS.iter().any(|call| call.name == *name), "{}: {name} is unknown", policy.name);
            }
            let refused = Verdict::Always(Action::Errno(libc::EPERM as u16));
            assert_ne!(rule.verdict, refused, "{}: {:?} say the default", policy.name, rule.calls);
            if let Verdict::ByArguments(clauses, otherwise) = rule.verdict {
                check_clauses(rule.calls, clauses, otherwise);
            }
        }
    }
}

/// Leaving out any clause, any test or any value must change the answer to some question.
fn check_clauses(calls: &[&str], clauses: &'static [Clause], otherwise: Action) {
    let full = Verdict::ByArguments(clauses, otherwise);
    let questions = samples::arguments(full);
    let changes = |less: Vec<Clause>| {
        let less = Verdict::ByArguments(less.leak(), otherwise);
        questions.iter().any(|arguments| less.decide(arguments) != full.decide(arguments))
    };
    for (i, clause) in clauses.iter().enumerate() {
        assert!(changes(without(clauses, i)), "{calls:?}: clause {i} does nothing");
        for (j, test) in clause.when.iter().enumerate() {
            let mut less = clauses.to_vec();
            less[i].when = without(clause.when, j).leak();
            assert!(changes(less), "{calls:?}: clause {i} test {j} does nothing");
            for k in 0..test.any_of.len() {
                let mut tests = clause.when.to_vec();
                tests[j] = Test { any_of: without(test.any_of, k).leak(), ..*test };
                let mut less = clauses.to_vec();
                less[i].when = tests.leak();
                assert!(changes(less), "{calls:?}: clause {i} test {j} value {k} does nothing");
            }
        }
    }
}

fn without<T: Clone>(items: &[T], index: usize) -> Vec<T> {
    let kept = items.iter().enumerate().filter(|(i, _)| *i != index);
    kept.map(|(_, item)| item.clone()).collect()
}

#[test]
fn numbers_are_the_kernels() {
    let mut seen = BTreeSet::new();
    for arch in ARCHES {
        for call in SYSCALLS {
            let Some(number) = call.number(arch) else { continue };
            assert!(seen.insert((arch.audit(), number)), "{arch:?} {number} has two names");
        }
    }
    check_header("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", Arch::X86_64);
    check_header("/usr/include/asm-generic/unistd.h", Arch::Aarch64);
}

/// Compares with a header of the kernel's, where its package is installed. The generic one is that of 64-bit
/// Arm.
fn check_header(path: &str, arch: Arch) {
    let Ok(header) = std::fs::read_to_string(path) else {
        eprintln!("skipped: {path} is not here");
        return;
    };
    let mut compared = 0;
    for line in header.lines() {
        let mut words = line.split_whitespace();
        let (Some("#define"), Some(name), Some(number)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let Some(name) = name.strip_prefix("__NR_").or_else(|| name.strip_prefix("__NR3264_")) else {
            continue;
        };
        let (Ok(number), Some(call)) = (number.parse(), SYSCALLS.iter().find(|call| call.name == name))
        else {
            continue;
        };
        assert_eq!(call.number(arch), Some(number), "{name} in {path}");
        compared += 1;
    }
    assert!(compared > 280, "only {compared} names of {path} were found");
}
