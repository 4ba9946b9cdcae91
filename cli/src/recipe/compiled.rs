//! Any compiled language: a program named `bootstrap` that speaks the Runtime API.

use super::{Bench, Kind, Recipe, absolute, read};
use crate::failure::Failure;
use crate::package::Package;
use crate::pasted;
use crate::tool::{self, Tool};
use crate::tree::{self, Found, Rules};
use model::Language;
use std::io::Read as _;
use std::path::{Path, PathBuf};

const BOOTSTRAP: &str = "bootstrap";

/// A compiled project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiled {
    /// A directory with the program and whatever it reads.
    Directory(PathBuf),
    /// The program alone.
    File(PathBuf),
    /// A Cargo project with a binary of that name.
    Cargo(PathBuf),
}

/// Recognises a directory that holds the program, or a Cargo project that makes it.
pub fn recognise(directory: &Path) -> Result<Option<Recipe>, Failure> {
    let program = directory.join(BOOTSTRAP);
    if program.is_file() {
        let kind = check(&program)?;
        let why = format!("bootstrap is {}", kind.words);
        return Ok(Some(recipe(why, kind.note, Compiled::Directory(directory.to_owned()))));
    }
    let Some(manifest) = read(&directory.join("Cargo.toml"))? else { return Ok(None) };
    let manifest: toml::Table = manifest.parse().unwrap_or_default();
    if !makes_bootstrap(&manifest, directory) {
        return Err(Failure::usage(
            format!("{} makes no program named bootstrap", directory.join("Cargo.toml").display()),
            "the Runtime API starts a program of that name",
            format!(
                "printf '\\n[[bin]]\\nname = \"bootstrap\"\\npath = \"src/main.rs\"\\n' >> {}",
                pasted::path(&directory.join("Cargo.toml"))
            ),
        ));
    }
    Ok(Some(recipe(
        "Cargo.toml has a binary named bootstrap".into(),
        None,
        Compiled::Cargo(directory.to_owned()),
    )))
}

