//! Where the time of a call went, as a picture.

use crate::figure;
use owo_colors::{AnsiColors, OwoColorize as _};

/// A part of something: its name, how much of it there is, and its colour.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// What it is.
    pub name: &'static str,
    /// Microseconds.
    pub micros: u64,
    /// What it looks like on a terminal.
    pub colour: AnsiColors,
}

/// Cells of a whole bar.
const CELLS: u64 = 60;

/// One bar of all parts, then a line for each that there is any of: milliseconds, share, name. Every such part has a
/// cell of its own at least.
pub fn draw(parts: &[Part]) -> Vec<String> {
    let total: u64 = parts.iter().map(|part| part.micros).sum();
    let present = || parts.iter().filter(|part| part.micros > 0);
    let cells = |part: &Part| (part.micros * CELLS / total.max(1)).max(1);
    let bar: String =
        present().map(|part| "█".repeat(size(cells(part))).color(part.colour).to_string()).collect();
    let line = |part: &Part| {
        let percent = part.micros * 100 / total.max(1);
        format!(
            "  {} {:>9} ms {percent:>3} %  {}",
            "█".color(part.colour),
            figure::milliseconds(part.micros),
            part.name
        )
    };
    std::iter::once(format!("  {bar}")).chain(present().map(line)).collect()
}

fn size(cells: u64) -> usize {
    usize::try_from(cells).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_their_share_and_none_is_invisible() {
        let part = |name, micros| Part { name, micros, colour: AnsiColors::Blue };
        let lines = draw(&[part("queue", 0), part("sandbox", 3000), part("init", 1), part("handler", 1000)]);
        let plain = |line: &String| anstream::adapter::strip_str(line).to_string();
        let bar = plain(&lines[0]);
        assert_eq!(bar.matches('█').count(), 44 + 1 + 14);
        let rest: Vec<String> = lines[1..].iter().map(plain).collect();
        assert_eq!(
            rest,
            [
                "  █      3.00 ms  74 %  sandbox",
                "  █      0.00 ms   0 %  init",
                "  █      1.00 ms  24 %  handler",
            ]
        );
    }
}
