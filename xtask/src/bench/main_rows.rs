//! `bench main`: the promises of the main job.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use super::figure::{Bound, Row};
use super::platform::Platform;
use super::{Setting, starts, warm};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Measures all of them; the clean build only where it is asked for, since it takes minutes.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let mut rows = warm::main_rows(setting)?;
    rows.extend(starts::cold(setting)?);
    rows.extend(server(setting)?);
    rows.push(commits(setting, &setting.root)?);
    if setting.clean_build {
        rows.push(build(setting, &setting.root)?);
    }
    Ok(rows)
}

/// What an idle server holds, and what the binary weighs.
fn server(setting: &Setting) -> Result<Vec<Row>, String> {
    let platform = Platform::start(Command::new(&setting.program), &setting.folder.join("data-idle"), &[])?;
    std::thread::sleep(Duration::from_secs(2));
    let resident = platform.resident_mb()?;
    let bytes = std::fs::metadata(&setting.program).map_err(|e| e.to_string())?.len();
    #[allow(clippy::cast_precision_loss)]
    let binary = bytes as f64 / 1e6;
    Ok(vec![
        Row::new(
            "resident memory of the idle server and its launcher, MiB",
            Bound::AtMost(40.0),
            resident,
            format!("{resident:.1} MiB"),
        ),
        Row::new("stripped release binary, MB", Bound::AtMost(30.0), binary, format!("{bytes} bytes")),
    ])
}

/// Durable commits a second of 64 writers against one.
fn commits(setting: &Setting, root: &Path) -> Result<Row, String> {
    let data = setting.folder.join("data-commits");
    let output = Command::new("cargo")
        .args(["run", "--quiet", "--release", "--package", "store", "--example", "group_commit", "--"])
        .arg(&data)
        .current_dir(root)
        .output()
        .map_err(|e| format!("cargo: {e}"))?;
    let _ = std::fs::remove_dir_all(&data);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("group_commit: {e}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let (one, many) = (
        said["one_writer_per_s"].as_f64().unwrap_or(0.0),
        said["many_writers_per_s"].as_f64().unwrap_or(0.0),
    );
    Ok(Row::new(
        "durable commits a second: 64 writers against one",
        Bound::AtLeast(15.0),
        many / one,
        format!("{many:.0} against {one:.0}"),
    ))
}

/// A clean release build; only with `--build`, since it takes minutes.
fn build(setting: &Setting, root: &Path) -> Result<Row, String> {
    let target = setting.folder.join("clean-build");
    let _ = std::fs::remove_dir_all(&target);
    let began = Instant::now();
    let status = Command::new("cargo")
        .args(["build", "--release", "--quiet"])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(root)
        .status()
        .map_err(|e| format!("cargo: {e}"))?;
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let _ = std::fs::remove_dir_all(&target);
    if !status.success() {
        return Err("the release build failed".into());
    }
    Ok(Row::new("clean release build, minutes", Bound::AtMost(8.0), minutes, format!("{minutes:.1} min")))
}
