//! Node: `package.json`, modules from npm, an entry that exports a handler.

use super::{Bench, Kind, Recipe, Wishes, absolute, read};
use crate::failure::Failure;
use crate::figure;
use crate::layer::Layers;
use crate::package::Package;
use crate::pasted;
use crate::range::Range;
use crate::screen::Phase;
use crate::source::{Export, exports};
use crate::tool::{self, Ran, Tool};
use crate::tree::{self, Found, Rules};
use model::Language;
use std::env::consts::ARCH;
use std::path::{Path, PathBuf};

/// Modules looked at for a handler where `main` names none, in this order.
const ENTRIES: &[&str] =
    &["index", "app", "handler", "lambda", "main", "src/index", "dist/index", "build/index"];
const EXTENSIONS: &[&str] = &["mjs", "js", "cjs"];
const LOCKS: &[&str] = &["package-lock.json", "npm-shrinkwrap.json"];
const OTHER_LOCKS: &[&str] = &["pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb"];

/// A Node project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    directory: PathBuf,
    /// The file that holds the handler, with `/`; not there yet if `build` is set.
    entry: String,
    /// Whether npm has something to install.
    has_modules: bool,
    /// Whether the project's build script makes the entry.
    build: bool,
}

/// What `package.json` says.
#[derive(Debug, Default)]
struct Manifest {
    exists: bool,
    main: Option<String>,
    engines: Option<Range>,
    has_modules: bool,
    has_build: bool,
}

/// Whether `package.json` is there.
pub fn looks_like(directory: &Path) -> bool {
    directory.join("package.json").is_file()
}

/// Recognises a Node project. `Ok(None)`: nothing here is Node.
pub fn recognise(directory: &Path, wishes: &Wishes) -> Result<Option<Recipe>, Failure> {
    let manifest = Manifest::load(directory)?;
    let entry = match &wishes.handler {
        Some(handler) => named(directory, handler, &manifest)?,
        None => match searched(directory, &manifest)? {
            Some(entry) => entry,
            None if manifest.exists => return Err(no_entry(directory, &manifest)),
            None => return Ok(None),
        },
    };
    let mut notes = Vec::new();
    let has_lock = LOCKS.iter().any(|lock| directory.join(lock).is_file());
    for lock in OTHER_LOCKS.iter().filter(|lock| directory.join(lock).is_file() && !has_lock) {
        notes.push(format!("{lock} is not used; npm picks versions from package.json"));
    }
    let modules = match (manifest.has_modules, has_lock) {
        (false, _) => "no dependencies",
        (true, true) => "dependencies pinned by package-lock.json",
        (true, false) => "dependencies in package.json without a lock file",
    };
    let handler = wishes.handler.clone().unwrap_or_else(|| format!("{}.handler", stem(&entry.file)));
    Ok(Some(Recipe {
        language: Language::Node,
        handler,
        why: format!("{}; {modules}", entry.why),
        accepts: manifest.engines.map(|range| (range, "engines.node in package.json")),
        notes,
        kind: Kind::Node(Node {
            directory: directory.to_owned(),
            entry: entry.file,
            has_modules: manifest.has_modules,
            build: entry.build,
        }),
    }))
}

struct Entry {
    file: String,
    why: String,
    build: bool,
}

impl Manifest {
    fn load(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join("package.json");
        let Some(text) = read(&path)? else { return Ok(Self::default()) };
        let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
            Failure::usage(
                format!("{} is not JSON", path.display()),
                error.to_string(),
                format!("${{EDITOR:-vi}} {}", pasted::path(&path)),
            )
        })?;
        let filled = |key: &str| json[key].as_object().is_some_and(|object| !object.is_empty());
        let main = json["main"].as_str().map(|main| main.trim_start_matches("./").to_owned());
        Ok(Self {
            exists: true,
            main: main.filter(|main| !main.is_empty()),
            engines: json["engines"]["node"].as_str().and_then(Range::npm),
            has_modules: filled("dependencies") || filled("optionalDependencies"),
            has_build: json["scripts"]["build"].is_string(),
        })
    }
}

fn named(directory: &Path, handler: &str, manifest: &Manifest) -> Result<Entry, Failure> {
    let (folder, file) = handler.rsplit_once('/').map_or(("", handler), |(folder, file)| (folder, file));
    let module = file.split('.').next().unwrap_or(file);
    let module = if folder.is_empty() { module.to_owned() } else { format!("{folder}/{module}") };
    if let Some(file) = resolve(directory, &module) {
        return Ok(Entry { why: format!("{file} has the handler you named"), file, build: false });
    }
    if manifest.has_build {
        let why = format!("the build script makes {module}");
        return Ok(Entry { file: format!("{module}.js"), why, build: true });
    }
    Err(Failure::usage(
        format!("handler {handler:?} has no file"),
        format!("{}/{module}.js, .mjs or .cjs does not exist", directory.display()),
        format!("ls {}", pasted::path(directory)),
    ))
}

