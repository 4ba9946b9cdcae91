//! Forked children that have nothing but a filter between them and the kernel.

use std::ptr;

use sandbox::seccomp::{Arch, Policy, compile, install};

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    Exited(i32),
    Signalled(i32),
}

/// One system call: what it answered, or minus the error number.
pub fn call(number: libc::c_long, arguments: [usize; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: needed to make calls that no wrapper offers. Callers pass either no pointers or pointers to
    // live memory of the size that the call expects.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if answer == -1 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { answer }
}

/// Runs `attempt` for each index in one child under the policy's filter; returns the answers, and how the
/// child ended. `attempt` must not allocate: the child is a copy of one thread of many.
pub fn confined(policy: &Policy, count: usize, attempt: impl Fn(usize) -> i64) -> (Vec<i64>, Ended) {
    const UNTRIED: i64 = i64::MIN;
    let program = compile(policy, Arch::NATIVE);
    let bytes = count.max(1) * size_of::<i64>();
    // SAFETY: a fresh shared mapping, given back below; the child writes it, and the parent reads it after
    // the child is gone.
    let shared: *mut i64 = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(ptr::null_mut(), bytes, access, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0).cast()
    };
    assert_ne!(shared.cast(), libc::MAP_FAILED);
    // SAFETY: as above; `count` slots lie in the mapping.
    unsafe { (0..count).for_each(|i| shared.add(i).write(UNTRIED)) };
    // SAFETY: the child makes only system calls and writes to the mapping, then ends without unwinding.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: async-signal-safe calls only, and writes within the mapping.
        unsafe {
            libc::alarm(60);
            if install(&program).is_err() {
                libc::_exit(90);
            }
            (0..count).for_each(|i| shared.add(i).write(attempt(i)));
            libc::_exit(0);
        }
    }
    let ended = wait(pid);
    // SAFETY: the child is gone; the mapping is read, then given back and not used again.
    let answers = unsafe {
        let answers = std::slice::from_raw_parts(shared, count).to_vec();
        libc::munmap(shared.cast(), bytes);
        answers
    };
    (answers, ended)
}

fn wait(pid: libc::pid_t) -> Ended {
    let mut status = 0;
    // SAFETY: `status` is a live integer; `pid` is our own child, not yet reaped.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFSIGNALED(status) {
        Ended::Signalled(libc::WTERMSIG(status))
    } else {
        Ended::Exited(libc::WEXITSTATUS(status))
    }
}
