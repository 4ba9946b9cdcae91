//! When it is calm enough to make things ahead: what nobody waits for must not be in the way of what somebody does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;
use world::Alarm;

/// Nothing is made ahead until nobody has asked for anything for so long: longer than the start of a program, of which one
/// that comes again and again finds something made ahead. What ends meanwhile does not put it off.
const CALM: Duration = Duration::from_millis(4);

/// Becomes readable when something may be made ahead.
pub(super) struct Calm(Alarm);

impl Calm {
    pub(super) fn new() -> io::Result<Self> {
        Alarm::new().map(Self)
    }

    /// Somebody has asked for something, or there is more to make ahead than before.
    pub(super) fn put_off(&self) {
        self.0.ring_in(CALM);
    }

    /// There is more to make ahead: at once, but after what has come already.
    pub(super) fn go_on(&self) {
        self.0.ring_in(Duration::ZERO);
    }

    /// Whether it is calm; says so once.
    pub(super) fn has_come(&self) -> bool {
        self.0.has_rung()
    }
}

impl AsFd for Calm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
