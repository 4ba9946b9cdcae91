//! Python: a module with a handler, and packages installed for the interpreter that will run it.

use super::requirements::{Project, Requirements};
use super::{Bench, Kind, Recipe, Wishes, absolute, read};
use crate::failure::Failure;
use crate::layer::Layers;
use crate::package::Package;
use crate::pasted;
use crate::screen::Phase;
use crate::source::python_names;
use crate::tool::{self, Ran, Tool};
use crate::tree::{self, Rules};
use crate::{figure, likeness};
use model::Language;
use std::env::consts::ARCH;
use std::path::{Path, PathBuf};

/// Files looked at for a handler, in this order.
const FILES: &[&str] = &["app.py", "main.py", "lambda_function.py", "handler.py", "index.py"];
/// Functions that count as one.
const HANDLERS: &[&str] = &["handler", "lambda_handler"];
/// C libraries that every machine with a Python we run has, newest first.
const MANYLINUX: &[&str] = &[
    "manylinux_2_28",
    "manylinux_2_27",
    "manylinux_2_24",
    "manylinux_2_17",
    "manylinux2014",
    "manylinux2010",
];

/// A Python project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    directory: PathBuf,
    requirements: Requirements,
}

/// Whether a handler is there, or said to be.
pub fn looks_like(directory: &Path, wishes: &Wishes) -> bool {
    match &wishes.handler {
        Some(handler) => module_file(directory, handler).is_some(),
        None => {
            matches!(candidates(directory), Ok(found) if found.iter().any(|found| found.handler.is_some()))
        }
    }
}

/// Recognises a Python project. `Ok(None)`: nothing here is Python.
pub fn recognise(directory: &Path, wishes: &Wishes) -> Result<Option<Recipe>, Failure> {
    let project = Project::load(directory)?;
    let found = candidates(directory)?;
    if found.is_empty() && !project.exists && wishes.handler.is_none() {
        return Ok(None);
    }
    let (handler, place) = match &wishes.handler {
        Some(handler) => named(directory, handler)?,
        None => searched(directory, &found)?,
    };
    let (requirements, notes) = Requirements::find(directory, &project, tool::find("uv").is_some())?;
    Ok(Some(Recipe {
        language: Language::Python,
        handler,
        why: format!("{place}; {}", requirements.describe()),
        accepts: project.python.map(|range| (range, "requires-python in pyproject.toml")),
        notes,
        kind: Kind::Python(Python { directory: directory.to_owned(), requirements }),
    }))
}

#[derive(Debug)]
struct Candidate {
    file: &'static str,
    handler: Option<&'static str>,
    names: Vec<String>,
}

fn candidates(directory: &Path) -> Result<Vec<Candidate>, Failure> {
    let mut found = Vec::new();
    for file in FILES {
        if let Some(text) = read(&directory.join(file))? {
            let names = python_names(&text);
            let handler = HANDLERS.iter().copied().find(|handler| names.iter().any(|name| name == handler));
            found.push(Candidate { file, handler, names });
        }
    }
    Ok(found)
}

fn searched(directory: &Path, found: &[Candidate]) -> Result<(String, String), Failure> {
    if let Some((file, handler)) = found.iter().find_map(|found| Some((found.file, found.handler?))) {
        return Ok((
            format!("{}.{handler}", file.trim_end_matches(".py")),
            format!("{file} defines {handler}"),
        ));
    }
    let here = pasted::path(directory);
    match found.first() {
        Some(Candidate { file, names, .. }) => {
            let guess = names.first().map_or("handler", String::as_str);
            let why = match names.len() {
                0 => format!("{file} defines nothing named handler or lambda_handler"),
                _ => format!("{file} defines {} but neither handler nor lambda_handler", names.join(", ")),
            };
            let module = file.trim_end_matches(".py");
            let hint = format!("dayfly deploy {here} --handler {module}.{guess}");
            Err(Failure::usage("no handler was found", why, hint))
        }
        None => Err(Failure::usage(
            "no handler was found",
            format!("{here} has a pyproject.toml but none of {}", FILES.join(", ")),
            format!("dayfly deploy {here} --handler package.module.function"),
        )),
    }
}

