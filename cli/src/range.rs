//! Version ranges as Python (`requires-python`) and npm (`engines`) projects write them.

use std::fmt;

/// Major, minor, patch.
pub type Number = (u32, u32, u32);

const END: Number = (u32::MAX, 0, 0);

/// A set of versions, with the words that named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    text: String,
    /// A version is in the set if it is in all spans of any group.
    groups: Vec<Vec<Span>>,
}

/// From the first number up to, and without, the second; or everything but that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    Inside(Number, Number),
    Outside(Number, Number),
}

impl Range {
    /// A PEP 440 specifier set such as `>=3.9,<3.13`. `None`: this is none that we understand.
    pub fn python(text: &str) -> Option<Self> {
        let clauses = text.split(',').map(str::trim).filter(|clause| !clause.is_empty());
        let spans: Option<Vec<Span>> = clauses.map(python_clause).collect();
        Some(Self { text: text.trim().to_owned(), groups: vec![spans?] })
    }

    /// An npm range such as `^20 || >=22.1`. `None`: this is none that we understand.
    pub fn npm(text: &str) -> Option<Self> {
        let groups: Option<Vec<Vec<Span>>> = text.split("||").map(npm_group).collect();
        Some(Self { text: text.trim().to_owned(), groups: groups? })
    }

