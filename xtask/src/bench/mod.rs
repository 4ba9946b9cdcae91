//! `cargo xtask bench SUITE…`: every promise of SPECIFICATION.md, measured as a ratio in one run.
//!
//! Peers are measured in turn with the product; medians are compared; how things were pinned to cores and which
//! versions ran is printed. Exits with 1 when a promise is not kept or could not be measured.

mod bare;
mod bystander;
mod density;
mod figure;
mod fleet;
mod forked;
mod http;
mod hyper_peer;
mod install;
mod load;
mod main_rows;
mod packages;
mod peer;
mod platform;
mod processes;
mod progress;
mod relay;
mod report;
mod starts;
mod steady;
mod storm;
mod trace;
mod warm;

use figure::Row;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a run finds and keeps things, and how long it may be.
pub(crate) struct Setting {
    /// The release binary.
    pub(crate) program: PathBuf,
    /// The repository.
    pub(crate) root: PathBuf,
    /// Sources of peers and floors.
    pub(crate) sources: PathBuf,
    /// Scratch, below `target/`.
    pub(crate) folder: PathBuf,
    /// What was installed and built for peers, kept between runs.
    pub(crate) cache: PathBuf,
    /// A short run.
    pub(crate) quick: bool,
    /// One JSON document in place of lines.
    pub(crate) json: bool,
    /// Build peers that take many minutes.
    pub(crate) build_peers: bool,
    /// Time a clean release build too.
    pub(crate) clean_build: bool,
    /// Measure only cases whose name holds this.
    pub(crate) only: Option<String>,
}

impl Setting {
    /// `full`, or `quick` in a short run.
    pub(crate) const fn count(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// The release build of this program.
    pub(crate) fn own(&self) -> PathBuf {
        self.program.with_file_name("xtask")
    }

    /// Whether a case of this name is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.contains(only))
    }
}

/// A group of rows with its own name and pinning.
#[derive(Clone, Copy)]
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) pinning: &'static str,
    run: fn(&Setting) -> Result<Vec<Row>, String>,
}

const WARM_PINNING: &str = "the client on core 0; platform, instances, peers and floors on core 1";
const UNPINNED: &str = "none";

const SUITES: &[Suite] = &[
    Suite {
        name: "main",
        pinning: "warm rows: the client on core 0, platform, instances, peers and floors on core 1; others: none",
        run: main_rows::run,
    },
    Suite { name: "starts", pinning: UNPINNED, run: starts::run },
    Suite { name: "warm", pinning: WARM_PINNING, run: warm::run },
    Suite { name: "density", pinning: UNPINNED, run: density::run },
    Suite { name: "storm", pinning: UNPINNED, run: storm::run },
    Suite { name: "trace", pinning: UNPINNED, run: trace::run },
    Suite { name: "steady", pinning: UNPINNED, run: steady::run },
    Suite { name: "bystander", pinning: UNPINNED, run: bystander::run },
];

const USAGE: &str = "usage: cargo xtask bench main|starts|warm|density|storm|trace|steady|bystander|all … \
                     [--quick] [--json] [--only TEXT] [--build-peers] [--build]";

/// Runs the suites that `arguments` name.
pub fn run(arguments: &[String]) -> Result<(), String> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [hyper_peer::ECHO_VERB] => return hyper_peer::echo(),
        [hyper_peer::VERB, port] => return hyper_peer::serve(port),
        [relay::VERB, port, interpreter, script, folder] => {
            return relay::serve(port, [interpreter, script, folder]);
        }
        [hyper_peer::HOP_VERB, port, ref worker @ ..] => return hyper_peer::serve_behind_hop(port, worker),
        _ => {}
    }
    let (setting, suites) = parse(arguments)?;
    for folder in [&setting.folder, &setting.cache] {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    into_release(&setting, arguments)?;
    let mut measured = Vec::new();
    for suite in suites {
        progress::say(&format!("suite {}", suite.name));
        let rows = (suite.run)(&setting).map_err(|why| format!("suite {}: {why}", suite.name))?;
        measured.push((suite, rows));
    }
    progress::done();
    report::print(&setting, &measured)
}

fn parse(arguments: &[String]) -> Result<(Setting, Vec<Suite>), String> {
    let root = crate::tidy::root();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let mut setting = Setting {
        program: target.join("release/dayfly"),
        sources: root.join("xtask/bench"),
        folder: target.join("bench"),
        cache: target.join("bench/peers"),
        root,
        quick: false,
        json: false,
        build_peers: false,
        clean_build: false,
        only: None,
    };
    let mut suites: Vec<Suite> = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => setting.quick = true,
            "--json" => setting.json = true,
            "--build-peers" => setting.build_peers = true,
            "--build" => setting.clean_build = true,
            "--only" => setting.only = Some(words.next().ok_or(USAGE)?.clone()),
            "all" => suites.extend(SUITES),
            name => suites.push(*SUITES.iter().find(|s| s.name == name).ok_or(USAGE)?),
        }
    }
    if suites.is_empty() { Err(USAGE.into()) } else { Ok((setting, suites)) }
}

/// Builds product and bench for release, and goes on as the release build: a client of the debug build would be
/// part of what it measures.
fn into_release(setting: &Setting, arguments: &[String]) -> Result<(), String> {
    let built = Command::new("cargo")
        .args(["build", "--release", "--package", "cli", "--package", "xtask"])
        .current_dir(&setting.root)
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("the release build failed".into());
    }
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    let own = setting.own();
    let status = Command::new(&own).arg("bench").args(arguments).status();
    let status = status.map_err(|e| format!("{}: {e}", own.display()))?;
    std::process::exit(status.code().unwrap_or(1))
}

/// A command that runs on core 1, away from the client.
pub(crate) fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "1", program]);
    command
}

/// Moves this process (and what it starts from now on) to core 0 while `work` runs.
pub(crate) fn on_core_0<T>(work: impl FnOnce() -> T) -> T {
    let before = taskset(&["-pc"]).unwrap_or_default();
    let _ = taskset(&["-pc", "0"]);
    let done = work();
    if let Some((_, cores)) = before.trim().rsplit_once(": ") {
        let _ = taskset(&["-pc", cores]);
    }
    done
}

/// What `taskset` says when it is asked about this process.
fn taskset(arguments: &[&str]) -> Option<String> {
    let output = Command::new("taskset").args(arguments).arg(std::process::id().to_string()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes `files` (name and text) below `folder`.
pub(crate) fn write_files(folder: &Path, files: &[(&str, &str)]) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}
