//! Samples and what is said of them.

use std::time::Duration;

/// Timings of one thing, in the order in which they were taken.
#[derive(Default, Clone)]
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

    fn quantile_us(&self, q: f64) -> f64 {
        quantile(self.0.iter().map(|d| d.as_secs_f64() * 1e6).collect(), q)
    }
}

/// The `q`-quantile of `values` by nearest rank; 0 without values.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub(crate) fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let index = ((values.len() as f64 - 1.0) * q).round().max(0.0) as usize;
    values.get(index).copied().unwrap_or(0.0)
}

/// The median of `values`; 0 without values.
pub(crate) fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

/// One promise and what was measured of it.
#[derive(serde::Serialize)]
pub(crate) struct Row {
    /// What is promised, in words.
    pub(crate) promise: String,
    /// What was measured, or why nothing was.
    pub(crate) measured: String,
    /// The figure that is judged; none where the row could not be measured.
    pub(crate) figure: Option<f64>,
    /// The bound it must keep, and on which side.
    pub(crate) bound: Bound,
    /// What it should reach beyond its bound.
    pub(crate) stretch: Option<f64>,
    /// Why the figure is not of what was promised, such as a start on another rung.
    pub(crate) doubt: Option<String>,
    /// What failed where nothing may fail: the promise is broken, whatever the figure.
    pub(crate) failure: Option<String>,
}

/// A bound and the side that is good.
#[derive(serde::Serialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// What a run says of a row.
#[derive(serde::Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// Beyond the stretch figure.
    Stretched,
    Kept,
    NotKept,
    /// Something was measured, but not what the row promises.
    NotJudged,
    NotMeasured,
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(bound) => figure <= bound,
            Self::AtLeast(bound) => figure >= bound,
        }
    }

    /// The same side with another value.
    const fn at(self, value: f64) -> Self {
        match self {
            Self::AtMost(_) => Self::AtMost(value),
            Self::AtLeast(_) => Self::AtLeast(value),
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::AtMost(bound) => format!("at most {}", ratio(bound)),
            Self::AtLeast(bound) => format!("at least {}", ratio(bound)),
        }
    }
}

impl Row {
    /// A row with a figure.
    pub(crate) fn new(promise: impl Into<String>, bound: Bound, figure: f64, measured: String) -> Self {
        Self {
            promise: promise.into(),
            measured,
            figure: Some(figure),
            bound,
            stretch: None,
            doubt: None,
            failure: None,
        }
    }

    /// A row that could not be measured, and why.
    pub(crate) fn unmeasured(promise: impl Into<String>, bound: Bound, why: &str) -> Self {
        let measured = format!("not measured: {}", why.trim());
        Self { figure: None, ..Self::new(promise, bound, 0.0, measured) }
    }

    pub(crate) fn with_stretch(mut self, stretch: Option<f64>) -> Self {
        self.stretch = stretch;
        self
    }

    pub(crate) fn with_doubt(mut self, doubt: Option<String>) -> Self {
        self.doubt = doubt;
        self
    }

    pub(crate) fn with_failure(mut self, failure: Option<String>) -> Self {
        self.failure = failure;
        self
    }

    pub(crate) fn verdict(&self) -> Verdict {
        if self.failure.is_some() {
            return Verdict::NotKept;
        }
        match self.figure.filter(|figure| figure.is_finite()) {
            None => Verdict::NotMeasured,
            Some(_) if self.doubt.is_some() => Verdict::NotJudged,
            Some(figure) if !self.bound.holds(figure) => Verdict::NotKept,
            Some(figure) if self.stretch.is_some_and(|s| self.bound.at(s).holds(figure)) => {
                Verdict::Stretched
            }
            Some(_) => Verdict::Kept,
        }
    }
}

/// A ratio as people say it: `1/8.0` below a half, plain otherwise.
pub(crate) fn ratio(value: f64) -> String {
    let trimmed = |value: f64| {
        let text = format!("{value:.1}");
        text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
    };
    match value {
        v if v > 0.0 && v < 0.45 => format!("1/{}", trimmed(1.0 / v)),
        v if v.fract() == 0.0 && v.abs() < 1e9 => format!("{v:.0}"),
        v => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_read_as_fractions() {
        let table = [
            (0.125, "1/8"),
            (0.1176, "1/8.5"),
            (1.0, "1"),
            (1.5, "1.50"),
            (8.0, "8"),
            (0.5, "0.50"),
            (0.0, "0"),
        ];
        for (value, text) in table {
            assert_eq!(ratio(value), text);
        }
    }

    #[test]
    fn quantiles() {
        let check = |values: &[f64], q, expected: f64| {
            assert!((quantile(values.to_vec(), q) - expected).abs() < 1e-9, "{values:?} {q}");
        };
        check(&[], 0.5, 0.0);
        check(&[3.0, 1.0, 2.0], 0.5, 2.0);
        check(&[3.0, 1.0, 2.0], 1.0, 3.0);
        check(&[3.0, 1.0, 2.0], 0.0, 1.0);
    }

    #[test]
    fn a_row_is_judged_on_its_own_side() {
        let check = |bound, stretch, figure, doubt: Option<&str>, expected| {
            let row = Row {
                figure,
                ..Row::new("p", bound, 0.0, String::new())
                    .with_stretch(stretch)
                    .with_doubt(doubt.map(str::to_owned))
            };
            assert_eq!(row.verdict(), expected, "{bound:?} {stretch:?} {figure:?}");
        };
        check(Bound::AtMost(0.5), Some(0.1), Some(0.05), None, Verdict::Stretched);
        check(Bound::AtMost(0.5), Some(0.1), Some(0.2), None, Verdict::Kept);
        check(Bound::AtMost(0.5), None, Some(0.05), None, Verdict::Kept);
        check(Bound::AtMost(0.5), Some(0.1), Some(0.51), None, Verdict::NotKept);
        check(Bound::AtLeast(8.0), Some(12.0), Some(12.0), None, Verdict::Stretched);
        check(Bound::AtLeast(8.0), Some(12.0), Some(7.9), None, Verdict::NotKept);
        check(Bound::AtLeast(8.0), None, Some(f64::NAN), None, Verdict::NotMeasured);
        check(Bound::AtMost(0.5), None, None, None, Verdict::NotMeasured);
        check(Bound::AtMost(0.5), None, Some(0.2), Some("another rung"), Verdict::NotJudged);
    }
}
