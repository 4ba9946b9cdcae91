//! `dayfly`: the platform, and the tool of the people who use it.

mod advice;
mod api;
mod bar;
mod client;
mod commands;
mod context;
mod endpoint;
mod failure;
mod figure;
mod home;
mod imports;
mod layer;
mod likeness;
mod package;
mod pasted;
mod range;
mod recipe;
mod screen;
mod settings;
mod source;
mod table;
mod tool;
mod tree;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use commands::Dayfly;
use failure::{Exit, Failure};
use screen::Screen;
use std::process::ExitCode;

/// The hidden subcommand as which the platform starts itself once more, to make sandboxes.
const LAUNCHER: &str = "__launcher";

fn main() -> ExitCode {
    // Before everything else: the launcher has one thread and reads nothing but its socket.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == LAUNCHER) {
        sandbox::run_launcher();
    }
    if let Some(exit) = inside() {
        return exit;
    }
    let exit = match Dayfly::try_parse() {
        Ok(dayfly) => {
            let screen = Screen::new(dayfly.global.json);
            let flags = dayfly.global.flags();
            dayfly.run(screen).unwrap_or_else(|failure| {
                let exit = failure.exit;
                screen.failure(&Failure { hint: flags.onto(&failure.hint), ..failure });
                exit
            })
        }
        Err(error) => misread(&error),
    };
    ExitCode::from(exit as u8)
}

/// Where this program is that of a sandbox: it compiles or runs a WebAssembly component.
fn inside() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next()?.as_str() {
        wasm::COMPILE => Some(wasm::run_compiler(&arguments.collect::<Vec<_>>())),
        wasm::WORKER => Some(wasm::run_worker(&arguments.collect::<Vec<_>>())),
        _ => None,
    }
}

/// Help and version are answers; everything else that clap says is a failure in three lines.
fn misread(error: &clap::Error) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            Exit::Done
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Exit::Usage
        }
        _ => {
            let words: Vec<String> = std::env::args().skip(1).collect();
            let known = Dayfly::command();
            let command = words.iter().find(|word| known.find_subcommand(word).is_some());
            let failure = Failure::from_clap(error, command.map(String::as_str));
            Screen::new(words.iter().any(|word| word == "--json")).failure(&failure);
            Exit::Usage
        }
    }
}
