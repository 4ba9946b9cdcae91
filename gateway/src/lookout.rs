//! For a moment after an answer, the reactor looks for the next request instead of sleeping.
//!
//! To wake a sleeping processor costs more than to serve a short call. Who calls again and again without a pause is
//! therefore awaited awake, with the caches warm. It costs processor time, so it is done only while requests really
//! come in such close succession, never while a call runs, and every turn offers the processor to others first. What
//! it took is shown in the platform's status.

use crate::Gateway;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use world::{End, Moment};

/// How long one request is looked out for.
const WINDOW: Duration = Duration::from_micros(model::limit("lookout"));
/// Looks at most: a bound that needs no clock.
const TURNS: u32 = 10_000;

/// How close requests follow one another.
#[derive(Debug, Default)]
struct Pace {
    score: u8,
}

impl Pace {
    const EAGER: u8 = 4;
    const MOST: u8 = 8;

    /// A request came so long after the last answer. A pause counts twice, so that looking pays at least half the time.
    fn after(&mut self, pause: Duration) {
        self.score =
            if pause <= WINDOW { (self.score + 1).min(Self::MOST) } else { self.score.saturating_sub(2) };
    }

    fn is_eager(&self) -> bool {
        self.score >= Self::EAGER
    }
}

/// Counts the running requests and says when there are none.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    running: AtomicUsize,
    /// When the first of them came, in microseconds of the moment's clock.
    since_us: AtomicU64,
    quiet: Notify,
}

impl Activity {
    pub(crate) fn begin(&self, now: impl FnOnce() -> Moment) {
        if self.running.fetch_add(1, Ordering::Relaxed) == 0 {
            self.since_us.store(now().0, Ordering::Relaxed);
        }
    }

    pub(crate) fn end(&self) {
        if self.running.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.quiet.notify_one();
        }
    }

    fn is_quiet(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0
    }
}

/// Looks out for requests until `end`.
pub(crate) async fn watch(gateway: Weak<Gateway>, end: End) {
    let mut pace = Pace::default();
    let mut last = None;
    loop {
        let Some(gateway) = gateway.upgrade() else { return };
        let (activity, world) = (&gateway.activity, &gateway.world);
        tokio::select! {
            biased;
            () = activity.quiet.notified() => {}
            () = end.wait() => return,
        }
        let began = world.moment();
        if let Some(last) = last.replace(began) {
            pace.after(Moment(activity.since_us.load(Ordering::Relaxed)) - last);
        }
        if !pace.is_eager() {
            continue;
        }
        for _ in 0..TURNS {
            if !activity.is_quiet() || world.moment() - began > WINDOW {
                break;
            }
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
        let took_us = (world.moment() - began).as_micros();
        gateway.lookout_us.fetch_add(u64::try_from(took_us).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_come_back_at_once_are_awaited() {
        let (short, long) = (WINDOW / 2, WINDOW * 2);
        let cases: [(&[Duration], bool); 5] = [
            (&[], false),
            (&[short; 3], false),
            (&[short; 4], true),
            (&[short, short, short, short, long], false),
            (&[short, long, short, long, short, long, short, long], false),
        ];
        for (pauses, eager) in cases {
            let mut pace = Pace::default();
            pauses.iter().for_each(|pause| pace.after(*pause));
            assert_eq!(pace.is_eager(), eager, "{pauses:?}");
        }
    }
}
