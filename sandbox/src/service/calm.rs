//! When it is calm enough to make things ahead: what nobody waits for must not be in the way of what somebody does.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Nothing is made ahead until nobody has asked for anything for so long: about as long as a start takes that has to make
/// its process. What ends meanwhile does not put it off.
const CALM_NS: i64 = 6_000_000;

/// At once, but after what has come already: zero would mean never.
const NEXT_NS: i64 = 1;

/// Becomes readable when something may be made ahead.
pub(super) struct Calm(OwnedFd);

impl Calm {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// Somebody has asked for something, or there is more to make ahead than before.
    pub(super) fn put_off(&self) {
        self.set(CALM_NS);
    }

    /// There is more to make ahead.
    pub(super) fn go_on(&self) {
        self.set(NEXT_NS);
    }

    /// Whether it is calm; says so once.
    pub(super) fn has_come(&self) -> bool {
        rustix::io::read(&self.0, &mut [0; 8]).is_ok()
    }

    fn set(&self, tv_nsec: i64) {
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let timer = Itimerspec { it_interval: never, it_value: Timespec { tv_sec: 0, tv_nsec } };
        // Only a timer or a time that is none is refused.
        let _ = timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &timer);
    }
}

impl AsFd for Calm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    #[test]
    fn calm_comes_once_and_later_when_it_is_put_off() {
        let calm = Calm::new().unwrap();
        let comes = |ms: i64| {
            let wait = Timespec { tv_sec: 0, tv_nsec: ms * 1_000_000 };
            poll(&mut [PollFd::new(&calm, PollFlags::IN)], Some(&wait)).unwrap() == 1
        };
        assert!(!calm.has_come(), "nobody has asked for it");
        calm.put_off();
        assert!(comes(900) && calm.has_come(), "it comes");
        assert!(!calm.has_come(), "it comes once");
        calm.go_on();
        calm.put_off();
        assert!(!calm.has_come(), "who asks for something comes first");
        assert!(comes(900));
    }
}
