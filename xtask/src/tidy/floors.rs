//! Crates import downward only, so that each can be read without what stands above it.

use super::Breach;
use std::path::Path;

/// The map of ARCHITECTURE.md: folders, whose last part is the crate. A crate may import crates of lower floors only.
const FLOORS: &[(&str, u8)] = &[
    ("model", 0),
    ("world", 0),
    ("store", 1),
    ("wire", 1),
    ("sandbox", 1),
    ("sandbox/inmate", 1),
    ("access", 2),
    ("observe", 2),
    ("meter", 2),
    ("runtimes", 2),
    ("wasm", 2),
    ("invoke", 3),
    ("functions", 4),
    ("logs", 4),
    ("accounts", 4),
    ("gateway", 4),
    ("server", 5),
    ("cli", 6),
];

pub(crate) fn check(root: &Path) -> Vec<Breach> {
    FLOORS.iter().flat_map(|(name, floor)| breaches_of(root, name, *floor)).collect()
}

fn breaches_of(root: &Path, name: &str, floor: u8) -> Vec<Breach> {
    let path = root.join(name).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let manifest: toml::Table = text.parse().unwrap_or_default();
    let Some(dependencies) = manifest.get("dependencies").and_then(|d| d.as_table()) else {
        return vec![Breach { place: format!("{name}/Cargo.toml"), rule: "cannot be read".into() }];
    };
    dependencies
        .keys()
        .filter_map(|other| FLOORS.iter().find(|(n, _)| n.rsplit('/').next() == Some(other.as_str())))
        .filter(|(_, other)| *other >= floor && (floor, *other) != (0, 0))
        .map(|(other, above)| Breach {
            place: format!("{name}/Cargo.toml"),
            rule: format!("floor {floor} imports {other} of floor {above}; imports go down only"),
        })
        .collect()
}
