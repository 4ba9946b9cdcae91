//! WebAssembly components of the world `wasi:http/proxy`.

use super::{Bench, Kind, Recipe, absolute, compiled};
use crate::failure::Failure;
use crate::package::Package;
use crate::pasted;
use crate::tree::{self, Found, Rules};
use model::Language;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What the platform looks for in a package.
const COMPONENT: &str = "bootstrap.wasm";
const TARGET: &str = "wasm32-wasip2";
const MAKE: &str = "wasm-tools component new MODULE -o COMPONENT";

/// A project that is a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Component {
    /// The component alone.
    File(PathBuf),
    /// A directory with one at its top, and whatever stands beside it.
    Directory(PathBuf),
    /// A Cargo project that makes one.
    Cargo(PathBuf),
}

/// Whether a file is meant to be one.
pub fn is_one(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm")
}

/// Recognises the component itself.
pub fn from_file(path: &Path) -> Result<Recipe, Failure> {
    check(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(recipe(format!("{name} is a WebAssembly component"), Component::File(path.to_owned())))
}

/// Recognises a directory with one component at its top.
pub fn recognise(directory: &Path) -> Result<Option<Recipe>, Failure> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Ok(None) };
    let found = entries.flatten().map(|entry| entry.path()).filter(|path| is_one(path) && path.is_file());
    let mut found: Vec<PathBuf> = found.collect();
    found.sort();
    let preferred = found.iter().find(|path| path.ends_with(COMPONENT)).cloned();
    let component = match (preferred, found.as_slice()) {
        (Some(preferred), _) => preferred,
        (None, [only]) => only.clone(),
        (None, []) => return Ok(None),
        (None, [first, ..]) => {
            return Err(Failure::usage(
                format!("{} holds {} WebAssembly files", directory.display(), found.len()),
                format!("one is deployed as a file, or named {COMPONENT}"),
                format!("dayfly deploy {}", pasted::path(first)),
            ));
        }
    };
    check(&component)?;
    let name = component.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Some(recipe(format!("{name} is a WebAssembly component"), Component::Directory(directory.to_owned()))))
}

/// Recognises a project whose owner says that it is one: a Cargo project, or a directory with the file.
pub fn as_asked(directory: &Path) -> Result<Option<Recipe>, Failure> {
    if directory.join("Cargo.toml").is_file() {
        let why = format!("Cargo.toml, built for {TARGET}");
        return Ok(Some(recipe(why, Component::Cargo(directory.to_owned()))));
    }
    recognise(directory)
}

fn recipe(why: String, component: Component) -> Recipe {
    Recipe {
        language: Language::Wasm,
        handler: COMPONENT.into(),
        why,
        accepts: None,
        notes: Vec::new(),
        kind: Kind::Component(component),
    }
}

/// Looks at the first bytes: is it a component at all?
fn check(path: &Path) -> Result<(), Failure> {
    let mut head = [0; 8];
    let mut got = 0;
    let read = std::fs::File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(8).read_to_end(&mut bytes)?;
        got = bytes.len();
        head[..got].copy_from_slice(&bytes);
        Ok(())
    });
    read.map_err(|error| {
        let hint = format!("ls -l {}", pasted::path(path));
        Failure::new(format!("cannot read {}", path.display()), error.to_string(), hint)
    })?;
    let refuse =
        |why: &str, hint: String| Failure::usage(format!("{} cannot be deployed", path.display()), why, hint);
    match &head[..got] {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0] => Ok(()),
        [0, b'a', b's', b'm', ..] => Err(refuse("it is a core module, not a component", MAKE.into())),
        _ => Err(refuse("it is not WebAssembly", format!("file {}", pasted::path(path)))),
    }
}

impl Component {
    pub(super) fn build(&self, bench: &Bench<'_>) -> Result<Package, Failure> {
        let mut package = Package::default();
        let name = COMPONENT.to_owned();
        match self {
            Self::File(path) => package.add([Found { name, path: path.clone() }])?,
            Self::Directory(directory) => {
                package.add(tree::select(directory, Rules { git_ignore: true, own_modules: false })?)?;
            }
            Self::Cargo(directory) => {
                let path =
                    compiled::cargo(&absolute(directory), bench, &["--lib", "--target", TARGET], component)?;
                check(&path)?;
                package.add([Found { name, path }])?;
            }
        }
        Ok(package)
    }
}

/// The path in cargo's message about a finished component.
fn component(message: &str) -> Option<PathBuf> {
    let json: serde_json::Value = serde_json::from_str(message).ok()?;
    let files = json["filenames"].as_array()?;
    files.iter().filter_map(|file| file.as_str()).map(PathBuf::from).find(|path| is_one(path))
}
