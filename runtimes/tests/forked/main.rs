//! Handlers in copies of a template, in real sandboxes: what they do alone, they do there. Its own `main`, since the
//! launcher process must be started before any thread. `cargo test -p runtimes --test forked -- measure` prints how long
//! starts take and what copies hold.
#![allow(clippy::disallowed_methods, reason = "prints how long starts take")]
#![allow(dead_code, reason = "uses a part of what runs handlers")]

#[path = "../handlers/case.rs"]
mod case;
mod measure;
mod nest;
#[path = "../handlers/node.rs"]
mod node;
#[path = "../handlers/run.rs"]
mod run;
mod unique;

use case::complaint;
use nest::{Copies, Nest};
use sandbox::{Launcher, LauncherOptions};
use std::path::{Path, PathBuf};

fn main() {
    if std::env::args().any(|argument| argument == "__launcher") {
        sandbox::run_launcher()
    }
    let options = LauncherOptions { arguments: vec!["__launcher".into()] };
    let launcher = Launcher::start(Path::new("/proc/self/exe"), options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(all(&launcher));
}

/// The system's Node, and those that `DAYFLY_TEST_NODES` names, separated by colons.
fn nodes() -> Vec<PathBuf> {
    let more = std::env::var_os("DAYFLY_TEST_NODES").unwrap_or_default();
    let places = ["/usr/bin/node", "/usr/local/bin/node"].map(PathBuf::from);
    places.into_iter().chain(std::env::split_paths(&more)).filter(|path| path.is_file()).collect()
}

async fn all(launcher: &Launcher) {
    if launcher.protections().level < 2 {
        return println!("skipped: this machine cannot make sandboxes");
    }
    if nodes().is_empty() {
        println!("skipped: no Node here");
    }
    let only = std::env::args().nth(1).unwrap_or_default();
    for path in nodes() {
        println!("{}", path.display());
        let nest = Nest::new(launcher, &path).await;
        if only == "measure" {
            measure::all(&nest).await;
            continue;
        }
        handlers(&nest).await;
        unique::all(&nest).await;
    }
    println!("passed");
}

/// Every case of the spawned bootstrap.
async fn handlers(nest: &Nest<'_>) {
    let copies = Copies::of(nest).await;
    let mut complaints = Vec::new();
    for case in node::CASES {
        let (outcome, _) = run::run(&copies, case).await;
        if let Some(text) = complaint(case, &outcome, nest::TASK, false) {
            let text = format!("=== {}\n{}", case.name, &text[..text.floor_char_boundary(3000)]);
            println!("{text}");
            complaints.push(case.name);
        }
    }
    assert!(complaints.is_empty(), "{} of {}: {complaints:#?}", complaints.len(), node::CASES.len());
    println!("{} handlers do in a copy what they do alone", node::CASES.len());
}