fn named(directory: &Path, handler: &str) -> Result<(String, String), Failure> {
    let here = pasted::path(directory);
    let Some(file) = module_file(directory, handler) else {
        let module = handler.rsplit_once('.').map_or(handler, |(module, _)| module);
        return Err(Failure::usage(
            format!("handler {handler:?} has no file"),
            format!("{here}/{}.py does not exist", module.replace('.', "/")),
            format!("ls {here}"),
        ));
    };
    let name = handler.rsplit('.').next().unwrap_or(handler);
    let names = python_names(&read(&file)?.unwrap_or_default());
    let shown = file.strip_prefix(directory).unwrap_or(&file).display().to_string();
    if names.is_empty() || names.iter().any(|known| known == name || known == "*") {
        return Ok((handler.to_owned(), format!("{shown} has the handler you named")));
    }
    match likeness::closest(name, names.iter().map(String::as_str)) {
        Some(meant) => Err(Failure::usage(
            format!("{shown} does not define {name}"),
            format!("did you mean {meant}?"),
            format!("dayfly deploy {here} --handler {}{meant}", handler.trim_end_matches(name)),
        )),
        None => {
            Ok((handler.to_owned(), format!("{shown} is the file you named, though it defines no {name}")))
        }
    }
}

/// The file of `package.module.function`.
fn module_file(directory: &Path, handler: &str) -> Option<PathBuf> {
    let (module, _) = handler.rsplit_once('.')?;
    let path = directory.join(module.replace('.', "/"));
    [path.with_extension("py"), path.join("__init__.py")].into_iter().find(|file| file.is_file())
}

impl Python {
    pub(super) fn build(&self, bench: &Bench<'_>) -> Result<Package, Failure> {
        let mut package = Package::default();
        if self.requirements != Requirements::None {
            let layer = self.install(bench)?;
            package.add(tree::select(&layer, Rules { git_ignore: false, own_modules: false })?)?;
        }
        package.add(tree::select(&self.directory, Rules { git_ignore: true, own_modules: false })?)?;
        Ok(package)
    }

    fn install(&self, bench: &Bench<'_>) -> Result<PathBuf, Failure> {
        let identity = self.requirements.identity()?;
        let is_local = identity.is_none();
        let text =
            identity.unwrap_or_else(|| absolute(&self.directory).as_os_str().as_encoded_bytes().to_vec());
        let key = Layers::key(&[b"python", bench.runtime.identifier.as_bytes(), ARCH.as_bytes(), &text]);
        let phase = bench.screen.phase("dependencies", "installing packages");
        let layer = bench.layers.get(&key, bench.fresh || is_local, |target| {
            Installer { bench, python: self, phase: &phase, target }.install()
        })?;
        let packages = std::fs::read_dir(&layer.path).map_or(0, |entries| {
            let is_package = |name: std::ffi::OsString| name.to_string_lossy().ends_with(".dist-info");
            entries.flatten().filter(|entry| is_package(entry.file_name())).count()
        });
        let how = if layer.cached { "unchanged, kept from before" } else { "installed" };
        phase.done(format!("{}, {how}", figure::count(packages, "package")));
        Ok(layer.path)
    }
}

struct Installer<'a> {
    bench: &'a Bench<'a>,
    python: &'a Python,
    phase: &'a Phase,
    target: &'a Path,
}

