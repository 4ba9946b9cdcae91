//! A synthetic mix of apps after the published statistics of Azure Functions in 2019 (Shahrad et al., CC-BY). Pure.
//!
//! Rates, variability, durations and memory are drawn independently. Durations are scaled to a median of 30 ms and
//! memory to a twentieth, as `bench trace` runs some of them on two cores. Apps that are called more than once a minute
//! are thinned to once a minute: no keep-alive would let one of them go cold either way.

use super::arrivals::Chance;
use std::time::Duration;

/// Share of apps that are called at most so often a day.
const CALLS_A_DAY: &[(f64, f64)] = &[
    (0.05, 0.0),
    (0.15, 0.063),
    (0.5, 0.13),
    (1.0, 0.209),
    (2.0, 0.26),
    (10.0, 0.38),
    (24.0, 0.455),
    (48.0, 0.50),
    (96.0, 0.553),
    (288.0, 0.674),
    (1_000.0, 0.788),
    (1_440.0, 0.820),
    (10_000.0, 0.925),
    (86_400.0, 0.978),
    (1_000_000.0, 0.997),
];
/// Share of apps whose gaps between calls vary at most so much.
const VARIATION: &[(f64, f64)] =
    &[(0.05, 0.256), (0.5, 0.448), (1.0, 0.566), (2.0, 0.716), (5.0, 0.881), (10.0, 0.945), (20.0, 1.0)];
const DURATION_SIGMA: f64 = 2.33;
const DURATION_MEDIAN_S: f64 = 0.03;
const LONGEST_S: f64 = 1.0;
/// The part of a duration that computes, and its most.
const COMPUTING: f64 = 0.1;
const MOST_COMPUTING_S: f64 = 0.002;
/// Burr XII of the average memory of an app in MB.
const BURR: (f64, f64, f64) = (11.652, 0.221, 107.083);
const MEMORY_SCALE: f64 = 20.0;
/// No app is drawn larger than this before scaling; the published figure ends below.
const MOST_MEMORY_MB: f64 = 1_500.0;
const DAY_S: f64 = 86_400.0;
const MOST_A_DAY: f64 = 1_440.0;

/// One app of the mix.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct App {
    /// Mean time between calls.
    pub(crate) gap: Duration,
    /// Coefficient of variation of that time; 0 is a timer.
    pub(crate) variation: f64,
    /// The waiting part of a call.
    pub(crate) wait: Duration,
    /// The computing part of a call.
    pub(crate) cpu: Duration,
    /// What an instance holds beyond its interpreter.
    pub(crate) memory_bytes: u64,
}

/// `count` apps.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn apps(seed: u64, count: usize) -> Vec<App> {
    let mut chance = Chance::new(seed);
    let mut app = || {
        let calls = calls_a_day(chance.unit()).min(MOST_A_DAY);
        let duration = duration_s(chance.normal()).min(LONGEST_S);
        let cpu = (duration * COMPUTING).min(MOST_COMPUTING_S);
        App {
            gap: Duration::from_secs_f64(DAY_S / calls),
            variation: variation(chance.unit()),
            wait: Duration::from_secs_f64(duration - cpu),
            cpu: Duration::from_secs_f64(cpu),
            memory_bytes: (memory_mb(chance.unit()) / MEMORY_SCALE * 1e6) as u64,
        }
    };
    (0..count).map(|_| app()).collect()
}

/// The quantile function of calls a day: log-linear between the published points, a Zipf tail beyond them.
fn calls_a_day(share: f64) -> f64 {
    let (most, at) = CALLS_A_DAY[CALLS_A_DAY.len() - 1];
    if share > at {
        return (most * (1.0 - at) / (1.0 - share).max(1e-6)).min(most * 10.0);
    }
    let logs: Vec<(f64, f64)> = CALLS_A_DAY.iter().map(|(calls, share)| (calls.ln(), *share)).collect();
    between(&logs, share).exp()
}

fn variation(share: f64) -> f64 {
    if share <= VARIATION[0].1 { 0.0 } else { between(VARIATION, share) }
}

fn duration_s(normal: f64) -> f64 {
    DURATION_MEDIAN_S * (DURATION_SIGMA * normal).exp()
}

fn memory_mb(share: f64) -> f64 {
    let (c, k, scale) = BURR;
    (scale * ((1.0 - share).powf(-1.0 / k) - 1.0).powf(1.0 / c)).min(MOST_MEMORY_MB)
}

/// The value at `share` between points of (value, share).
fn between(points: &[(f64, f64)], share: f64) -> f64 {
    let above = points.iter().position(|(_, s)| *s >= share).unwrap_or(points.len() - 1).max(1);
    let ((low, from), (high, to)) = (points[above - 1], points[above]);
    low + (high - low) * ((share - from) / (to - from)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 40_000;

    fn share_below(values: &[f64], bound: f64) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let total = values.len() as f64;
        #[allow(clippy::cast_precision_loss)]
        let below = values.iter().filter(|value| **value <= bound).count() as f64;
        below / total
    }

    /// The share of values at or below each bound, within one percent.
    fn check(what: &str, values: &[f64], table: &[(f64, f64)]) {
        for (bound, share) in table {
            let found = share_below(values, *bound);
            assert!((found - share).abs() < 0.01, "{what} <= {bound}: {found:.3}, published {share}");
        }
    }

    #[test]
    fn rates_follow_the_published_quantiles() {
        let mut chance = Chance::new(1);
        let values: Vec<f64> = (0..MANY).map(|_| calls_a_day(chance.unit())).collect();
        check("calls a day", &values, &CALLS_A_DAY[1..]);
        check("calls a day", &values, &[(612.0, 0.75)]);
        let top = super::super::super::figure::quantile(values, 0.95);
        assert!((15_000.0..30_000.0).contains(&top), "p95 {top}");
    }

    #[test]
    fn variation_follows_the_published_quantiles() {
        let mut chance = Chance::new(2);
        let values: Vec<f64> = (0..MANY).map(|_| variation(chance.unit())).collect();
        check("variation", &values, VARIATION);
    }

    #[test]
    fn durations_and_memory_follow_their_fits() {
        let mut chance = Chance::new(3);
        let durations: Vec<f64> = (0..MANY).map(|_| duration_s(chance.normal())).collect();
        // p5, p25, p50, p75, p95 of the log-normal.
        let at = |z: f64| DURATION_MEDIAN_S * (DURATION_SIGMA * z).exp();
        let table = [(-1.645, 0.05), (-0.6745, 0.25), (0.0, 0.5), (0.6745, 0.75), (1.645, 0.95)];
        check("duration", &durations, &table.map(|(z, share)| (at(z), share)));
        let memory: Vec<f64> = (0..MANY).map(|_| memory_mb(chance.unit())).collect();
        check("memory", &memory, &[(117.0, 0.25), (140.0, 0.5), (183.0, 0.75), (262.0, 0.9), (343.0, 0.95)]);
    }

    #[test]
    fn a_seed_gives_the_same_apps_again() {
        assert_eq!(apps(7, 100), apps(7, 100));
        assert_ne!(apps(7, 100), apps(8, 100));
        let busiest = apps(7, 2000).iter().map(|app| app.gap).min();
        assert_eq!(busiest, Some(Duration::from_secs(60)));
    }
}
