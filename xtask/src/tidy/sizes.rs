//! Files stay short enough to be read at one sitting. Tests and generated code aside.

use super::{Breach, Source};

const SOFT_LINES: usize = 500;
const HARD_LINES: usize = 800;

/// Files that are over the soft limit today, and the length that they may not pass. Only ever shorter.
const RATCHET: &[(&str, usize)] = &[];

pub(crate) fn check(sources: &[Source]) -> Vec<Breach> {
    sources.iter().filter(|s| s.is_rust() && !s.is_generated()).filter_map(breach).collect()
}

fn breach(source: &Source) -> Option<Breach> {
    let lines = source.product().lines().count();
    let allowed = RATCHET.iter().find(|(path, _)| *path == source.path).map_or(SOFT_LINES, |(_, n)| *n);
    let allowed = allowed.min(HARD_LINES);
    (lines > allowed).then(|| Breach {
        place: source.path.clone(),
        rule: format!("{lines} lines, {allowed} allowed; split it by noun"),
    })
}
