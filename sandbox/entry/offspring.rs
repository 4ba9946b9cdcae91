//! What copies of oneself do not have in common, and waiting for those that are not instances.

use crate::kernel::{self, EINTR, numbers::WAIT4};

#[cfg(target_arch = "x86_64")]
mod numbers {
    pub const GETPID: usize = 39;
    pub const GETRANDOM: usize = 318;
    pub const KILL: usize = 62;
    pub const PPOLL: usize = 271;
    pub const PIDFD_OPEN: usize = 434;
}

#[cfg(target_arch = "aarch64")]
mod numbers {
    pub const GETPID: usize = 172;
    pub const GETRANDOM: usize = 278;
    pub const KILL: usize = 129;
    pub const PPOLL: usize = 73;
    pub const PIDFD_OPEN: usize = 434;
}

/// What a copy is said to have ended with that took too long.
const TOO_LONG: i32 = 256;

pub fn own_pid() -> i32 {
    kernel::plain(numbers::GETPID, 0, 0, 0).map_or(0, |pid| pid as i32)
}

/// A random number above 0. Who can have none ends, since he would be like his siblings.
pub fn draw() -> i32 {
    let mut drawn: u32 = 0;
    loop {
        // SAFETY: four bytes are written of four.
        match unsafe { kernel::call(numbers::GETRANDOM, [&raw mut drawn as usize, 4, 0, 0, 0, 0]) } {
            Err(EINTR) => {}
            Ok(4) => return (drawn >> 1).max(1) as i32,
            _ => kernel::exit(1),
        }
    }
}

/// The exit status of a child, or 128 and the number of the signal that ended it.
pub fn wait(pid: i32) -> i32 {
    let mut status: i32 = 0;
    loop {
        // SAFETY: one word is written of one.
        match unsafe { kernel::call(WAIT4, [pid as usize, &raw mut status as usize, 0, 0, 0, 0]) } {
            Err(EINTR) => {}
            Err(_) => return 255,
            Ok(_) if status & 0x7f == 0 => return status >> 8 & 0xff,
            Ok(_) => return 128 + (status & 0x7f),
        }
    }
}

/// As `wait`, for so long; then the child is killed.
pub fn wait_for(pid: i32, milliseconds: i32) -> i32 {
    const KILLED: usize = 9;
    let ended = kernel::plain(numbers::PIDFD_OPEN, pid as usize, 0, 0).is_ok_and(|pidfd| {
        let ended = readable(pidfd as i32, milliseconds);
        kernel::close(pidfd as i32);
        ended
    });
    if !ended {
        let _ = kernel::plain(numbers::KILL, pid as usize, KILLED, 0);
    }
    let status = wait(pid);
    if ended { status } else { TOO_LONG }
}

#[repr(C)]
struct Wanted {
    fd: i32,
    events: i16,
    came: i16,
}

#[repr(C)]
struct Time {
    seconds: i64,
    nanoseconds: i64,
}

/// Whether something can be read, or somebody has hung up, within this time.
pub fn readable(fd: i32, milliseconds: i32) -> bool {
    const IN: i16 = 1;
    let mut wanted = Wanted { fd, events: IN, came: 0 };
    // The kernel leaves in it what is left of the time.
    let mut time = Time {
        seconds: i64::from(milliseconds / 1000),
        nanoseconds: i64::from(milliseconds % 1000) * 1_000_000,
    };
    let arguments = [&raw mut wanted as usize, 1, &raw mut time as usize, 0, 0, 0];
    loop {
        // SAFETY: one entry and one time outlive the call.
        match unsafe { kernel::call(numbers::PPOLL, arguments) } {
            Err(EINTR) => {}
            answer => return answer == Ok(1),
        }
    }
}
