//! Two clocks: one that people read and one that only moves forward.
#![allow(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clocks")]

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// A point in wall-clock time: microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Whole seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole milliseconds since 1970.
    pub fn millis(self) -> u64 {
        self.0 / 1_000
    }
}

/// A point on the forward-only clock: microseconds since the world began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl std::ops::Sub for Moment {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// 2026-01-01T00:00:00Z, where simulated worlds begin.
const SIMULATED_START_US: u64 = 1_767_225_600_000_000;

#[derive(Debug)]
pub(crate) enum Clock {
    Real { began: Instant },
    Simulated { elapsed_us: watch::Sender<u64>, lock: Mutex<()> },
}

impl Clock {
    pub(crate) fn real() -> Self {
        Self::Real { began: Instant::now() }
    }

    pub(crate) fn simulated() -> Self {
        Self::Simulated { elapsed_us: watch::Sender::new(0), lock: Mutex::new(()) }
    }

    pub(crate) fn now(&self) -> Stamp {
        match self {
            Self::Real { .. } => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Stamp(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
            }
            Self::Simulated { elapsed_us, .. } => Stamp(SIMULATED_START_US + *elapsed_us.borrow()),
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        match self {
            Self::Real { began } => Moment(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)),
            Self::Simulated { elapsed_us, .. } => Moment(*elapsed_us.borrow()),
        }
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        match self {
            Self::Real { .. } => tokio::time::sleep(duration).await,
            Self::Simulated { elapsed_us, .. } => {
                let wake = (self.moment() + duration).0;
                let mut watcher = elapsed_us.subscribe();
                watcher.wait_for(|elapsed| *elapsed >= wake).await.expect("the world outlives its sleepers");
            }
        }
    }

    pub(crate) fn advance(&self, duration: Duration) {
        if let Self::Simulated { elapsed_us, lock } = self {
            let _one_at_a_time = lock.lock().expect("no holder of this lock can panic");
            let step = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            elapsed_us.send_modify(|elapsed| *elapsed = elapsed.saturating_add(step));
        }
    }
}
