//! What a run prints: how it was pinned, what it ran against, and a line per row.

use super::figure::{Row, Verdict, ratio};
use super::{Setting, Suite};
use std::process::Command;

/// Tools whose versions are part of a result, and how each is asked.
const TOOLS: &[(&str, &str)] =
    &[("java", "-version"), ("go", "version"), ("rustc", "--version"), ("uname", "-rm")];

/// Prints the rows of all suites and says how many promises were not kept.
pub(crate) fn print(setting: &Setting, suites: &[(Suite, Vec<Row>)]) -> Result<(), String> {
    let rows: Vec<(Suite, &Row)> =
        suites.iter().flat_map(|(suite, rows)| rows.iter().map(|row| (*suite, row))).collect();
    let versions = versions(setting);
    if setting.json {
        let document = serde_json::json!({
            "quick": setting.quick,
            "pinning": suites.iter().map(|(s, _)| (s.name, s.pinning)).collect::<std::collections::BTreeMap<_, _>>(),
            "versions": versions,
            "rows": rows.iter().map(|(suite, row)| entry(*suite, row)).collect::<Vec<_>>(),
        });
        println!("{document}");
    } else {
        for (suite, _) in suites {
            println!("pinning, {}: {}", suite.name, suite.pinning);
        }
        for (name, version) in &versions {
            println!("version, {name}: {version}");
        }
        for (suite, row) in &rows {
            line(*suite, row);
        }
    }
    let broken = rows.iter().filter(|(_, row)| row.verdict() == Verdict::NotKept).count();
    let open = rows
        .iter()
        .filter(|(_, row)| matches!(row.verdict(), Verdict::NotMeasured | Verdict::NotJudged))
        .count();
    match (broken, open) {
        (0, 0) => Ok(()),
        _ => Err(format!("{broken} promises not kept, {open} not measured, of {}", rows.len())),
    }
}

fn line(suite: Suite, row: &Row) {
    let words = match row.verdict() {
        Verdict::Stretched => "kept, stretch reached",
        Verdict::Kept => "kept",
        Verdict::NotKept => "NOT KEPT",
        Verdict::NotJudged => "not judged",
        Verdict::NotMeasured => "not measured",
    };
    let figure = row.figure.map_or_else(|| "-".to_owned(), ratio);
    let stretch = row.stretch.map(|s| format!(", stretch {}", ratio(s))).unwrap_or_default();
    println!("{words}: {}: {}: {figure} ({}{stretch})", suite.name, row.promise, row.bound.text());
    println!("    {}", row.measured);
    if let Some(failure) = &row.failure {
        println!("    failed: {failure}");
    }
    if let Some(doubt) = &row.doubt {
        println!("    not what was promised: {doubt}");
    }
}

fn entry(suite: Suite, row: &Row) -> serde_json::Value {
    let mut entry = serde_json::to_value(row).unwrap_or_default();
    entry["suite"] = suite.name.into();
    entry["verdict"] = serde_json::to_value(row.verdict()).unwrap_or_default();
    entry
}

fn versions(setting: &Setting) -> Vec<(String, String)> {
    let mut versions: Vec<(String, String)> =
        TOOLS.iter().filter_map(|(tool, flag)| Some(((*tool).to_owned(), first_line(tool, flag)?))).collect();
    versions.extend(interpreters(setting));
    if let Some(version) = first_line(&setting.program.to_string_lossy(), "--version") {
        versions.push(("dayfly".to_owned(), version));
    }
    versions.extend(setting.installed());
    versions
}

/// The interpreters that platform and floors run, as `dayfly doctor` finds them; of each language the first is used.
fn interpreters(setting: &Setting) -> Option<(String, String)> {
    let output = Command::new(&setting.program).args(["doctor", "--json"]).output().ok()?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let check = said["checks"].as_array()?.iter().find(|check| check["name"] == "interpreters")?;
    Some(("interpreters".to_owned(), check["found"].as_str()?.to_owned()))
}

fn first_line(tool: &str, flag: &str) -> Option<String> {
    let output = Command::new(tool).arg(flag).output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let text = String::from_utf8_lossy(&text);
    text.lines().next().map(|line| line.trim().to_owned())
}
