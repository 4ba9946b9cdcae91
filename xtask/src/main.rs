//! Work on the tree itself: `cargo xtask <verb>`.

mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("tidy") => tidy::run(),
        other => Err(format!("unknown verb {:?}; verbs: tidy", other.unwrap_or(""))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
