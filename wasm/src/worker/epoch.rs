//! The tick by which computing instances are made to pause, so that others run and deadlines hold. It ticks only
//! while a call runs: an idle worker uses no processor.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wasmtime::Engine;

/// A computing instance pauses at least this often.
const TICK: Duration = Duration::from_millis(5);

/// Ticks for one engine.
pub(super) struct Epoch {
    calls: Arc<(Mutex<usize>, Condvar)>,
}

/// Keeps it ticking.
pub(super) struct Ticking<'a>(&'a Epoch);

impl Epoch {
    /// Starts the thread, which sleeps until the first call and lives as long as the process.
    pub(super) fn start(engine: Engine) -> Self {
        let calls = Arc::new((Mutex::new(0), Condvar::new()));
        let theirs = Arc::clone(&calls);
        std::thread::spawn(move || {
            let (count, changed) = &*theirs;
            loop {
                let idle = changed.wait_while(locked(count), |calls| *calls == 0);
                drop(idle.unwrap_or_else(PoisonError::into_inner));
                std::thread::sleep(TICK);
                engine.increment_epoch();
            }
        });
        Self { calls }
    }

    /// Ticks until the result is dropped.
    pub(super) fn ticking(&self) -> Ticking<'_> {
        let mut calls = locked(&self.calls.0);
        *calls += 1;
        if *calls == 1 {
            self.calls.1.notify_one();
        }
        Ticking(self)
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        *locked(&self.0.calls.0) -= 1;
    }
}

fn locked(count: &Mutex<usize>) -> MutexGuard<'_, usize> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}
