//! `cargo xtask codegen [--check]`: from pinned service models to `wire/src/generated/`.

mod emit;
mod fetch;
mod model;
mod names;
mod plan;
mod tables;

use plan::Plan;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Anything that stops the generator; the reader is the developer who ran it.
type Failure = Box<dyn std::error::Error>;

const OUTPUT: &str = "wire/src/generated";

/// Writes the generated modules, or with `--check` fails where they differ from what stands in the tree.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err("usage: cargo xtask codegen [--check]".into()),
    };
    generate(check).map_err(|failure| failure.to_string())
}

fn generate(check: bool) -> Result<(), Failure> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let plan = Plan::read(&root.join("xtask/services.toml"))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let wheel = fetch::wheel(&target, &plan.botocore.version, &plan.botocore.sha256)?;
    let mut files = vec![("mod.rs".to_owned(), emit::index(&plan))];
    for (name, service) in &plan.services {
        let text = if service.model.ends_with(".gz") {
            fetch::entry(&wheel, &service.model)?
        } else {
            std::fs::read(root.join(&service.model))?
        };
        let mut model =
            serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", service.model))?;
        service.extend(&mut model).map_err(|error| format!("{name}: {error}"))?;
        let module = emit::module(name, service, &model).map_err(|error| format!("{name}: {error}"))?;
        files.push((format!("{name}.rs"), module));
    }
    let mut stale = Vec::new();
    for (file, text) in files {
        let path = root.join(OUTPUT).join(&file);
        let text = format_source(&root, &text)?;
        if std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        stale.push(file);
        if !check {
            std::fs::create_dir_all(root.join(OUTPUT))?;
            std::fs::write(path, text)?;
        }
    }
    if check && !stale.is_empty() {
        return Err(format!("{OUTPUT} is out of date ({}); run cargo xtask codegen", stale.join(", ")).into());
    }
    println!("{} modules, {} changed", plan.services.len() + 1, stale.len());
    Ok(())
}

fn format_source(root: &Path, text: &str) -> Result<String, Failure> {
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = rustfmt.stdin.take().ok_or("rustfmt has no input")?;
    let text = text.to_owned();
    let feeder = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = rustfmt.wait_with_output()?;
    feeder.join().map_err(|_| "rustfmt stopped reading")??;
    if !output.status.success() {
        return Err("rustfmt refused the generated source".into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