/// Recognises the program itself.
pub fn from_file(path: &Path) -> Result<Recipe, Failure> {
    if path.file_name().is_none_or(|name| name != BOOTSTRAP) {
        return Err(Failure::usage(
            format!("{} is a file", path.display()),
            "a file can be deployed if it is a program named bootstrap, a jar or a zip of classes; else name its directory",
            format!(
                "dayfly deploy {}",
                pasted::path(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
            ),
        ));
    }
    let kind = check(path)?;
    Ok(recipe(format!("bootstrap is {}", kind.words), kind.note, Compiled::File(path.to_owned())))
}

fn recipe(why: String, note: Option<String>, compiled: Compiled) -> Recipe {
    Recipe {
        language: Language::Provided,
        handler: BOOTSTRAP.into(),
        why,
        accepts: None,
        notes: note.into_iter().collect(),
        kind: Kind::Compiled(compiled),
    }
}

fn makes_bootstrap(manifest: &toml::Table, directory: &Path) -> bool {
    let named = |table: &toml::Value| table.get("name").and_then(toml::Value::as_str) == Some(BOOTSTRAP);
    let listed =
        manifest.get("bin").and_then(toml::Value::as_array).is_some_and(|bins| bins.iter().any(named));
    let package = manifest.get("package").is_some_and(named) && directory.join("src/main.rs").is_file();
    listed || package || directory.join("src/bin/bootstrap.rs").is_file()
}

struct Program {
    words: String,
    note: Option<String>,
}

/// Looks at the program's first bytes: will the platform be able to run it?
fn check(path: &Path) -> Result<Program, Failure> {
    let mut head = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(4096).read_to_end(&mut head)).map_err(|error| {
        Failure::new(
            format!("cannot read {}", path.display()),
            error.to_string(),
            format!("ls -l {}", pasted::path(path)),
        )
    })?;
    let refuse = |why: String| {
        let hint = format!("file {}", pasted::path(path));
        Failure::usage(format!("{} cannot run on this platform", path.display()), why, hint)
    };
    match inspect(&head) {
        Inspected::Elf { machine, dynamic } if machine == std::env::consts::ARCH => Ok(Program {
            words: format!("an ELF program for {machine}"),
            note: dynamic.then(|| {
                "bootstrap is linked dynamically; it runs only where the same libraries are".to_owned()
            }),
        }),
        Inspected::Elf { machine, .. } => {
            Err(refuse(format!("it is compiled for {machine}, the platform is {}", std::env::consts::ARCH)))
        }
        Inspected::Script => Ok(Program { words: "a script".into(), note: None }),
        Inspected::Foreign(what) => {
            Err(refuse(format!("it is {what}, not an ELF program or a script with #!")))
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Inspected {
    Elf { machine: &'static str, dynamic: bool },
    Script,
    Foreign(&'static str),
}

fn inspect(head: &[u8]) -> Inspected {
    match head {
        [0x7f, b'E', b'L', b'F', 2, 1, ..] if head.len() >= 64 => {
            let machine = match u16::from_le_bytes([head[18], head[19]]) {
                62 => "x86_64",
                183 => "aarch64",
                _ => "another processor",
            };
            Inspected::Elf { machine, dynamic: has_interpreter(head) }
        }
        [0x7f, b'E', b'L', b'F', ..] => Inspected::Elf { machine: "another processor", dynamic: false },
        [b'#', b'!', ..] => Inspected::Script,
        [0xcf, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => Inspected::Foreign("a macOS program"),
        [b'M', b'Z', ..] => Inspected::Foreign("a Windows program"),
        [] => Inspected::Foreign("empty"),
        _ => Inspected::Foreign("something else"),
    }
}

/// Whether a 64-bit little-endian ELF asks for a dynamic loader (`PT_INTERP`).
fn has_interpreter(head: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let word = |at: usize| head.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let half = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let start = word(32).map_or(0, |offset| offset as usize);
    let (size, count) = (half(54), half(56));
    (0..count).any(|index| word(start.saturating_add(index * size)) == Some(PT_INTERP))
}

impl Compiled {
    pub(super) fn build(&self, bench: &Bench<'_>) -> Result<Package, Failure> {
        let mut package = Package::default();
        match self {
            Self::Directory(directory) => {
                package.add(tree::select(directory, Rules { git_ignore: true, own_modules: false })?)?;
                package.add([Found { name: BOOTSTRAP.into(), path: directory.join(BOOTSTRAP) }])?;
            }
            Self::File(path) => package.add([Found { name: BOOTSTRAP.into(), path: path.clone() }])?,
            Self::Cargo(directory) => {
                let path = cargo(&absolute(directory), bench, &["--bin", BOOTSTRAP], executable)?;
                if let Some(note) = check(&path)?.note {
                    bench.screen.warn(note);
                }
                package.add([Found { name: BOOTSTRAP.into(), path }])?;
            }
        }
        package.make_executable(BOOTSTRAP);
        Ok(package)
    }
}

/// Runs `cargo build --release` and finds what it made, wherever the user's settings put it: `made` finds its path in
/// one of cargo's messages.
pub(super) fn cargo(
    directory: &Path,
    bench: &Bench<'_>,
    what: &[&str],
    made: fn(&str) -> Option<PathBuf>,
) -> Result<PathBuf, Failure> {
    let words = what.join(" ");
    let manifest = directory.join("Cargo.toml");
    let manual = format!("cargo build --release {words} --manifest-path {}", pasted::path(&manifest));
    let cargo = tool::find("cargo").ok_or_else(|| {
        Failure::new(
            "the Rust program cannot be built",
            "cargo was not found on this machine",
            "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh",
        )
    })?;
    let phase = bench.screen.phase("build", "cargo build --release");
    let ran = Tool::new(cargo, directory)
        .args(["build", "--release", "--message-format", "json-render-diagnostics"])
        .args(what.iter().copied())
        .run(&phase)?;
    if !ran.success {
        let lines = ran.lines.iter().filter(|line| !line.starts_with('{')).cloned().collect();
        let words = Ran { lines, ..ran };
        bench.screen.note(words.tail().trim_end());
        return Err(Failure::new("the Rust program does not build", words.reason(), manual));
    }
    let program = ran.stdout.iter().rev().find_map(|line| made(line));
    let program = program.ok_or_else(|| {
        Failure::new("the Rust program does not build", "cargo did not say where it put the program", manual)
    })?;
    phase.done("cargo build --release");
    Ok(program)
}

/// The path in cargo's message about a finished `bootstrap`.
fn executable(message: &str) -> Option<PathBuf> {
    let json: serde_json::Value = serde_json::from_str(message).ok()?;
    (json["target"]["name"] == BOOTSTRAP).then(|| json["executable"].as_str().map(PathBuf::from))?
}

use crate::tool::Ran;

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(machine: u16, interpreter: bool) -> Vec<u8> {
        let mut head = vec![0; 64 + 56];
        head[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head[32] = 64;
        head[54] = 56;
        head[56] = 1;
        head[64] = if interpreter { 3 } else { 1 };
        head
    }

    #[test]
    fn what_a_program_is() {
        let check = |bytes: &[u8], expected| assert_eq!(inspect(bytes), expected);
        check(&elf(62, false), Inspected::Elf { machine: "x86_64", dynamic: false });
        check(&elf(62, true), Inspected::Elf { machine: "x86_64", dynamic: true });
        check(&elf(183, false), Inspected::Elf { machine: "aarch64", dynamic: false });
        check(&elf(62, true)[..20], Inspected::Elf { machine: "another processor", dynamic: false });
        check(b"#!/bin/sh\n", Inspected::Script);
        check(b"MZ\x90", Inspected::Foreign("a Windows program"));
        check(b"\xcf\xfa\xed\xfe", Inspected::Foreign("a macOS program"));
        check(b"hello", Inspected::Foreign("something else"));
        check(b"", Inspected::Foreign("empty"));
    }

    #[test]
    fn this_test_is_a_program_of_this_machine() {
        let myself = std::env::current_exe().expect("known");
        assert!(check(&myself).is_ok());
    }
}
