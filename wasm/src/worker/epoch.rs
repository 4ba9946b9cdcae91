//! The tick by which computing instances are made to pause, so that others run and deadlines hold. It ticks only
//! while a call runs: an idle worker uses no processor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wasmtime::Engine;
use world::Alarm;

/// A computing instance pauses at least this often.
const TICK: Duration = Duration::from_millis(5);

/// Ticks for one engine.
pub(super) struct Epoch(Arc<Shared>);

struct Shared {
    calls: Mutex<Calls>,
    alarm: Alarm,
}

#[derive(Debug, Default)]
struct Calls {
    running: usize,
    /// The next tick will come. A call that ends before does not wake the thread at all.
    set: bool,
}

/// Keeps it ticking.
pub(super) struct Ticking<'a>(&'a Epoch);

impl Epoch {
    /// Starts the thread, which sleeps while no call runs and lives as long as the process.
    ///
    /// # Errors
    /// What the kernel said to an alarm.
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { calls: Mutex::default(), alarm: Alarm::new()? });
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            loop {
                theirs.alarm.wait();
                engine.increment_epoch();
                let mut calls = locked(&theirs.calls);
                calls.set = calls.running > 0;
                if calls.set {
                    theirs.alarm.ring_in(TICK);
                }
            }
        });
        Ok(Self(shared))
    }

    /// Ticks until the result is dropped.
    pub(super) fn ticking(&self) -> Ticking<'_> {
        let mut calls = locked(&self.0.calls);
        calls.running += 1;
        if !std::mem::replace(&mut calls.set, true) {
            self.0.alarm.ring_in(TICK);
        }
        drop(calls);
        Ticking(self)
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        locked(&self.0.0.calls).running -= 1;
    }
}

fn locked(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}