fn searched(directory: &Path, manifest: &Manifest) -> Result<Option<Entry>, Failure> {
    if let Some(main) = &manifest.main {
        match resolve(directory, main) {
            Some(file) if export(directory, &file)? != Export::No => {
                let why = format!("package.json names {file}, which exports handler");
                return Ok(Some(Entry { file, why, build: false }));
            }
            Some(_) => {}
            None if manifest.has_build => {
                let file = if main.contains('.') { main.clone() } else { format!("{main}.js") };
                let why = format!("package.json names {main}, which its build script makes");
                return Ok(Some(Entry { file, why, build: true }));
            }
            None => {}
        }
    }
    for name in ENTRIES {
        if let Some(file) = resolve(directory, name)
            && export(directory, &file)? != Export::No
        {
            let why = format!("{file} exports handler");
            return Ok(Some(Entry { file, why, build: false }));
        }
    }
    Ok(None)
}

fn export(directory: &Path, file: &str) -> Result<Export, Failure> {
    Ok(exports(&read(&directory.join(file))?.unwrap_or_default(), "handler"))
}

fn no_entry(directory: &Path, manifest: &Manifest) -> Failure {
    let here = pasted::path(directory);
    let file = manifest.main.as_deref().and_then(|main| resolve(directory, main));
    let file = file.or_else(|| ENTRIES.iter().find_map(|name| resolve(directory, name)));
    match file {
        Some(file) => Failure::usage(
            "no handler was found",
            format!("{file} exports nothing named handler"),
            format!("dayfly deploy {here} --handler {}.yourFunction", stem(&file)),
        ),
        None => Failure::usage(
            "no handler was found",
            format!(
                "package.json names {}, and there is no index.js or index.mjs",
                manifest.main.as_deref().unwrap_or("no main")
            ),
            format!("dayfly deploy {here} --handler file.function"),
        ),
    }
}

/// The file that Node would load for `name`, with or without an extension.
fn resolve(directory: &Path, name: &str) -> Option<String> {
    if directory.join(name).is_file() {
        return Some(name.to_owned());
    }
    let names = EXTENSIONS.iter().map(|extension| format!("{name}.{extension}"));
    let inside =
        EXTENSIONS.iter().map(|extension| format!("{}/index.{extension}", name.trim_end_matches('/')));
    names.chain(inside).find(|file| directory.join(file).is_file())
}

fn stem(file: &str) -> &str {
    EXTENSIONS.iter().find_map(|e| file.strip_suffix(&format!(".{e}"))).unwrap_or(file)
}

impl Node {
    pub(super) fn build(&self, bench: &Bench<'_>) -> Result<Package, Failure> {
        if self.build || self.is_ignored()? {
            return self.build_copy(bench);
        }
        let mut package = Package::default();
        if self.has_modules {
            let layer = self.install(bench)?;
            let found = tree::select(&layer, Rules { git_ignore: false, own_modules: false })?;
            package.add(found.into_iter().filter(|found| found.name.starts_with("node_modules/")))?;
        }
        package.add(self.files(true)?)?;
        if !package.contains(&self.entry) {
            let folder = self.entry.split('/').next().unwrap_or_default().to_owned();
            bench.screen.warn(format!("{folder} is git-ignored but holds the handler; it is packed"));
            let mine = |found: &Found| found.name == folder || found.name.starts_with(&format!("{folder}/"));
            package.add(self.files(false)?.into_iter().filter(mine))?;
        }
        Ok(package)
    }

    fn files(&self, git_ignore: bool) -> Result<Vec<Found>, Failure> {
        tree::select(&self.directory, Rules { git_ignore, own_modules: true })
    }

    /// Whether the entry is what the build script makes, and git does not keep it.
    fn is_ignored(&self) -> Result<bool, Failure> {
        let has_build = Manifest::load(&self.directory)?.has_build;
        Ok(has_build && !self.files(true)?.iter().any(|found| found.name == self.entry))
    }

