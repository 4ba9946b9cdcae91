//! Wakes a thread some time from now.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// One thread waits for it, others set it. Unlike a condition, it lets that thread sleep until then: whoever sets it does
/// not give way to somebody who wakes only to wait on. As a descriptor it is readable once it rings, for who waits for
/// other things too. Goes by the machine's clock in every world.
#[derive(Debug)]
pub struct Alarm(OwnedFd);

impl Alarm {
    /// One that is not set.
    ///
    /// # Errors
    /// What the kernel said, which has too many open files, say.
    pub fn new() -> io::Result<Self> {
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?))
    }

    /// Rings once after this time, and not when it would have before.
    pub fn ring_in(&self, time: Duration) {
        // No time at all would mean never.
        let time = Timespec::try_from(time.max(Duration::from_nanos(1)));
        let never_again = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = time.unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let value = Itimerspec { it_interval: never_again, it_value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &value).expect("it is a timer, and a time");
    }

    /// Waits until it rings.
    pub fn wait(&self) {
        let rung = loop {
            match read(&self.0, &mut [0; 8]) {
                Err(Errno::INTR) => {}
                rung => break rung,
            }
        };
        rung.expect("a timer can be waited for");
    }

    /// Whether it has rung since it was last set or asked; does not wait.
    pub fn has_rung(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let rung = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready == 1);
        if rung {
            self.wait();
        }
        rung
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_when_it_was_last_set_to() {
        let alarm = Alarm::new().unwrap();
        alarm.ring_in(Duration::from_secs(3600));
        alarm.ring_in(Duration::MAX);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| alarm.wait());
            alarm.ring_in(Duration::ZERO);
            waiting.join().unwrap();
        });
    }

    #[test]
    fn it_has_rung_once_and_not_if_it_was_set_anew() {
        let alarm = Alarm::new().unwrap();
        let rings = || {
            let minute = Timespec { tv_sec: 60, tv_nsec: 0 };
            poll(&mut [PollFd::new(&alarm, PollFlags::IN)], Some(&minute)).unwrap() == 1
        };
        assert!(!alarm.has_rung(), "nobody has set it");
        alarm.ring_in(Duration::ZERO);
        assert!(rings() && alarm.has_rung());
        assert!(!alarm.has_rung(), "it rings once");
        alarm.ring_in(Duration::ZERO);
        assert!(rings());
        alarm.ring_in(Duration::MAX);
        assert!(!alarm.has_rung(), "it was set anew before anybody asked");
    }
}
