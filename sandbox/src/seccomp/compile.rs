//! From a policy to classic BPF: a balanced tree over ranges of call numbers, so that a filter of three
//! hundred calls costs some nine comparisons and installs in a twentieth of a millisecond.

use std::collections::HashMap;

use super::Program;
use super::numbers::SYSCALLS;
use super::policy::{Action, Arch, Clause, Policy, Test, UNKNOWN, Verdict};

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Compiles a policy for one architecture.
pub fn compile(policy: &Policy, arch: Arch) -> Program {
    let mut code = Assembler::default();
    let known = code.tree(&ranges(policy, arch));
    if let Some(first) = arch.foreign_from() {
        let kill = code.leave(Action::Kill);
        code.branch(libc::BPF_JGE, first, kill, known);
    }
    let own = code.load(NUMBER);
    let kill = code.leave(Action::Kill);
    code.branch(libc::BPF_JEQ, arch.audit(), own, kill);
    code.load(ARCH);
    code.finish()
}

/// A run of neighbouring numbers with one verdict: the first of them, up to the next range.
struct Range {
    first: u32,
    verdict: Verdict,
}

fn ranges(policy: &Policy, arch: Arch) -> Vec<Range> {
    let mut numbered: Vec<(u32, Verdict)> =
        SYSCALLS.iter().filter_map(|call| Some((call.number(arch)?, policy.verdict(call)))).collect();
    numbered.sort_by_key(|(number, _)| *number);
    let mut ranges = vec![Range { first: 0, verdict: UNKNOWN }];
    let mut next = 0;
    for (number, verdict) in numbered {
        if number > next {
            extend(&mut ranges, next, UNKNOWN);
        }
        extend(&mut ranges, number, verdict);
        next = number + 1;
    }
    extend(&mut ranges, next, UNKNOWN);
    ranges
}

fn extend(ranges: &mut Vec<Range>, first: u32, verdict: Verdict) {
    match ranges.last_mut() {
        Some(last) if last.verdict == verdict => {}
        Some(last) if last.first == first => last.verdict = verdict,
        _ => ranges.push(Range { first, verdict }),
    }
}

/// A place in the program, counted from its end.
#[derive(Debug, Clone, Copy)]
struct Label(usize);

/// Writes a program from its end to its start: every jump goes forward, so its target is written before it.
#[derive(Default)]
struct Assembler {
    reversed: Program,
    leaves: HashMap<Action, Label>,
}

impl Assembler {
    fn tree(&mut self, ranges: &[Range]) -> Label {
        if let [only] = ranges {
            return self.verdict(only.verdict);
        }
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let above = self.tree(high);
        let below = self.tree(low);
        self.branch(libc::BPF_JGE, high[0].first, above, below)
    }

    fn verdict(&mut self, verdict: Verdict) -> Label {
        match verdict {
            Verdict::Always(action) => self.leave(action),
            Verdict::ByArguments(clauses, otherwise) => {
                let last = self.leave(otherwise);
                clauses.iter().rev().fold(last, |no, clause| self.clause(clause, no))
            }
        }
    }

    fn clause(&mut self, clause: &Clause, no: Label) -> Label {
        let mut yes = self.leave(clause.then);
        for test in clause.when.iter().rev() {
            yes = self.test(test, yes, no);
        }
        yes
    }

    fn test(&mut self, test: &Test, yes: Label, no: Label) -> Label {
        if let [0] = test.any_of {
            self.branch(libc::BPF_JSET, test.mask, no, yes);
        } else {
            test.any_of.iter().rev().fold(no, |no, &value| self.branch(libc::BPF_JEQ, value, yes, no));
            if test.mask != u32::MAX {
                self.push(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, test.mask, 0, 0);
            }
        }
        // Both architectures are little-endian: the low half of an argument comes first.
        self.load(ARGUMENTS + 8 * u32::from(test.argument))
    }

    /// An instruction that ends the program, shared with earlier ones as long as it is near.
    fn leave(&mut self, action: Action) -> Label {
        const NEAR: usize = 128;
        if let Some(&label) = self.leaves.get(&action)
            && self.distance(label) < NEAR
        {
            return label;
        }
        let value = match action {
            Action::Allow => libc::SECCOMP_RET_ALLOW,
            Action::Errno(number) => libc::SECCOMP_RET_ERRNO | u32::from(number),
            Action::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        };
        let label = self.push(libc::BPF_RET | libc::BPF_K, value, 0, 0);
        self.leaves.insert(action, label);
        label
    }

    fn branch(&mut self, compare: u32, value: u32, yes: Label, no: Label) -> Label {
        let yes = self.reachable(yes);
        let no = self.reachable(no);
        let (yes, no) = (self.offset(yes), self.offset(no));
        self.push(libc::BPF_JMP | compare | libc::BPF_K, value, yes, no)
    }

    /// A conditional jump spans 255 instructions; what is farther gets a long jump in between. One less,
    /// since the other arm may need its own.
    fn reachable(&mut self, label: Label) -> Label {
        let distance = self.distance(label);
        if distance < usize::from(u8::MAX) {
            return label;
        }
        let far = u32::try_from(distance).expect("programs have at most 4,096 instructions");
        self.push(libc::BPF_JMP | libc::BPF_JA, far, 0, 0)
    }

    fn offset(&self, label: Label) -> u8 {
        u8::try_from(self.distance(label)).expect("made reachable before")
    }

    /// Loads a word of the call's data and runs on into what was written last.
    fn load(&mut self, offset: u32) -> Label {
        self.push(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
    }

    /// Instructions to skip from the next one written to the label.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - 1 - label.0
    }

    fn here(&self) -> Label {
        Label(self.reversed.len() - 1)
    }

    fn push(&mut self, code: u32, k: u32, jt: u8, jf: u8) -> Label {
        let code = u16::try_from(code).expect("instruction codes have 16 bits");
        self.reversed.push(libc::sock_filter { code, jt, jf, k });
        self.here()
    }

    fn finish(mut self) -> Program {
        self.reversed.reverse();
        self.reversed
    }
}
