//! `cargo xtask bench main [--build]`: every promise of SPECIFICATION.md, measured as a ratio in one run.
//!
//! Peers are measured in turn with the product, burst by burst; medians are compared; how things were pinned to
//! cores is printed. Exits with 1 when a promise is not kept.

mod bare;
mod figure;
mod http;
mod peer;
mod platform;
mod rows;

use figure::{Bound, Row};
use std::path::PathBuf;
use std::process::Command;

/// Where a run finds and keeps things.
pub(crate) struct Setting {
    /// The release binary.
    pub(crate) program: PathBuf,
    /// Sources of peers and floors.
    pub(crate) sources: PathBuf,
    /// Scratch, below `target/`.
    pub(crate) folder: PathBuf,
}

/// Runs the suite that `arguments` name.
pub fn run(arguments: &[String]) -> Result<(), String> {
    if arguments.first().map(String::as_str) != Some("main") {
        return Err("usage: cargo xtask bench main [--build]".into());
    }
    let root = crate::tidy::root();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let setting = Setting {
        program: target.join("release/dayfly"),
        sources: root.join("xtask/bench"),
        folder: target.join("bench"),
    };
    std::fs::create_dir_all(&setting.folder).map_err(|e| e.to_string())?;
    let built = Command::new("cargo").args(["build", "--release"]).current_dir(&root).status();
    if !built.is_ok_and(|s| s.success()) {
        return Err("the release build failed".into());
    }
    let hellos = rows::hellos(&setting)?;
    set_cores("0");
    let warm = rows::warm(&setting, &hellos);
    set_cores("0-1");
    let mut rows = warm?;
    rows.extend(rows::cold(&setting, &hellos)?);
    rows.extend(rows::server(&setting)?);
    rows.push(rows::commits(&setting, &root)?);
    if arguments.iter().any(|a| a == "--build") {
        rows.push(rows::build(&setting, &root)?);
    }
    report(&rows)
}

fn report(rows: &[Row]) -> Result<(), String> {
    println!("{}", PINNING);
    for row in rows {
        let verdict = if row.holds() { "kept" } else { "NOT KEPT" };
        let bound = match row.bound {
            Bound::AtMost(bound) => format!("at most {bound}"),
            Bound::AtLeast(bound) => format!("at least {bound}"),
        };
        println!("{:8} {:.2} ({bound})  {}\n         {}", verdict, row.figure, row.promise, row.measured);
    }
    println!("{}", serde_json::to_string(rows).map_err(|e| e.to_string())?);
    let broken = rows.iter().filter(|r| !r.holds()).count();
    if broken == 0 { Ok(()) } else { Err(format!("{broken} promises not kept")) }
}

const PINNING: &str = "pinning: warm rows: the client on core 0, platform, instances, peers and floors on core 1; \
                       all other rows: none";

/// A command that runs on core 1, away from the client.
pub(crate) fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "1", program]);
    command
}

/// Moves this process (and what it starts from now on) to `cores`.
fn set_cores(cores: &str) {
    let own = std::process::id().to_string();
    let _ = Command::new("taskset").args(["-pc", cores, &own]).output();
}
