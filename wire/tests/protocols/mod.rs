//! Vendor-written protocol cases: found on this machine, turned into tables at run time.

#![allow(dead_code)] // each of the two test programs uses its own part

pub mod shapes;
pub mod values;
pub mod xml;

use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The suites that this crate's protocols are judged by.
pub const SUITES: &[&str] = &["rest-json", "json", "json_1_0", "query", "json_1_0-query-compatible"];

const NOT_APPLICABLE: &str = include_str!("../not-applicable.txt");

/// Runs `check` on every case of every suite in `direction`; each case either passes or is listed with a reason.
pub fn run(direction: &str, check: impl Fn(&Json, &Json) -> Result<(), String>) {
    let Some(folder) = folder(direction) else {
        println!("skipped: conformance cases are not on this machine (set DAYFLY_CONFORMANCE)");
        return;
    };
    let mut unused = listed(direction);
    let mut failures = Vec::new();
    for suite in SUITES {
        let text =
            std::fs::read(folder.join(format!("{suite}.json"))).expect("a suite that is listed exists");
        let groups: Vec<Json> = serde_json::from_slice(&text).expect("a suite is a list");
        let (mut passed, mut excused) = (0, 0);
        for (group, case) in groups.iter().flat_map(|group| cases(group).map(move |case| (group, case))) {
            let id = shapes::text(&case["id"]);
            match (check(group, case), unused.contains(&(*suite, id))) {
                (Ok(()), false) => passed += 1,
                (Err(_), true) => {
                    excused += 1;
                    unused.remove(&(*suite, id));
                }
                (Err(why), false) => failures.push(format!("{suite} {id}: {why}")),
                (Ok(()), true) => {}
            }
        }
        println!("{direction} {suite}: {passed} pass, {excused} do not apply");
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
    assert!(unused.is_empty(), "not-applicable.txt lists cases that are gone or pass: {unused:?}");
}

fn cases(group: &Json) -> impl Iterator<Item = &Json> {
    group["cases"].as_array().into_iter().flatten()
}

fn folder(direction: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let root = std::env::var_os("DAYFLY_CONFORMANCE").map_or(beside, PathBuf::from);
    Some(root.join("protocols").join(direction)).filter(|folder| folder.is_dir())
}

/// Lines of `direction suite case: reason`.
fn listed(direction: &str) -> BTreeSet<(&'static str, &'static str)> {
    let lines = NOT_APPLICABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entry = |line: &'static str| {
        let (head, reason) = line.split_once(": ").expect("an entry has a reason");
        assert!(!reason.is_empty(), "{line}");
        let mut words = head.split(' ');
        let mut word = || words.next().expect("an entry names direction, suite and case");
        (word(), (word(), word()))
    };
    lines.map(entry).filter(|(way, _)| *way == direction).map(|(_, case)| case).collect()
}
