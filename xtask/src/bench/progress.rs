//! Long work says how far it is, on standard error.

use std::io::{IsTerminal, Write};

/// A line that says what is being done; on a terminal it is overwritten by the next.
pub(crate) fn say(what: &str) {
    let mut out = std::io::stderr().lock();
    let _ = if std::io::stderr().is_terminal() {
        write!(out, "\r\x1b[Kbench: {what}")
    } else {
        writeln!(out, "bench: {what}")
    };
    let _ = out.flush();
}

/// Ends an overwritten line.
pub(crate) fn done() {
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
}

/// Says `what` at every tenth of `total`, where that is worth it.
pub(crate) fn part(what: &str, done: usize, total: usize) {
    let step = (total / 10).max(10);
    if done.is_multiple_of(step) && done > 0 {
        say(&format!("{what}: {done} of {total}"));
    }
}
