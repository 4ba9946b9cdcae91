//! All interpreters of this machine, and the plans that follow from them.

use crate::archive::Archives;
use crate::bytecode::{self, Bytecodes};
use crate::plan::{self, entry};
use crate::{ImageError, RootImage, image};
use crate::{InstanceFacts, Interpreter, PlanError, Protocol, StartPlan, bootstraps, discover};
use model::{Language, Runtime, Version};
use sandbox::Launcher;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::DataDir;
use world::World;

/// The folder in the data directory that holds root images.
const IMAGES: &str = "images";

/// What this machine can run.
#[derive(Debug)]
pub struct Runtimes {
    found: Vec<Interpreter>,
    /// Holds our bootstraps; `/var/runtime` inside.
    folder: PathBuf,
    /// Where to keep what is made on the way; `None`: nothing is made.
    data: Option<DataDir>,
    archives: Archives,
    bytecodes: Bytecodes,
    /// Whether functions may be copies of one process.
    shared: bool,
}

impl Runtimes {
    /// Looks for interpreters wherever people install them and writes our bootstraps into the data directory.
    /// What was learnt of an executable is kept there until the executable changes.
    ///
    /// # Errors
    /// The data directory cannot be written.
    pub async fn discover(launcher: &Launcher, data: &DataDir) -> std::io::Result<Self> {
        let folder = bootstraps::install(data)?;
        let places = discover::Places::of_this_process();
        let found = discover::discover(&places, launcher, data).await?;
        Ok(Self {
            found,
            folder,
            data: Some(data.clone()),
            archives: Archives::default(),
            bytecodes: Bytecodes::default(),
            shared: true,
        })
    }

    /// No two functions are copies of one process from now on: copies have the layout of their memory in common.
    pub fn share_nothing(&mut self) {
        self.shared = false;
    }

    /// Everything that runs from now on is to be found in a root image alone: in the one of this machine, made where it is
    /// missing and kept in the data directory, or in the one in `given`. `beside`: programs that sandboxes are shown
    /// besides. Interpreters that are not in it are forgotten.
    ///
    /// # Errors
    /// Why there is no such image.
    pub fn own_root(
        &mut self,
        data: &DataDir,
        given: Option<&Path>,
        beside: &[PathBuf],
        world: &World,
    ) -> Result<RootImage, ImageError> {
        self.keep_one_of_each();
        let image = match given {
            Some(folder) => image::given(folder, world)?,
            None => {
                let images = data.dir(IMAGES).map_err(|why| ImageError::File { path: IMAGES.into(), why })?;
                image::of_this_machine(&images, &self.found, beside, world)?
            }
        };
        let inside = |path: &Path| image.tree.join(path.strip_prefix("/").unwrap_or(path));
        self.found.retain(|found| inside(&found.executable).is_file());
        self.found.iter_mut().for_each(|found| found.needs.clear());
        Ok(image)
    }

