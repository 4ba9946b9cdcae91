//! Metrics as Prometheus reads them: the text format 0.0.4, family by family.

use std::fmt::Write;

/// What a family counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Only ever grows, until the platform starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many were at most so large, by bound.
    Histogram,
}

/// A text of families. A family's samples follow it.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// Its media type.
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family.
    pub fn family(&mut self, name: &str, sort: Sort, help: &str) {
        let sort = match sort {
            Sort::Counter => "counter",
            Sort::Gauge => "gauge",
            Sort::Histogram => "histogram",
        };
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {sort}");
    }

    /// A value of it. Labels may hold any text.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{label}=\"");
            for character in text.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// The whole text.
    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_samples_are_lines() {
        let mut page = Exposition::default();
        page.family("a_total", Sort::Counter, "What a is.");
        page.sample("a_total", &[], 3.0);
        page.sample("a_total", &[("f", "x\"y\\z\n"), ("le", "+Inf")], 0.0005);
        let expected = "# HELP a_total What a is.\n# TYPE a_total counter\na_total 3\n\
                        a_total{f=\"x\\\"y\\\\z\\n\",le=\"+Inf\"} 0.0005\n";
        assert_eq!(page.into_text(), expected);
    }
}
