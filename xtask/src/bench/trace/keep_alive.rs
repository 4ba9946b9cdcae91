//! The policy of most platforms: an instance is kept a fixed time after its last call. Pure.

use super::azure::App;
use std::time::Duration;

/// One call of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Since the trace began.
    pub(crate) at: Duration,
    /// Index of the app.
    pub(crate) app: usize,
}

/// What the policy came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    /// Calls that met no free instance.
    pub(crate) starts: usize,
    /// For each app, how long its instances existed together, busy or not.
    pub(crate) instance_seconds: Vec<f64>,
}

struct Instance {
    created: Duration,
    free_at: Duration,
}

/// Runs `arrivals` (in order) over instances that take `start` to make and are kept `keep` after a call, until `end`.
pub(crate) fn simulate(
    apps: &[App],
    arrivals: &[Arrival],
    (start, keep, end): (Duration, Duration, Duration),
) -> Kept {
    let mut pools: Vec<Vec<Instance>> = apps.iter().map(|_| Vec::new()).collect();
    let mut kept = Kept { starts: 0, instance_seconds: vec![0.0; apps.len()] };
    for arrival in arrivals {
        let (app, pool) = (&apps[arrival.app], &mut pools[arrival.app]);
        let lived = &mut kept.instance_seconds[arrival.app];
        pool.retain(|instance| {
            let expired = instance.free_at + keep < arrival.at;
            if expired {
                *lived += seconds(instance, keep, end);
            }
            !expired
        });
        let busy = app.wait + app.cpu;
        let free = pool.iter_mut().filter(|i| i.free_at <= arrival.at).max_by_key(|i| i.free_at);
        if let Some(instance) = free {
            instance.free_at = arrival.at + busy;
        } else {
            kept.starts += 1;
            pool.push(Instance { created: arrival.at, free_at: arrival.at + start + busy });
        }
    }
    for (pool, lived) in pools.iter().zip(&mut kept.instance_seconds) {
        *lived += pool.iter().map(|instance| seconds(instance, keep, end)).sum::<f64>();
    }
    kept
}

/// How long an instance existed within the trace.
fn seconds(instance: &Instance, keep: Duration, end: Duration) -> f64 {
    (instance.free_at + keep).min(end).saturating_sub(instance.created).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of arrivals of one app whose calls take a second, with a start of 1 s and a keep-alive of 10 s.
    fn check(arrivals: &[u64], starts: usize, lived: f64) {
        let app = App {
            gap: Duration::from_secs(1),
            variation: 1.0,
            wait: Duration::from_secs(1),
            cpu: Duration::ZERO,
            memory_bytes: 0,
        };
        let arrivals: Vec<Arrival> =
            arrivals.iter().map(|at| Arrival { at: Duration::from_secs(*at), app: 0 }).collect();
        let [start, keep, end] = [1, 10, 100].map(Duration::from_secs);
        let kept = simulate(&[app], &arrivals, (start, keep, end));
        assert_eq!(kept, Kept { starts, instance_seconds: vec![lived] }, "{arrivals:?}");
    }

    #[test]
    fn instances_are_kept_ten_seconds_after_their_last_call() {
        check(&[], 0, 0.0);
        check(&[0], 1, 12.0);
        check(&[0, 5], 1, 16.0);
        check(&[0, 12], 1, 23.0);
        check(&[0, 13], 2, 24.0);
        check(&[0, 1], 2, 12.0 + 12.0);
        check(&[95], 1, 5.0);
    }
}