    /// Makes the root image of this machine in a folder, for use elsewhere or under watch.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn build_root(
        &mut self,
        folder: &Path,
        beside: &[PathBuf],
        world: &World,
    ) -> Result<RootImage, ImageError> {
        self.keep_one_of_each();
        image::build(folder, &self.found, beside, world)
    }

    /// Of several interpreters that serve the same functions, the first one does.
    fn keep_one_of_each(&mut self) {
        let mut served = BTreeSet::new();
        self.found.retain(|found| served.insert(found.identifier()));
    }

    /// Whether this build has what Java functions need: it was compiled where a `javac` was.
    pub fn has_java() -> bool {
        bootstraps::has_java()
    }

    /// Holds our bootstraps.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The interpreters, newest first within a language.
    pub fn found(&self) -> &[Interpreter] {
        &self.found
    }

    /// How an instance of `version` starts. Never with another version of the language than the one asked for.
    pub fn plan(&self, version: &Version, facts: &InstanceFacts) -> Result<StartPlan, PlanError> {
        match version.runtime.language {
            Language::Provided => {
                let program = entry::find(&version.code_dir)?;
                Ok(plan::provided(version, facts, program))
            }
            Language::Wasm => {
                let component = facts
                    .component
                    .as_ref()
                    .ok_or_else(|| PlanError::InvalidEntrypoint("the component was not compiled".into()))?;
                Ok(plan::worker::plan(version, facts, component))
            }
            Language::Python | Language::Node | Language::Java => {
                let interpreter = self.interpreter(&version.runtime)?;
                let mut plan = plan::interpreted(version, facts, interpreter, &self.folder);
                plan.binds.extend(self.bytecode(version, interpreter));
                Ok(plan)
            }
        }
    }

    /// Begins to make what later instances of `version` start faster with. Needs a tokio runtime.
    pub fn prepare(&self, launcher: &Arc<Launcher>, version: &Version) {
        let (Some(data), Ok(interpreter)) = (&self.data, self.interpreter(&version.runtime)) else { return };
        match version.runtime.language {
            Language::Java => self.archives.prepare(launcher, data, interpreter),
            Language::Python => self.bytecodes.note(launcher, data, interpreter, &version.code_dir),
            _ => {}
        }
    }

    fn bytecode(&self, version: &Version, interpreter: &Interpreter) -> Option<sandbox::Bind> {
        bytecode::bind(self.data.as_ref()?, interpreter, &version.code_dir)
    }

    /// The interpreter that runs `version`, if processes of its kind can be forked, or why not.
    ///
    /// # Errors
    /// The reason, in words for the invocation's record.
    pub fn may_fork(&self, version: &Version) -> Result<&Interpreter, String> {
        if !matches!(version.runtime.language, Language::Python | Language::Node) {
            return Err("programs of this kind are not forked".into());
        }
        self.interpreter(&version.runtime).map_err(|error| error.to_string())
    }

    /// The interpreter whose copies can run `version`, or why none can.
    ///
    /// # Errors
    /// The reason, in words for the invocation's record.
    pub fn forkable(&self, version: &Version) -> Result<&Interpreter, String> {
        match plan::read_at_start(version) {
            _ if !self.shared => Err("several tenants share no process to copy".into()),
            Some(name) => Err(format!("{name} is read at the interpreter's start")),
            None => self.may_fork(version),
        }
    }

    /// How a process starts that waits for a function like `version`: of its runtime, and of its memory, by which such a
    /// process bounds its heap once and for all. It says that it waits ([`crate::waits`]) and is then told its
    /// environment by [`StartPlan::load_frame`]. Or why there is none.
    ///
    /// # Errors
    /// The reason, in words for the invocation's record.
    pub fn waiting(&self, version: &Version, endpoint_port: Option<u16>) -> Result<StartPlan, String> {
        let interpreter = self.may_wait(version)?;
        Ok(plan::waiting(interpreter, &self.folder, version.memory_mb, endpoint_port))
    }

    /// The interpreter of such a process.
    ///
    /// # Errors
    /// As of [`Runtimes::waiting`].
    pub fn may_wait(&self, version: &Version) -> Result<&Interpreter, String> {
        if !matches!(version.runtime.language, Language::Node | Language::Java) {
            return Err("programs of this kind do not wait".into());
        }
        if let Some(name) = plan::read_at_start(version) {
            return Err(format!("{name} is read at the interpreter's start"));
        }
        self.interpreter(&version.runtime).map_err(|error| error.to_string())
    }

    /// How a process starts that is forked into instances of any function with the runtime of this one.
    ///
    /// # Panics
    /// Where [`Runtimes::may_fork`] says no.
    pub fn template(&self, version: &Version, endpoint_port: Option<u16>) -> StartPlan {
        let interpreter = self.may_fork(version).expect("the caller has asked");
        plan::template(interpreter, &self.folder, endpoint_port)
    }

    /// How a process starts that loads `version` and is then forked into its instances.
    ///
    /// # Panics
    /// Where [`Runtimes::may_fork`] says no.
    pub fn function_template(&self, version: &Version, facts: &InstanceFacts) -> StartPlan {
        let interpreter = self.may_fork(version).expect("the caller has asked");
        let mut plan = plan::function_template(version, facts, interpreter, &self.folder);
        plan.binds.extend(self.bytecode(version, interpreter));
        plan
    }

    /// Whether instances of `runtime` can be started, without looking at any function's package.
    pub fn serves(&self, runtime: &Runtime) -> Result<(), PlanError> {
        match runtime.language {
            Language::Provided | Language::Wasm => Ok(()),
            Language::Python | Language::Node | Language::Java => self.interpreter(runtime).map(|_| ()),
        }
    }

    fn interpreter(&self, asked: &Runtime) -> Result<&Interpreter, PlanError> {
        let fits = |found: &&Interpreter| {
            let (major, minor, _) = found.version;
            found.language == asked.language
                && major == asked.version.0
                && (asked.language != Language::Python || minor == asked.version.1)
        };
        self.found.iter().find(fits).ok_or_else(|| self.missing(asked))
    }

    fn missing(&self, asked: &Runtime) -> PlanError {
        let mut names: Vec<String> = self.found.iter().map(Interpreter::identifier).collect();
        names.dedup();
        let (major, minor) = asked.version;
        let how = match asked.language {
            Language::Node => format!("`nvm install {major}` or `n {major}`"),
            Language::Java if !bootstraps::has_java() => {
                return PlanError::MissingRuntime {
                    asked: asked.identifier.clone(),
                    found: "no Java in this build of dayfly".into(),
                    hint:
                        "build dayfly where javac 17 or newer is installed (apt install default-jdk-headless)"
                            .into(),
                };
            }
            Language::Java => format!("`apt install openjdk-{major}-jre-headless` or `sdk install java`"),
            _ => format!("`apt install python{major}.{minor}` or `uv python install {major}.{minor}`"),
        };
        PlanError::MissingRuntime {
            asked: asked.identifier.clone(),
            found: if names.is_empty() { "none".into() } else { names.join(", ") },
            hint: format!("install it, e.g. with {how}, and restart dayfly"),
        }
    }

    #[cfg(test)]
    pub(crate) fn of(found: Vec<Interpreter>, folder: PathBuf) -> Self {
        let (archives, bytecodes) = (Archives::default(), Bytecodes::default());
        Self { found, folder, data: None, archives, bytecodes, shared: true }
    }
}

/// The protocol that instances of a language speak.
pub(crate) fn protocol(language: Language) -> Protocol {
    match language {
        Language::Provided => Protocol::RuntimeApi,
        Language::Python | Language::Node | Language::Java | Language::Wasm => Protocol::Framed,
    }
}
