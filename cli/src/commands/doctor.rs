//! `dayfly doctor`: what this machine offers, what is missing, how to fix it. Works with and without a platform.

mod machine;
mod posture;
mod report;

use crate::api::platform::{self, Status};
use crate::client::{CallError, Client};
use crate::commands::block_on;
use crate::context::Context;
use crate::endpoint::{DEFAULT, Endpoint};
use crate::failure::{Exit, Failure};
use model::Language;
use report::{Check, Report, State};
use runtimes::Runtimes;
use sandbox::{Launcher, LauncherOptions};
use std::net::TcpListener;
use std::path::Path;
use store::DataDir;

/// Looks at this machine, and at the running platform if there is one.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it. Exit code 1 says that something is missing without which functions cannot run.
pub fn run(_args: Args, context: &Context) -> Result<Exit, Failure> {
    let target = context.target();
    let endpoint = match &target {
        Ok(target) => target.endpoint.clone(),
        Err(_) => Endpoint::parse(context.endpoint.as_deref().unwrap_or(DEFAULT))?,
    };
    let listens = endpoint.listens();
    let mut report = Report::default();
    // The launcher must start before there is a second thread, so it comes first.
    let options = LauncherOptions { arguments: vec!["__launcher".into()] };
    let launcher = Launcher::start(Path::new("/proc/self/exe"), options);
    match target {
        Ok(target) if listens => {
            let client = Client::new(target, context.world.clone());
            match block_on(async { platform::status(&client).await.map_err(CallError::into) }) {
                Ok(status) if status.protections.level == MINIMAL => {
                    running(&mut report, &status);
                    report.add(Check::new("starts", State::Weak, AT_LEVEL_1.into()));
                }
                Ok(status) => {
                    running(&mut report, &status);
                    try_forks(&mut report, launcher, context);
                }
                Err(failure) => report.add(failed("platform", &failure)),
            }
        }
        target => {
            report.add(match target {
                Err(failure) if listens => Check::new("platform", State::Weak, failure.why).fix(failure.hint),
                _ => Check::new("platform", State::Weak, "none runs here".into()).fix("dayfly up".into()),
            });
            alone(&mut report, launcher, context);
        }
    }
    report.add(port(&endpoint, listens));
    machine::add_checks(&mut report, context);
    posture::add_checks(&mut report);
    report.mean(&context.flags);
    report.show(context);
    Ok(if report.is_able() { Exit::Done } else { Exit::Failed })
}

fn failed(name: &'static str, failure: &Failure) -> Check {
    Check::new(name, State::Missing, format!("{}: {}", failure.what, failure.why)).fix(failure.hint.clone())
}

fn running(report: &mut Report, status: &Status) {
    let words =
        format!("{} runs at {}, {} instances", status.version, status.endpoint, status.instances.len());
    report.add(Check::new("platform", State::Good, words));
    for layer in &status.protections.layers {
        report.add(protection(
            &layer.name,
            layer.on,
            layer.why_missing.as_deref(),
            layer.how_to_fix.as_deref(),
        ));
    }
    report.level(status.protections.level);
    let found = status.runtimes.iter().map(|interpreter| {
        (format!("{} {}", interpreter.language, interpreter.version), interpreter.executable.clone())
    });
    report.add(interpreters(found.collect()));
}

/// Without a platform: probes as the platform would at its start.
fn alone(report: &mut Report, launcher: Result<Launcher, sandbox::SandboxError>, context: &Context) {
    let launcher = match launcher {
        Ok(launcher) => launcher,
        Err(error) => {
            return report
                .add(Check::new("sandbox", State::Missing, error.to_string()).fix("uname -a; id".into()));
        }
    };
    let protections = launcher.protections();
    for layer in &protections.layers {
        report.add(protection(
            &layer.name,
            layer.on,
            layer.why_missing.as_deref(),
            layer.how_to_fix.as_deref(),
        ));
    }
    report.level(protections.level);
    match explore(&launcher, context) {
        Ok(found) => {
            report.add(interpreters(found.interpreters));
            found.forks.iter().for_each(|(name, forks)| report.add(way(name, forks)));
        }
        Err(failure) => report.add(failed("interpreters", &failure)),
    }
}

/// The level of a platform that does without namespaces, and how instances start there.
const MINIMAL: u8 = 1;
const AT_LEVEL_1: &str = "at level 1 nothing is forked: each instance is a process of its own";

fn try_forks(report: &mut Report, launcher: Result<Launcher, sandbox::SandboxError>, context: &Context) {
    if let Ok(Ok(found)) = launcher.map(|launcher| explore(&launcher, context)) {
        found.forks.iter().for_each(|(name, forks)| report.add(way(name, forks)));
    }
}

