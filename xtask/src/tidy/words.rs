//! Names that say nothing, doors that only one crate may open, and words that do not belong in the tree.

use super::{Breach, Source};

const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "misc", "helper", "helpers", "manager", "managers", "shared"];

/// A text that product code may hold only below the named folder, and why.
struct Door {
    text: &'static str,
    owner: &'static str,
    why: &'static str,
}

const DOORS: &[Door] = &[
    Door { text: "unsafe {", owner: "sandbox/", why: "all unsafe is fenced in sandbox" },
    Door { text: "unsafe fn", owner: "sandbox/", why: "all unsafe is fenced in sandbox" },
    Door { text: "unsafe impl", owner: "sandbox/", why: "all unsafe is fenced in sandbox" },
    Door { text: "allow(unsafe_code", owner: "sandbox/", why: "all unsafe is fenced in sandbox" },
    Door { text: "SystemTime::now", owner: "world/", why: "only world reads a clock" },
    Door { text: "Instant::now", owner: "world/", why: "only world reads a clock" },
    Door { text: "getrandom::", owner: "world/", why: "only world draws randomness" },
    Door { text: "rand::", owner: "world/", why: "only world draws randomness" },
    Door { text: "fjall::", owner: "store/", why: "only store opens data files" },
    Door { text: "allow(clippy::too_many_lines", owner: "none/", why: "functions stay under 70 lines" },
    Door { text: "todo!(", owner: "none/", why: "nothing is left open in the tree" },
    Door { text: "unimplemented!(", owner: "none/", why: "nothing is left open in the tree" },
    Door { text: "unbounded_channel", owner: "none/", why: "every queue has a bound" },
];

pub(crate) fn check(sources: &[Source]) -> Vec<Breach> {
    let mut breaches: Vec<Breach> = sources.iter().filter_map(empty_name).collect();
    for source in sources.iter().filter(|s| s.is_rust() && !s.path.starts_with("xtask/")) {
        breaches.extend(doors(source));
    }
    breaches
}

fn empty_name(source: &Source) -> Option<Breach> {
    let parts = source.path.split('/').map(|part| part.split('.').next().unwrap_or(part));
    let name = parts.into_iter().find(|part| EMPTY_NAMES.contains(part))?;
    Some(Breach { place: source.path.clone(), rule: format!("the name {name:?} says nothing") })
}

fn doors(source: &Source) -> Vec<Breach> {
    let product = source.product();
    DOORS
        .iter()
        .filter(|door| !source.path.starts_with(door.owner))
        .flat_map(|door| {
            let lines = product.lines().enumerate();
            lines.filter(|(_, line)| !line.trim_start().starts_with("//") && holds(line, door.text)).map(
                |(index, _)| Breach {
                    place: format!("{}:{}", source.path, index + 1),
                    rule: format!("{}: {}", door.text, door.why),
                },
            )
        })
        .collect()
}

/// Whether `line` holds `text` as a word of its own.
fn holds(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> usize {
        check(&[Source { path: path.into(), text: text.into() }]).len()
    }

    #[test]
    fn doors_and_names() {
        assert_eq!(broken("wire/src/a.rs", "fn a() { unsafe { b() } }"), 1);
        assert_eq!(broken("sandbox/src/a.rs", "fn a() { unsafe { b() } }"), 0);
        assert_eq!(broken("wire/src/a.rs", "// Instant::now"), 0);
        assert_eq!(broken("wire/src/a.rs", "x(Instant::now())"), 1);
        assert_eq!(broken("wire/src/a.rs", "a\n#[cfg(test)]\nmod tests { Instant::now() }"), 0);
        assert_eq!(broken("wire/src/util.rs", ""), 1);
        assert_eq!(broken("wire/src/common/a.rs", ""), 1);
        assert_eq!(broken("wire/src/utility.rs", ""), 0);
    }
}