impl Installer<'_> {
    fn install(&self) -> Result<(), Failure> {
        let exported = self.target.join(".requirements.txt");
        let wanted: Vec<String> = match &self.python.requirements {
            Requirements::None => return Ok(()),
            Requirements::File(path) => vec!["-r".into(), absolute(path).display().to_string()],
            Requirements::Project(list) => list.clone(),
            Requirements::Lock(_) => {
                self.export(&exported)?;
                vec!["-r".into(), exported.display().to_string()]
            }
        };
        let (major, minor) = self.bench.runtime.version;
        let version = format!("{major}.{minor}");
        let mut ran = self.for_target(&version)?.args(&wanted).run(self.phase)?;
        if !ran.success
            && let Some(native) = self.native(&version)?
        {
            self.clear()?;
            if matches!(self.python.requirements, Requirements::Lock(_)) {
                self.export(&exported)?;
            }
            ran = native.args(&wanted).run(self.phase)?;
        }
        if !ran.success {
            return Err(self.refused(&ran));
        }
        self.tidy(&exported);
        Ok(())
    }

    /// Wheels only, for the platform's interpreter and C library whatever this machine has.
    fn for_target(&self, version: &str) -> Result<Tool, Failure> {
        let target = self.target.display().to_string();
        if let Some(uv) = tool::find("uv") {
            let platform = format!("{ARCH}-manylinux_2_28");
            return Ok(self
                .tool(uv)
                .args(["pip", "install", "--target", &target, "--python-version", version])
                .args(["--python-platform", &platform, "--only-binary", ":all:", "--link-mode", "copy"]));
        }
        let platforms =
            MANYLINUX.iter().flat_map(|platform| ["--platform".to_owned(), format!("{platform}_{ARCH}")]);
        let pip = self.pip(version)?;
        Ok(pip
            .args(["--implementation", "cp", "--python-version", version, "--only-binary=:all:"])
            .args(platforms))
    }

    /// Anything that the platform's own interpreter can install, source packages too.
    fn native(&self, version: &str) -> Result<Option<Tool>, Failure> {
        let Some(interpreter) = self.bench.interpreter else { return Ok(None) };
        if let Some(uv) = tool::find("uv") {
            let target = self.target.display().to_string();
            let interpreter = interpreter.display().to_string();
            let arguments =
                ["pip", "install", "--target", &target, "--python", &interpreter, "--link-mode", "copy"];
            return Ok(Some(self.tool(uv).args(arguments)));
        }
        if has_pip(interpreter, self.phase) { self.pip(version).map(Some) } else { Ok(None) }
    }

    fn pip(&self, version: &str) -> Result<Tool, Failure> {
        let on_path = [format!("python{version}"), "python3".into(), "python".into()];
        let python = self
            .bench
            .interpreter
            .map(Path::to_owned)
            .into_iter()
            .chain(on_path.iter().filter_map(|name| tool::find(name)))
            .find(|python| has_pip(python, self.phase))
            .ok_or_else(no_pip)?;
        let target = self.target.display().to_string();
        Ok(self.tool(python).args(["-m", "pip", "install", "--target", &target]).args([
            "--no-compile",
            "--disable-pip-version-check",
            "--no-input",
            "--no-warn-conflicts",
        ]))
    }

    fn tool(&self, program: PathBuf) -> Tool {
        Tool::new(program, &absolute(&self.python.directory)).env("PYTHONDONTWRITEBYTECODE", "1")
    }

    fn export(&self, file: &Path) -> Result<(), Failure> {
        let Some(uv) = tool::find("uv") else { return Err(no_pip()) };
        let ran = self
            .tool(uv)
            .args(["export", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--quiet", "-o"])
            .args([file])
            .run(self.phase)?;
        if ran.success { Ok(()) } else { Err(self.refused(&ran)) }
    }

    fn clear(&self) -> Result<(), Failure> {
        std::fs::remove_dir_all(self.target).and_then(|()| std::fs::create_dir_all(self.target)).map_err(
            |error| Failure::new("cannot keep installed dependencies", error.to_string(), "df -h ~/.cache"),
        )
    }

    /// Removes what is no part of the packages: scripts that name this machine's paths, and locks.
    fn tidy(&self, exported: &Path) {
        let _ = std::fs::remove_file(exported);
        let _ = std::fs::remove_file(self.target.join(".lock"));
        let _ = std::fs::remove_dir_all(self.target.join("bin"));
    }

    fn refused(&self, ran: &Ran) -> Failure {
        self.bench.screen.note(ran.tail().trim_end());
        let file = match &self.python.requirements {
            Requirements::File(path) => path.display().to_string(),
            _ => self.python.directory.join("pyproject.toml").display().to_string(),
        };
        Failure::new(
            format!("the packages of {file} cannot be installed for {}", self.bench.runtime.identifier),
            ran.reason(),
            format!("${{EDITOR:-vi}} {file}"),
        )
    }
}

/// Whether this interpreter has pip.
pub fn has_pip(python: &Path, phase: &Phase) -> bool {
    Tool::new(python, Path::new("/")).args(["-m", "pip", "--version"]).run(phase).is_ok_and(|ran| ran.success)
}

fn no_pip() -> Failure {
    Failure::new(
        "Python packages cannot be installed",
        "neither uv nor pip was found on this machine",
        "sudo apt-get install -y python3-pip",
    )
}
