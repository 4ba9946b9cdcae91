//! Compiles our Java bootstrap, where this machine has a `javac`. Without one, Dayfly is built without Java.

use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: &str = "src/java";
/// The oldest Java that is served; its classes run on every newer one.
const RELEASE: &str = "17";
/// Jars of the same sources are the same bytes.
const DATE: &str = "--date=1980-01-01T00:00:02Z";

fn main() {
    println!("cargo::rerun-if-changed={SOURCES}");
    println!("cargo::rerun-if-env-changed=JAVA_HOME");
    println!("cargo::rerun-if-env-changed=PATH");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    if let Err(why) = build(&out) {
        println!("cargo::warning=built without Java: {why}");
        for file in ["bootstrap.jar", "rehearsal.jar", "Greeting.class"] {
            std::fs::write(out.join(file), []).expect("OUT_DIR can be written");
        }
    }
}

fn build(out: &Path) -> Result<(), String> {
    let (bootstrap, rehearsal) = (out.join("bootstrap"), out.join("rehearsal"));
    compile(&["api", "bootstrap"], None, &bootstrap)?;
    compile(&["rehearsal"], Some(&bootstrap), &rehearsal)?;
    jar(&out.join("bootstrap.jar"), &bootstrap)?;
    jar(&out.join("rehearsal.jar"), &rehearsal)?;
    let class = rehearsal.join("dayfly/rehearsal/Greeting.class");
    std::fs::copy(class, out.join("Greeting.class")).map(|_| ()).map_err(|error| error.to_string())
}

/// String concatenation in the old way: the new one starts a compiler of its own at run time.
fn compile(folders: &[&str], path: Option<&Path>, out: &Path) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(out);
    let mut command = Command::new(tool("javac"));
    command.args([
        "--release",
        RELEASE,
        "-XDstringConcat=inline",
        "-nowarn",
        "-g:source,lines",
        "-encoding",
        "UTF-8",
        "-d",
    ]);
    command.arg(out).args(path.iter().flat_map(|path| [Path::new("-cp"), path]));
    for folder in folders {
        command.args(sources(&Path::new(SOURCES).join(folder)));
    }
    run(command)
}

/// Stored, not compressed, since the JVM then maps it as it is.
fn jar(jar: &Path, classes: &Path) -> Result<(), String> {
    let mut command = Command::new(tool("jar"));
    command.args(["--create", "--no-compress", "--no-manifest", DATE, "--file"]).arg(jar);
    command.arg("-C").arg(classes).arg(".");
    run(command)
}

fn tool(name: &str) -> PathBuf {
    let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin").join(name));
    home.filter(|tool| tool.is_file()).unwrap_or_else(|| name.into())
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "java") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn run(mut command: Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ran =
        command.output().map_err(|error| format!("{name}: {error} (install a JDK: default-jdk-headless)"))?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr).lines().take(5).collect::<Vec<_>>().join(" | ");
    Err(format!("{name} failed: {said}"))
}
