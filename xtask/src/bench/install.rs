//! What the rows need from the registries and compilers: installed once, kept below `target/bench/peers`.

use super::{Setting, progress, write_files};
use std::path::{Path, PathBuf};
use std::process::Command;

const BOTO3: &str = "boto3";
const AWS_SDK: &str = "@aws-sdk/client-s3@3";
const ESBUILD: &str = "esbuild@0.28";
/// The version that the product is built with.
const WASMTIME: &str = "=48.0.8";
/// What `wasmtime serve` needs.
const WASMTIME_FEATURES: &str =
    "serve,run,cranelift,component-model,component-model-async,pooling-allocator,parallel-compilation";
const WASM_TARGET: &str = "wasm32-wasip2";

impl Setting {
    /// Versions of what is installed, for the report.
    pub(crate) fn installed(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let packages = std::fs::read_dir(self.cache.join("boto3")).into_iter().flatten().flatten();
        for entry in packages {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some((name, version)) = name.strip_suffix(".dist-info").and_then(|n| n.split_once('-')) {
                found.push((name.to_owned(), version.to_owned()));
            }
        }
        for name in ["@aws-sdk/client-s3", "esbuild"] {
            let manifest = self.cache.join("node/node_modules").join(name).join("package.json");
            let text = std::fs::read_to_string(manifest).unwrap_or_default();
            let manifest: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some(version) = manifest["version"].as_str() {
                found.push((name.to_owned(), version.to_owned()));
            }
        }
        let wasmtime = Command::new(self.wasmtime_path()).arg("--version").output();
        if let Ok(output) = wasmtime {
            found.push(("wasmtime".to_owned(), String::from_utf8_lossy(&output.stdout).trim().to_owned()));
        }
        found.sort();
        found
    }

    /// boto3 and what it needs, for `interpreter`, in a folder of their own.
    pub(crate) fn boto3(&self, interpreter: &str) -> Result<PathBuf, String> {
        let target = self.cache.join("boto3");
        if !target.join(BOTO3).is_dir() {
            progress::say("installing boto3 from PyPI");
            let mut pip = Command::new(interpreter);
            pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&target).arg(BOTO3);
            if run(pip).is_err() {
                // An interpreter without pip: any other one installs what is pure Python just as well.
                let mut pip = Command::new("python3");
                pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&target).arg(BOTO3);
                run(pip)?;
            }
        }
        Ok(target)
    }

    /// One file of JavaScript: `source` with the AWS SDK bundled by esbuild.
    pub(crate) fn aws_sdk_bundle(&self, source: &str) -> Result<PathBuf, String> {
        let folder = self.cache.join("node");
        write_files(&folder, &[("package.json", "{\"private\":true}\n"), ("handler.js", source)])?;
        if !folder.join("node_modules/esbuild").is_dir() || !folder.join("node_modules/@aws-sdk").is_dir() {
            progress::say("installing the AWS SDK and esbuild from npm");
            let mut npm = Command::new("npm");
            npm.args(["install", "--silent", "--no-audit", "--no-fund", AWS_SDK, ESBUILD]);
            npm.current_dir(&folder);
            run(npm)?;
        }
        let mut esbuild = Command::new(folder.join("node_modules/.bin/esbuild"));
        esbuild.args(["handler.js", "--bundle", "--platform=node", "--target=node18", "--minify"]);
        esbuild.args(["--outfile=bundle.js", "--log-level=error"]).current_dir(&folder);
        run(esbuild)?;
        Ok(folder.join("bundle.js"))
    }

    /// The Runtime API program of `xtask/bench/bootstrap.rs`, optimised.
    pub(crate) fn rust_bootstrap(&self) -> Result<PathBuf, String> {
        let folder = self.cache.join("rust");
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let mut rustc = Command::new("rustc");
        rustc.args([
            "--edition",
            "2024",
            "-C",
            "opt-level=3",
            "-C",
            "strip=symbols",
            "-C",
            "panic=abort",
            "-o",
        ]);
        rustc.arg(folder.join("bootstrap")).arg(self.sources.join("bootstrap.rs"));
        run(rustc)?;
        Ok(folder)
    }

    /// The wasi:http component of `xtask/bench/wasm_hello`.
    pub(crate) fn wasm_hello(&self) -> Result<PathBuf, String> {
        let built = self.cache.join("wasm");
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--release", "--target", WASM_TARGET, "--target-dir"]);
        cargo.arg(&built).current_dir(self.sources.join("wasm_hello"));
        run(cargo)
            .map_err(|e| format!("the component does not build ({e}); rustup target add {WASM_TARGET}"))?;
        Ok(built.join(WASM_TARGET).join("release/wasm_hello.wasm"))
    }

    /// The classes of `xtask/bench/java`: handler and server.
    pub(crate) fn java_classes(&self) -> Result<PathBuf, String> {
        let folder = self.cache.join("java");
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let mut javac = Command::new("javac");
        javac.args(["--release", "17", "-d"]).arg(&folder);
        javac.args(["Hello.java", "Server.java"].map(|file| self.sources.join("java").join(file)));
        run(javac)?;
        Ok(folder)
    }

    /// The `wasmtime` command; built only where `--build-peers` asks for it, since that takes many minutes.
    pub(crate) fn wasmtime(&self) -> Result<PathBuf, String> {
        let program = self.wasmtime_path();
        if program.is_file() {
            return Ok(program);
        }
        if !self.build_peers {
            return Err(
                "peer not installed: wasmtime; run again with --build-peers (10 minutes or more)".into()
            );
        }
        progress::say("building wasmtime-cli from the Rust registry, which takes many minutes");
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "wasmtime-cli", "--version", WASMTIME, "--locked", "--no-default-features"]);
        cargo.args(["--features", WASMTIME_FEATURES]);
        cargo
            .arg("--root")
            .arg(self.cache.join("wasmtime"))
            .env("CARGO_TARGET_DIR", self.cache.join("build"));
        run(cargo)?;
        let _ = std::fs::remove_dir_all(self.cache.join("build"));
        Ok(program)
    }

    fn wasmtime_path(&self) -> PathBuf {
        self.cache.join("wasmtime/bin/wasmtime")
    }
}

/// Runs a tool to its end; an error holds the last line that it said.
pub(crate) fn run(mut command: Command) -> Result<(), String> {
    let name =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(format!("{name} failed: {}", last.trim()))
}
