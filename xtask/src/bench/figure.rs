//! Samples and what is said of them.

use std::time::Duration;

/// Timings of one thing, in the order in which they were taken.
#[derive(Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The median in microseconds; 0 without samples.
    pub(crate) fn p50_us(&self) -> f64 {
        self.quantile_us(0.5)
    }

    /// The 99th percentile in microseconds; 0 without samples.
    pub(crate) fn p99_us(&self) -> f64 {
        self.quantile_us(0.99)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn quantile_us(&self, q: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let index = ((sorted.len() as f64 - 1.0) * q).round().max(0.0) as usize;
        sorted.get(index).map_or(0.0, |d| d.as_secs_f64() * 1e6)
    }
}

/// One promise and what was measured of it.
#[derive(serde::Serialize)]
pub(crate) struct Row {
    /// What is promised, in words.
    pub(crate) promise: String,
    /// What was measured.
    pub(crate) measured: String,
    /// The figure that is judged.
    pub(crate) figure: f64,
    /// The bound it must keep, and on which side.
    pub(crate) bound: Bound,
}

/// A bound and the side that is good.
#[derive(serde::Serialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Row {
    pub(crate) fn holds(&self) -> bool {
        match self.bound {
            Bound::AtMost(bound) => self.figure <= bound,
            Bound::AtLeast(bound) => self.figure >= bound,
        }
    }
}
