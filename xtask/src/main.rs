//! Work on the tree itself: `cargo xtask <verb>`.

mod bench;
mod codegen;
mod secure;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("codegen") => codegen::run(&arguments[1..]),
        Some("tidy") => tidy::run(),
        Some("bench") => bench::run(&arguments[1..]),
        Some("secure") => secure::run(&arguments[1..]),
        other => Err(format!("unknown verb {:?}; verbs: bench, codegen, secure, tidy", other.unwrap_or(""))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