/// What was found by trying.
struct Found {
    /// Name and executable.
    interpreters: Vec<(String, String)>,
    /// Each Node, and why it cannot be forked where it cannot.
    forks: Vec<(String, Result<(), String>)>,
}

fn explore(launcher: &Launcher, context: &Context) -> Result<Found, Failure> {
    let scratch = std::env::temp_dir().join(format!("dayfly-doctor-{}", context.world.hex(8)));
    let found = block_on(async { discover(launcher, &scratch).await });
    let _ = std::fs::remove_dir_all(&scratch);
    found
}

async fn discover(launcher: &Launcher, scratch: &Path) -> Result<Found, Failure> {
    let unusable = |why: String| Failure::new("no interpreter could be looked for", why, "df -h /tmp");
    let data = DataDir::open(scratch).map_err(|error| unusable(error.to_string()))?;
    let runtimes = Runtimes::discover(launcher, &data).await.map_err(|error| unusable(error.to_string()))?;
    let name = |found: &runtimes::Interpreter| {
        let (major, minor, patch) = found.version;
        let language = format!("{:?}", found.language).to_lowercase();
        (format!("{language} {major}.{minor}.{patch}"), found.executable.display().to_string())
    };
    let mut forks = Vec::new();
    for node in runtimes.found().iter().filter(|found| found.language == Language::Node) {
        forks.push((name(node).0, runtimes.try_fork(launcher, node).await));
    }
    Ok(Found { interpreters: runtimes.found().iter().map(name).collect(), forks })
}

/// How instances of a Node start.
fn way(name: &str, forks: &Result<(), String>) -> Check {
    match forks {
        Ok(()) => Check::new("starts", State::Good, format!("{name} is forked")),
        Err(why) => {
            let words =
                format!("{name} waits: processes are started ahead, since it cannot be forked: {why}");
            Check::new("starts", State::Weak, words)
        }
    }
}

fn protection(name: &str, on: bool, why: Option<&str>, fix: Option<&str>) -> Check {
    let state = if on { State::Good } else { State::Weak };
    let check = Check::new(
        "sandbox",
        state,
        match why {
            Some(why) if !on => format!("{name}: {why}"),
            _ => name.to_owned(),
        },
    );
    match fix {
        Some(fix) if !on => check.fix(fix.to_owned()),
        _ => check,
    }
}

/// Said where this program was built without a `javac`.
const NO_JAVA: &str = "no Java: this dayfly was built where no javac 17 or newer is (default-jdk-headless)";

fn interpreters(found: Vec<(String, String)>) -> Check {
    let names: Vec<String> = found.iter().map(|(name, path)| format!("{name} ({path})")).collect();
    let has = |language: &str| found.iter().any(|(name, _)| name.to_lowercase().starts_with(language));
    let missing: Vec<&str> = [("python", "python3"), ("node", "nodejs")]
        .iter()
        .filter(|(language, _)| !has(language))
        .map(|(_, package)| *package)
        .collect();
    let state = if missing.is_empty() { State::Good } else { State::Weak };
    let words = if names.is_empty() { "none; compiled programs run".to_owned() } else { names.join(", ") };
    let words = if Runtimes::has_java() { words } else { format!("{words}; {NO_JAVA}") };
    let check = Check::new("interpreters", state, words);
    if missing.is_empty() {
        check
    } else {
        check.fix(format!("sudo apt-get install -y {}, then restart dayfly", missing.join(" ")))
    }
}

fn port(endpoint: &Endpoint, listens: bool) -> Check {
    let words = |text: &str| format!("{} {text}", endpoint.authority());
    if listens {
        return Check::new("port", State::Good, words("answers"));
    }
    if !endpoint.is_here() {
        return Check::new("port", State::Missing, words("does not answer"))
            .fix(format!("ping {}", endpoint.host));
    }
    match TcpListener::bind((endpoint.host.as_str(), endpoint.port)) {
        Ok(_) => Check::new("port", State::Good, words("is free")),
        Err(error) => Check::new("port", State::Missing, words(&error.to_string()))
            .fix("dayfly up --listen 127.0.0.1:0".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_forked_or_waits() {
        let cases = [(Ok(()), "is forked", "Good"), (Err("no addon".to_owned()), "waits: ", "Weak")];
        for (forks, words, state) in cases {
            let check = format!("{:?}", way("node 20.1.2", &forks));
            assert!(check.contains(&format!("node 20.1.2 {words}")) && check.contains(state), "{check}");
            assert_eq!(check.contains("no addon"), forks.is_err());
        }
    }
}
