//! Compiles the libraries that interpreters load to become what they are told (`entry/`): no Rust runtime, no C
//! library, a few kilobytes each.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=entry");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for name in ["java", "node", "python"] {
        library(&out, name);
    }
}

fn library(out: &Path, name: &str) {
    let var = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let mut command = Command::new(var("RUSTC"));
    command.args([
        "--edition=2024",
        "--crate-type=cdylib",
        "-Cpanic=abort",
        "-Copt-level=s",
        "-Cstrip=symbols",
    ]);
    command.args(["-Clink-arg=-nostdlib", "-Clink-arg=-nostartfiles", "-Cdefault-linker-libraries=no"]);
    command.args(["--target", &var("TARGET"), "--crate-name", &format!("dayfly_{name}")]);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        command.arg(format!("-Clinker={}", linker.display()));
    }
    command.arg("-o").arg(out.join(format!("{name}.so"))).arg(format!("entry/{name}.rs"));
    let status = command.status().expect("the compiler that runs this can be run");
    assert!(status.success(), "entry/{name}.rs does not compile");
}
