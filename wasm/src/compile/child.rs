//! The life of the child that compiles, in a sandbox without network: it reads the package, says one thing, and ends.

use super::PACKAGE;
use super::answer::Answer;
use crate::{component, engine, guest};
use std::path::Path;
use std::process::ExitCode;
use wasmtime::component::Component;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// The entry of the hidden subcommand [`super::COMPILE`]. One argument: the package, which without a root of one's own is not
/// where it usually is.
pub fn run_compiler(arguments: &[String]) -> ExitCode {
    let package = arguments.first().map_or(PACKAGE, String::as_str);
    let answer = match compile(Path::new(package)) {
        Ok(code) => Answer::Code(code),
        Err(answer) => answer,
    };
    match inmate::control().and_then(|control| answer.write(control)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasm compiler: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compile(package: &Path) -> Result<Vec<u8>, Answer> {
    let ours = |error: wasmtime::Error| Answer::Failed(format!("{error:#}"));
    let path = component::find(package).map_err(Answer::Unfit)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let unfit = |why: String| Answer::Unfit(format!("{name} cannot be served: {why}"));
    let bytes = std::fs::read(&path).map_err(|error| unfit(format!("it cannot be read: {error}")))?;
    component::check_head(&bytes).map_err(unfit)?;
    let engine = engine::compiling().map_err(ours)?;
    let component = Component::from_binary(&engine, &bytes).map_err(|error| unfit(format!("{error:#}")))?;
    component::check_exports(&engine, &component).map_err(unfit)?;
    let linker = guest::linker(&engine).map_err(ours)?;
    let linked = linker.instantiate_pre(&component).and_then(ProxyPre::new);
    linked.map_err(|error| unfit(format!("{error:#}")))?;
    component.serialize().map_err(ours)
}
