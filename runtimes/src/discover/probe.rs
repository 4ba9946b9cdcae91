//! Asks one executable what it is.

use super::places::Candidate;
use super::{is_system, java};
use crate::{Interpreter, bootstraps};
use model::Language;
use sandbox::{Command, Exit, Launcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_OUTPUT_BYTES: usize = 512 * 1024;
const OLDEST_PYTHON: (u16, u16) = (3, 9);
const OLDEST_NODE: u16 = 18;

/// Reads our bootstrap from standard input and says, one a line: version, prefix, library folder, loaded
/// libraries, and the compiled bootstrap (with the header of an unchecked `.pyc`) in hexadecimal digits.
const PYTHON: &str = r#"
import sys, marshal, _frozen_importlib_external as files
code = compile(sys.stdin.buffer.read(), "/var/runtime/bootstrap.py", "exec", dont_inherit=True, optimize=2)
print("name", sys.implementation.name)
print("version", *sys.version_info[:3])
print("prefix", sys.base_prefix)
for folder in {"lib", getattr(sys, "platlibdir", "lib")}:
    print("library", sys.base_prefix + "/" + folder)
for line in open("/proc/self/maps"):
    if ".so" in line:
        print("library", line.split(None, 5)[5].strip())
magic = files.MAGIC_NUMBER
print("tag", sys.implementation.cache_tag + "-" + str(int.from_bytes(magic[:2], "little")))
print("code", (magic + b"\1\0\0\0" + bytes(8) + marshal.dumps(code)).hex())
"#;
const NODE: &str = r#"
console.log('name node\nversion', ...process.versions.node.split('.').map((n) => parseInt(n)));
for (const line of require('fs').readFileSync('/proc/self/maps', 'utf8').split('\n'))
  if (line.includes('.so')) console.log('library', line.slice(line.indexOf('/')));
"#;

/// What asking an executable brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// An interpreter that we serve, and our bootstrap as it compiles it.
    Serves { interpreter: Interpreter, bytecode: Option<Vec<u8>> },
    /// Something else, or an older version.
    Other,
    /// None: it could not be run, which may change.
    Nothing,
}

/// Runs it. Trusted as far as its owner is: only what the operator installed is asked.
pub(super) async fn ask(candidate: &Candidate, launcher: &Launcher) -> Answer {
    let Some(executable) = candidate.path.to_str().map(str::to_owned) else { return Answer::Other };
    let (arguments, stdin) = match candidate.language {
        Language::Python => (vec!["-I", "-S", "-B", "-c", PYTHON], bootstraps::PYTHON.as_bytes().to_vec()),
        Language::Java => (java::QUESTION.to_vec(), Vec::new()),
        _ => (vec!["-e", NODE], Vec::new()),
    };
    let command = Command {
        argv: [executable].into_iter().chain(arguments.into_iter().map(String::from)).collect(),
        env: vec![("LANG".into(), "C.UTF-8".into())],
        timeout: TIMEOUT,
        stdin,
        max_output: MAX_OUTPUT_BYTES,
    };
    match launcher.run(command).await {
        Ok(ran) if ran.status == Exit::Code(0) && candidate.language == Language::Java => {
            let said = String::from_utf8_lossy(&ran.stderr);
            java::read(candidate, &said).unwrap_or(Answer::Other)
        }
        Ok(ran) if ran.status == Exit::Code(0) => {
            let said = String::from_utf8_lossy(&ran.stdout);
            read(candidate, &said).unwrap_or(Answer::Other)
        }
        Ok(ran) => {
            tracing::debug!(path = %candidate.path.display(), status = ?ran.status, "not an interpreter to use");
            Answer::Nothing
        }
        Err(error) => {
            tracing::warn!(path = %candidate.path.display(), %error, "cannot ask this interpreter");
            Answer::Nothing
        }
    }
}

fn read(candidate: &Candidate, said: &str) -> Option<Answer> {
    let lines = || said.lines().filter_map(|line| line.split_once(' '));
    let value = |name: &str| lines().find(|(key, _)| *key == name).map(|(_, value)| value);
    let mut numbers = value("version")?.split(' ').map(str::parse::<u16>);
    let mut number = || numbers.next()?.ok();
    let version = (number()?, number()?, number()?);
    let served = match candidate.language {
        Language::Python => value("name") == Some("cpython") && (version.0, version.1) >= OLDEST_PYTHON,
        _ => version.0 >= OLDEST_NODE,
    };
    if !served {
        return None;
    }
    let tag = value("tag").filter(|tag| tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    let compiled = tag.zip(value("code").and_then(unhex));
    let (bootstrap, bytecode) = match (candidate.language, compiled) {
        (Language::Node, _) => (bootstraps::NODE.to_owned(), None),
        (_, Some((tag, code))) => (format!("bootstrap.{tag}.pyc"), Some(code)),
        (_, None) => ("bootstrap.py".to_owned(), None),
    };
    let libraries = lines().filter(|(key, _)| *key == "library").map(|(_, path)| PathBuf::from(path));
    let prefix = value("prefix").map_or_else(|| grandparent(&candidate.path), PathBuf::from);
    let interpreter = Interpreter {
        language: candidate.language,
        version,
        executable: candidate.path.clone(),
        prefix,
        needs: needs(&candidate.path, libraries),
        bootstrap,
    };
    Some(Answer::Serves { interpreter, bytecode })
}

/// The executable and the libraries that no sandbox has by itself; nothing that lies in another of them.
pub(super) fn needs(executable: &Path, libraries: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let all: BTreeSet<PathBuf> = libraries
        .chain([executable.to_owned()])
        .filter(|path| path.is_absolute())
        .filter_map(|path| path.canonicalize().ok())
        .filter(|path| !is_system(path))
        .collect();
    let inner = |path: &Path| path.ancestors().skip(1).any(|above| all.contains(above));
    all.iter().filter(|path| !inner(path)).cloned().collect()
}

fn grandparent(path: &Path) -> PathBuf {
    path.parent().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