    /// Installs modules for production beside a copy of the manifest alone, so that they change only with it.
    fn install(&self, bench: &Bench<'_>) -> Result<PathBuf, Failure> {
        let mut files = Vec::new();
        for name in ["package.json", ".npmrc"].iter().chain(LOCKS) {
            files.push((*name, read(&self.directory.join(name))?.unwrap_or_default()));
        }
        let mut parts: Vec<&[u8]> = vec![b"node", bench.runtime.identifier.as_bytes(), ARCH.as_bytes()];
        parts.extend(files.iter().map(|(_, text)| text.as_bytes()));
        let phase = bench.screen.phase("dependencies", "installing modules");
        let layer = bench.layers.get(&Layers::key(&parts), bench.fresh, |target| {
            for (name, text) in files.iter().filter(|(_, text)| !text.is_empty()) {
                std::fs::write(target.join(name), text).map_err(|error| copy_failed(target, &error))?;
            }
            self.npm(bench, &phase, target, true)
        })?;
        phase.done(format!("{}, {}", count_modules(&layer.path), origin(layer.cached)));
        Ok(layer.path)
    }

    /// Builds in a copy of the whole project: modules for development, the build script, then production only.
    fn build_copy(&self, bench: &Bench<'_>) -> Result<Package, Failure> {
        let source = self.files(true)?;
        let mut parts: Vec<Vec<u8>> =
            vec![b"node build".to_vec(), bench.runtime.identifier.clone().into_bytes()];
        for file in &source {
            parts.push(file.name.clone().into_bytes());
            parts.push(std::fs::read(&file.path).map_err(|error| copy_failed(&file.path, &error))?);
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let phase = bench.screen.phase("build", "npm run build");
        let layer = bench.layers.get(&Layers::key(&parts), bench.fresh, |target| {
            for file in &source {
                let copy = target.join(&file.name);
                std::fs::create_dir_all(copy.parent().unwrap_or(target))
                    .and_then(|()| std::fs::copy(&file.path, &copy))
                    .map_err(|error| copy_failed(&file.path, &error))?;
            }
            self.npm(bench, &phase, target, false)?;
            self.run(bench, &phase, target, &["run", "build"])?;
            self.run(bench, &phase, target, &["prune", "--omit=dev", "--no-audit", "--no-fund"])
        })?;
        phase.done(format!("npm run build, {}", origin(layer.cached)));
        let mut package = Package::default();
        package.add(tree::select(&layer.path, Rules { git_ignore: false, own_modules: false })?)?;
        if resolve(&layer.path, stem(&self.entry)).is_none() {
            return Err(Failure::new(
                "the build script did not make the handler's file",
                format!("{} is not there after npm run build", self.entry),
                format!("npm run build --prefix {}", pasted::path(&self.directory)),
            ));
        }
        Ok(package)
    }

    fn npm(&self, bench: &Bench<'_>, phase: &Phase, target: &Path, production: bool) -> Result<(), Failure> {
        let has_lock = LOCKS.iter().any(|lock| target.join(lock).is_file());
        let mut arguments = if has_lock { vec!["ci"] } else { vec!["install", "--package-lock=false"] };
        arguments.extend(["--no-audit", "--no-fund", "--no-update-notifier"]);
        if production {
            arguments.push("--omit=dev");
        }
        self.run(bench, phase, target, &arguments)
    }

    fn run(
        &self,
        bench: &Bench<'_>,
        phase: &Phase,
        target: &Path,
        arguments: &[&str],
    ) -> Result<(), Failure> {
        let npm = tool::find("npm").ok_or_else(|| {
            Failure::new(
                "modules cannot be installed",
                "npm was not found on this machine",
                "sudo apt-get install -y npm",
            )
        })?;
        let ran: Ran = Tool::new(npm, &absolute(target)).args(arguments).run(phase)?;
        if ran.success {
            return Ok(());
        }
        bench.screen.note(ran.tail().trim_end());
        let reason = ran.reason();
        let is_outdated = arguments[0] == "ci" && reason.contains("in sync");
        let hint = if is_outdated { "install" } else { arguments[0] };
        Err(Failure::new(
            format!(
                "npm {} failed for {}",
                arguments[..arguments.len().min(2)].join(" "),
                self.directory.display()
            ),
            reason,
            format!("npm {hint} --prefix {}", pasted::path(&self.directory)),
        ))
    }
}

fn origin(cached: bool) -> &'static str {
    if cached { "unchanged, kept from before" } else { "made anew" }
}

fn count_modules(layer: &Path) -> String {
    let listed = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
    let modules =
        listed(layer.join("node_modules"))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .map(|name| {
                if name.starts_with('@') { listed(layer.join("node_modules").join(&name)).count() } else { 1 }
            })
            .sum();
    figure::count(modules, "module")
}

fn copy_failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot copy {}", path.display()), error.to_string(), "df -h ~/.cache")
}
