//! What a project is, and how it becomes a package.

pub mod compiled;
pub mod component;
pub mod java;
pub mod node;
pub mod python;
pub mod requirements;

use crate::failure::Failure;
use crate::layer::Layers;
use crate::package::Package;
use crate::pasted;
use crate::range::Range;
use crate::screen::Screen;
use model::{Language, Runtime};
use std::path::{Path, PathBuf};

/// What the user said about the kind of project.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// `python`, `python3.12`, …
    pub runtime: Option<RuntimeWish>,
    /// Such as `app.handler`.
    pub handler: Option<String>,
}

/// A runtime as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeWish {
    /// The language; the platform's newest version of it that fits.
    Language(Language),
    /// This one.
    Exact(Runtime),
}

/// A recognised project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The language it is written in.
    pub language: Language,
    /// What the runtime shall call.
    pub handler: String,
    /// How it was recognised, for the user.
    pub why: String,
    /// The versions of the language that the project accepts, and where it says so.
    pub accepts: Option<(Range, &'static str)>,
    /// What the user should know besides.
    pub notes: Vec<String>,
    /// How it is built.
    pub kind: Kind,
}

/// The ways to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Python source and its requirements.
    Python(python::Python),
    /// JavaScript and its modules.
    Node(node::Node),
    /// Classes.
    Java(java::Java),
    /// A program named `bootstrap`.
    Compiled(compiled::Compiled),
    /// A WebAssembly component.
    Component(component::Component),
}

/// What building needs besides the project.
pub struct Bench<'a> {
    /// Kept dependencies.
    pub layers: &'a Layers,
    /// For progress.
    pub screen: &'a Screen,
    /// The runtime that the package is for.
    pub runtime: &'a Runtime,
    /// The platform's own interpreter, where the platform runs on this machine.
    pub interpreter: Option<&'a Path>,
    /// Install dependencies anew.
    pub fresh: bool,
}

/// Languages as users name them.
const LANGUAGES: &[(&str, Language)] = &[
    ("python", Language::Python),
    ("node", Language::Node),
    ("nodejs", Language::Node),
    ("java", Language::Java),
    ("provided", Language::Provided),
    ("wasm", Language::Wasm),
];

impl RuntimeWish {
    /// Reads `python`, `nodejs`, `java`, or a full identifier.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        if let Some((_, language)) = LANGUAGES.iter().find(|(name, _)| *name == text && *name != "provided") {
            return Ok(Self::Language(*language));
        }
        Runtime::parse(text).map(Self::Exact).map_err(|error| {
            Failure::usage(format!("no runtime {text:?}"), error.to_string(), "dayfly doctor")
        })
    }

    fn language(&self) -> Language {
        match self {
            Self::Language(language) => *language,
            Self::Exact(runtime) => runtime.language,
        }
    }
}

/// Recognises the project at `path`: a directory, a program named `bootstrap`, or a WebAssembly component.
pub fn recognise(path: &Path, wishes: &Wishes) -> Result<Recipe, Failure> {
    if path.is_file() && java::is_archive(path) {
        return java::from_file(path, wishes);
    }
    if path.is_file() {
        if component::is_one(path) {
            return component::from_file(path);
        }
        return compiled::from_file(path);
    }
    match wishes.runtime.as_ref().map(RuntimeWish::language) {
        Some(Language::Python) => python::recognise(path, wishes)?.ok_or_else(|| unknown(path)),
        Some(Language::Node) => node::recognise(path, wishes)?.ok_or_else(|| unknown(path)),
        Some(Language::Java) => java::recognise(path, wishes)?.ok_or_else(|| unknown(path)),
        Some(Language::Provided) => compiled::recognise(path)?.ok_or_else(|| unknown(path)),
        Some(Language::Wasm) => component::as_asked(path)?.ok_or_else(|| unknown(path)),
        None => first(path, wishes),
    }
}

fn first(path: &Path, wishes: &Wishes) -> Result<Recipe, Failure> {
    if let Some(recipe) = compiled::recognise(path)? {
        return Ok(recipe);
    }
    if let Some(recipe) = java::recognise(path, wishes)? {
        return Ok(recipe);
    }
    let is_python = python::looks_like(path, wishes);
    if is_python && node::looks_like(path) {
        return Err(Failure::usage(
            format!("{} holds a Python and a Node project", path.display()),
            "a Python handler and package.json are both there",
            format!("dayfly deploy {} --runtime python", pasted::path(path)),
        ));
    }
    if is_python && let Some(recipe) = python::recognise(path, wishes)? {
        return Ok(recipe);
    }
    if let Some(recipe) = node::recognise(path, wishes)? {
        return Ok(recipe);
    }
    if let Some(recipe) = python::recognise(path, wishes)? {
        return Ok(recipe);
    }
    component::recognise(path)?.ok_or_else(|| unknown(path))
}

fn unknown(path: &Path) -> Failure {
    Failure::usage(
        format!("no function is recognised in {}", path.display()),
        "looked for an executable bootstrap, Cargo.toml, pom.xml, package.json, index.js or .mjs, and app.py, main.py, \
         lambda_function.py, handler.py, index.py or pyproject.toml, and a .wasm file",
        format!("ls -la {}", pasted::path(path)),
    )
}

impl Recipe {
    /// Installs, compiles and collects what the function needs.
    pub fn build(&self, bench: &Bench<'_>) -> Result<Package, Failure> {
        match &self.kind {
            Kind::Python(python) => python.build(bench),
            Kind::Node(node) => node.build(bench),
            Kind::Java(java) => java.build(bench),
            Kind::Compiled(compiled) => compiled.build(bench),
            Kind::Component(component) => component.build(bench),
        }
    }
}

/// The directory's, the jar's or the component's own name, fit for a function: letters, digits, `-` and `_`.
pub fn default_name(path: &Path) -> Option<String> {
    let real = path.canonicalize().ok()?;
    let named = java::is_archive(&real) || component::is_one(&real) && !real.ends_with("bootstrap.wasm");
    let name = match real.is_file() {
        true if named => real.file_stem()?,
        true => real.parent()?.file_name()?,
        false => real.file_name()?,
    };
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = name.to_string_lossy().chars().map(fit).take(64).collect();
    let name = name.trim_matches('-').to_owned();
    (!name.is_empty()).then_some(name)
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(
            format!("cannot read {}", path.display()),
            error.to_string(),
            format!("ls -l {}", pasted::path(path)),
        )),
    }
}

/// Where a project's parts lie, as tests write them down.
#[cfg(test)]
pub mod trees {
    use std::path::{Path, PathBuf};

    /// Makes a project with these files; those whose text begins with `#!` or ELF's magic are executable.
    pub fn plant(files: &[(&str, &str)]) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            let path: PathBuf = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("made");
            std::fs::write(&path, text).expect("written");
            if text.starts_with("#!") {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
            }
        }
        root
    }
}

/// An absolute form of `path`, which tools that run elsewhere understand.
fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests;
