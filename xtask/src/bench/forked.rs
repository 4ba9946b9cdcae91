//! The floor of a forked start: a loaded interpreter that is forked into fresh namespaces for each event. It has no
//! server, signature, package, limits, filter, record or log, and namespaces are left as they are born.

use super::Setting;
use super::bare::Bare;
use super::packages::Hello;
use std::process::Command;

/// What it is called where its figure is printed.
pub(crate) const NAME: &str = "a bare loaded interpreter forked into fresh namespaces";

/// The process that is forked, for the Python function `hello`. Each [`Bare::call`] is one start.
pub(crate) fn start(setting: &Setting, interpreter: &str, hello: &Hello) -> Result<Bare, String> {
    let mut command = Command::new(interpreter);
    command.arg(setting.sources.join("forked.py")).arg(setting.root.join("runtimes/src/python"));
    Bare::spawn(command, &hello.folder).map_err(|e| format!("{}: {e}", NAME))
}
