//! The kernel's side of classic BPF, as far as seccomp filters use it.

use sandbox::seccomp::Action;

/// `struct seccomp_data`, what a filter is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    pub arch: u32,
    pub number: u32,
    pub arguments: [u64; 6],
}

impl Question {
    fn word(&self, offset: u32) -> u32 {
        let argument = |offset: u32| self.arguments[(offset / 8) as usize] >> (offset % 8 * 8);
        match offset {
            0 => self.number,
            4 => self.arch,
            16..64 if offset.is_multiple_of(4) => argument(offset - 16) as u32,
            other => panic!("no word at {other}"),
        }
    }
}

/// Runs a filter. Calls `visit` with the index of each instruction that ran.
pub fn run(program: &[libc::sock_filter], question: &Question, mut visit: impl FnMut(usize)) -> Action {
    let mut at = 0;
    let mut accumulator = 0;
    loop {
        let step = &program[at];
        visit(at);
        at += 1;
        let jump = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
        match step.code {
            0x20 => accumulator = question.word(step.k),
            0x54 => accumulator &= step.k,
            0x05 => at += step.k as usize,
            0x15 => at += jump(accumulator == step.k),
            0x25 => at += jump(accumulator > step.k),
            0x35 => at += jump(accumulator >= step.k),
            0x45 => at += jump(accumulator & step.k != 0),
            0x06 => return action(step.k),
            other => panic!("instruction {at} has the unknown code {other:#x}"),
        }
    }
}

fn action(value: u32) -> Action {
    match value {
        libc::SECCOMP_RET_ALLOW => Action::Allow,
        libc::SECCOMP_RET_KILL_PROCESS => Action::Kill,
        errno if errno & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_ERRNO => {
            Action::Errno((errno & libc::SECCOMP_RET_DATA) as u16)
        }
        other => panic!("unknown return value {other:#x}"),
    }
}
