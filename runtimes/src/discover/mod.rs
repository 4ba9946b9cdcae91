//! Finds interpreters: where people install them, what each one is, and what it needs to run.

mod java;
mod known;
mod places;
mod probe;

pub(crate) use places::Places;

use crate::{Interpreter, bootstraps};
use futures_util::future::join_all;
use known::Known;
use model::Language;
use probe::Answer;
use sandbox::Launcher;
use std::path::Path;
use store::DataDir;

/// Most interpreters that are asked at once.
const AT_ONCE: usize = 8;

/// All interpreters that answer, newest first within a language; of one version, the system's own first.
pub(crate) async fn discover(
    places: &Places,
    launcher: &Launcher,
    data: &DataDir,
) -> std::io::Result<Vec<Interpreter>> {
    let mut known = Known::read(data)?;
    let mut candidates = places.candidates();
    candidates.retain(|candidate| candidate.language != Language::Java || bootstraps::has_java());
    let new: Vec<_> = candidates.iter().filter(|candidate| known.get(candidate).is_none()).collect();
    for group in new.chunks(AT_ONCE) {
        let answers = join_all(group.iter().map(|candidate| probe::ask(candidate, launcher))).await;
        for (candidate, answer) in group.iter().zip(answers) {
            let interpreter = match answer {
                Answer::Nothing => continue,
                Answer::Other => None,
                Answer::Serves { interpreter, bytecode } => {
                    if let Some(bytes) = bytecode {
                        bootstraps::write(data, &interpreter.bootstrap, &bytes)?;
                    }
                    Some(interpreter)
                }
            };
            known.learn(candidate, interpreter);
        }
    }
    known.keep(&candidates);
    if !new.is_empty() {
        known.write(data)?;
    }
    let mut found: Vec<Interpreter> = candidates.iter().filter_map(|c| known.get(c)?.clone()).collect();
    found.sort_by_key(|it| (it.language, std::cmp::Reverse(it.version), !is_system(&it.executable)));
    Ok(found)
}

/// Whether a path is part of every sandbox's root image.
fn is_system(path: &Path) -> bool {
    ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32"].iter().any(|root| path.starts_with(root))
}

#[cfg(test)]
mod tests;