    /// Whether `version` is in the range.
    pub fn contains(&self, version: Number) -> bool {
        self.groups.iter().any(|group| group.iter().all(|span| span.contains(version)))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Span {
    fn contains(self, version: Number) -> bool {
        match self {
            Self::Inside(from, to) => from <= version && version < to,
            Self::Outside(from, to) => version < from || to <= version,
        }
    }
}

/// A version that may be incomplete: `3`, `3.11`, `3.11.2`, `20.x`, `*`.
#[derive(Debug, Clone, Copy)]
struct Partial {
    number: Number,
    /// How many components were given.
    given: usize,
}

impl Partial {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches(['v', '=']);
        let plain = text.split(['-', '+']).next()?;
        let mut parts = [0; 3];
        let mut given = 0;
        for (index, part) in plain.split('.').enumerate() {
            if matches!(part, "x" | "X" | "*" | "") {
                break;
            }
            *parts.get_mut(index)? = part.parse::<u32>().ok()?;
            given = index + 1;
        }
        Some(Self { number: (parts[0], parts[1], parts[2]), given })
    }

    /// The first version that does not begin with these components.
    fn end(self) -> Number {
        let (major, minor, patch) = self.number;
        match self.given {
            0 => END,
            1 => (major.saturating_add(1), 0, 0),
            2 => (major, minor.saturating_add(1), 0),
            _ => (major, minor, patch.saturating_add(1)),
        }
    }

    /// The first version that `^` excludes: the one with the next leading component that is not zero.
    fn caret(self) -> Number {
        let (major, minor, _) = self.number;
        match (major, minor, self.given) {
            (_, _, 0) => END,
            (1.., _, _) | (_, _, 1) => (major.saturating_add(1), 0, 0),
            (0, 1.., _) | (_, _, 2) => (0, minor.saturating_add(1), 0),
            _ => self.end(),
        }
    }
}

fn split_operator<'a>(text: &'a str, operators: &[&'static str]) -> (&'static str, &'a str) {
    let text = text.trim();
    operators
        .iter()
        .find_map(|operator| text.strip_prefix(operator).map(|rest| (*operator, rest.trim())))
        .unwrap_or(("", text))
}

fn python_clause(text: &str) -> Option<Span> {
    let (operator, rest) = split_operator(text, &["===", "~=", "==", "!=", "<=", ">=", "<", ">"]);
    let version = Partial::parse(rest)?;
    Some(match operator {
        "==" | "===" => Span::Inside(version.number, version.end()),
        "!=" => Span::Outside(version.number, version.end()),
        "~=" if version.given >= 2 => {
            Span::Inside(version.number, Partial { given: version.given - 1, ..version }.end())
        }
        operator => ordered(operator, version, Partial { given: 3, ..version }.end())?,
    })
}

fn npm_group(text: &str) -> Option<Vec<Span>> {
    let text = text.trim();
    if let Some((from, to)) = text.split_once(" - ") {
        return Some(vec![Span::Inside(Partial::parse(from)?.number, Partial::parse(to)?.end())]);
    }
    // "> = 18" and ">= 18" are one clause each.
    let mut joined = text.to_owned();
    for operator in [">=", "<=", ">", "<", "=", "^", "~"] {
        while joined.contains(&format!("{operator} ")) {
            joined = joined.replace(&format!("{operator} "), operator);
        }
    }
    let clauses: Vec<&str> = joined.split_whitespace().collect();
    if clauses.is_empty() {
        return Some(vec![Span::Inside((0, 0, 0), END)]);
    }
    clauses.into_iter().map(npm_clause).collect()
}

fn npm_clause(text: &str) -> Option<Span> {
    let (operator, rest) = split_operator(text, &["^", "~", "<=", ">=", "<", ">", "="]);
    let version = Partial::parse(rest)?;
    Some(match operator {
        "" | "=" => Span::Inside(version.number, version.end()),
        "^" => Span::Inside(version.number, version.caret()),
        "~" => Span::Inside(version.number, Partial { given: version.given.min(2), ..version }.end()),
        operator => ordered(operator, version, version.end())?,
    })
}

/// `<`, `<=`, `>` and `>=`; `after` is the first version beyond `version`.
fn ordered(operator: &str, version: Partial, after: Number) -> Option<Span> {
    Some(match operator {
        "<" => Span::Inside((0, 0, 0), version.number),
        "<=" => Span::Inside((0, 0, 0), after),
        ">" => Span::Inside(after, END),
        ">=" => Span::Inside(version.number, END),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: Option<Range>, inside: &[Number], outside: &[Number]) {
        let range = range.expect("it is understood");
        for version in inside {
            assert!(range.contains(*version), "{range} holds {version:?}");
        }
        for version in outside {
            assert!(!range.contains(*version), "{range} does not hold {version:?}");
        }
    }

    #[test]
    fn requires_python() {
        let python = Range::python;
        check(python(">=3.9"), &[(3, 9, 0), (3, 14, 1)], &[(3, 8, 9)]);
        check(python(">=3.9,<3.13"), &[(3, 12, 9)], &[(3, 13, 0)]);
        check(python(">= 3.9, != 3.10.*"), &[(3, 9, 4), (3, 11, 0)], &[(3, 10, 7)]);
        check(python("~=3.9"), &[(3, 9, 0), (3, 12, 0)], &[(4, 0, 0), (3, 8, 0)]);
        check(python("~=3.11.2"), &[(3, 11, 7)], &[(3, 12, 0), (3, 11, 1)]);
        check(python("==3.11.*"), &[(3, 11, 7)], &[(3, 12, 0)]);
        check(python("==3.11"), &[(3, 11, 7)], &[(3, 12, 0)]);
        check(python("<4"), &[(3, 99, 0)], &[(4, 0, 0)]);
        check(python(""), &[(3, 0, 0)], &[]);
        for bad in ["banana", "3.11", "~=3"] {
            assert_eq!(python(bad), None, "{bad}");
        }
    }

    #[test]
    fn engines() {
        let npm = Range::npm;
        check(npm(">=18"), &[(18, 0, 0), (24, 0, 0)], &[(17, 9, 9)]);
        check(npm("^20 || >=22.1"), &[(20, 11, 0), (22, 1, 0)], &[(21, 0, 0), (22, 0, 9)]);
        check(npm("20.x"), &[(20, 9, 0)], &[(21, 0, 0)]);
        check(npm("~20.1"), &[(20, 1, 9)], &[(20, 2, 0)]);
        check(npm("~20"), &[(20, 5, 0)], &[(21, 0, 0)]);
        check(npm("18 - 20"), &[(18, 0, 0), (20, 9, 9)], &[(21, 0, 0)]);
        check(npm(">= 18 < 21"), &[(20, 0, 0)], &[(21, 0, 0)]);
        check(npm(">20"), &[(21, 0, 0)], &[(20, 9, 9)]);
        check(npm("<=20"), &[(20, 9, 9)], &[(21, 0, 0)]);
        check(npm("^0.2.3"), &[(0, 2, 9)], &[(0, 3, 0)]);
        check(npm("*"), &[(1, 0, 0)], &[]);
        check(npm("v20.11.1"), &[(20, 11, 1)], &[(20, 11, 2)]);
        check(npm(""), &[(1, 0, 0)], &[]);
        assert_eq!(npm("latest"), None);
    }
}
