//! When calls come: renewal processes with a given mean and variation. Pure; a seed gives the same times again.

use super::azure::App;
use super::keep_alive::Arrival;
use std::time::Duration;

/// Gaps that are drawn before time zero, so that a trace begins in the middle of things.
const BEFORE: f64 = 20.0;

/// Chance from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform above 0 and below 1.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }

    /// Gamma of shape 1 or more (Marsaglia and Tsang), scaled to `mean`.
    fn gamma(&mut self, shape: f64, mean: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.unit().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v * mean / shape;
            }
        }
    }

    /// One gap with this mean and coefficient of variation.
    fn gap(&mut self, mean: f64, variation: f64) -> f64 {
        if variation == 0.0 {
            return mean;
        }
        if variation < 1.0 {
            return self.gamma(1.0 / (variation * variation), mean);
        }
        // Two-phase hyper-exponential with balanced means; both phases are the same at a variation of 1.
        let square = variation * variation;
        let often = f64::midpoint(1.0, ((square - 1.0) / (square + 1.0)).sqrt());
        let phase = if self.unit() < often { often } else { 1.0 - often };
        self.exponential(mean / (2.0 * phase))
    }
}

/// The times within `span` at which an app is called.
fn times(app: &App, span: Duration, chance: &mut Chance) -> Vec<Duration> {
    let (mean, span) = (app.gap.as_secs_f64(), span.as_secs_f64());
    let mut at = -mean * (BEFORE + chance.unit());
    let mut times = Vec::new();
    loop {
        at += chance.gap(mean, app.variation);
        if at >= span {
            return times;
        }
        if at >= 0.0 {
            times.push(Duration::from_secs_f64(at));
        }
    }
}

/// All calls of all apps within `span`, in order.
pub(crate) fn merged(apps: &[App], span: Duration, seed: u64) -> Vec<Arrival> {
    let mut all: Vec<Arrival> = apps
        .iter()
        .enumerate()
        .flat_map(|(app, spec)| {
            let mut chance = Chance::new(seed ^ (app as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
            times(spec, span, &mut chance).into_iter().map(move |at| Arrival { at, app })
        })
        .collect();
    all.sort_by_key(|arrival| arrival.at);
    all
}

/// Poisson arrivals of `rate` a second.
pub(crate) fn poisson(rate: f64, span: Duration, seed: u64) -> Vec<Duration> {
    let mut chance = Chance::new(seed);
    let mut at = 0.0;
    let mut times = Vec::new();
    loop {
        at += chance.exponential(1.0 / rate);
        if at >= span.as_secs_f64() {
            return times;
        }
        times.push(Duration::from_secs_f64(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_the_mean_and_variation_asked_for() {
        for (index, variation) in [0.0, 0.1, 0.5, 1.0, 2.0, 5.0].into_iter().enumerate() {
            let mut chance = Chance::new(index as u64);
            let gaps: Vec<f64> = (0..200_000).map(|_| chance.gap(3.0, variation)).collect();
            #[allow(clippy::cast_precision_loss)]
            let count = gaps.len() as f64;
            let mean = gaps.iter().sum::<f64>() / count;
            let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count).sqrt();
            assert!((mean - 3.0).abs() < 0.1, "mean {mean} at {variation}");
            let found = deviation / mean;
            assert!((found - variation).abs() < 0.05 * variation.max(0.2), "{found}, wanted {variation}");
        }
    }

    #[test]
    fn a_timer_has_its_period_and_a_merged_trace_its_order() {
        let timer = App {
            gap: Duration::from_secs(2),
            variation: 0.0,
            wait: Duration::ZERO,
            cpu: Duration::ZERO,
            memory_bytes: 0,
        };
        let found = times(&timer, Duration::from_secs(20), &mut Chance::new(5));
        assert_eq!(found.len(), 10);
        assert!(found.windows(2).all(|pair| (pair[1] - pair[0]).abs_diff(timer.gap).as_micros() < 10));
        let varied = App { variation: 2.0, ..timer.clone() };
        let merged = merged(&[timer, varied], Duration::from_secs(100), 5);
        assert!(merged.is_sorted_by_key(|arrival| arrival.at));
        assert!(merged.iter().any(|arrival| arrival.app == 1));
    }

    #[test]
    fn poisson_arrivals_come_at_their_rate() {
        let found = poisson(100.0, Duration::from_secs(100), 9).len();
        assert!((9_600..10_400).contains(&found), "{found}");
    }
}
