//! From a package's component to machine code, in the server: made once by a child in a sandbox, kept under a seal.

mod answer;
mod child;
mod kept;

pub use child::run_compiler;

use crate::PROGRAM;
use answer::Answer;
use kept::Kept;
use model::limit;
use sandbox::{Bind, Launcher, Sandbox, Spec};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::DataDir;
use tokio::sync::{OnceCell, Semaphore};
use world::World;

/// The hidden subcommand.
pub const COMPILE: &str = "__wasm-compile";
/// Where the child sees the package.
const PACKAGE: &str = "/var/task";
const MEBIBYTE: u64 = 1024 * 1024;
/// Two cores: as many as the compiler has use for in small components.
const CPU_MILLIS: u32 = 2000;
const THREADS: u32 = 64;

/// Why there is no machine code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The package's own fault; says what is wrong with its component and what to do.
    #[error("{0}")]
    Unfit(String),
    /// The platform's fault.
    #[error("the component could not be compiled: {0}")]
    Failed(String),
}

/// Compiles components, and remembers what it has compiled.
pub struct Compiler {
    launcher: Arc<Launcher>,
    world: World,
    program: PathBuf,
    kept: Arc<Kept>,
    packages: PathBuf,
    /// By name. One that fails is tried again by the next who asks.
    known: Mutex<HashMap<String, Arc<OnceCell<PathBuf>>>>,
    turns: Semaphore,
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler").field("program", &self.program).finish_non_exhaustive()
    }
}

impl Compiler {
    /// Opens the folder of kept code. `program`: this executable, which is the program of the sandboxes. `packages`:
    /// where packages are unpacked.
    ///
    /// # Errors
    /// The data directory cannot be used, or the processor is not one that the engine compiles for.
    pub fn open(
        launcher: Arc<Launcher>,
        data: &DataDir,
        world: World,
        program: PathBuf,
        packages: PathBuf,
    ) -> io::Result<Self> {
        let kept = Arc::new(Kept::open(data, &world)?);
        let turns = Semaphore::new(limit("wasm-compiles") as usize);
        Ok(Self { launcher, world, program, kept, packages, known: Mutex::default(), turns })
    }

    /// This executable, as instances' sandboxes bind it at [`PROGRAM`].
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The machine code of a package, where it is known to be there and to be ours.
    pub fn known(&self, package: &Path) -> Option<PathBuf> {
        let name = self.kept.name(package)?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&name)?.get().cloned()
    }

    /// The machine code of the component in an unpacked package, whose folder is named by the package's hash.
    /// Compiles it first where that was not done, or where what is kept is not what was compiled.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub async fn artifact(self: &Arc<Self>, package: &Path) -> Result<PathBuf, CompileError> {
        if let Some(known) = self.known(package) {
            return Ok(known);
        }
        // A task of its own: who asks may leave, and the next finds it done.
        let (compiler, package) = (Arc::clone(self), package.to_owned());
        tokio::spawn(async move { compiler.once(&package).await }).await.map_err(failed)?
    }

    async fn once(&self, package: &Path) -> Result<PathBuf, CompileError> {
        let name = self.kept.name(package).ok_or_else(|| failed("the package's folder has no name"))?;
        let cell = Arc::clone(
            self.known.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default(),
        );
        let made = cell.get_or_try_init(|| self.find_or_make(&name, package)).await?;
        Ok(made.clone())
    }

    async fn find_or_make(&self, name: &str, package: &Path) -> Result<PathBuf, CompileError> {
        let kept = Arc::clone(&self.kept);
        let wanted = name.to_owned();
        if let Some(path) = off_thread(move || kept.find(&wanted)).await? {
            return Ok(path);
        }
        let _turn = self.turns.acquire().await.map_err(failed)?;
        let code = self.compile(package).await?;
        let (kept, name) = (Arc::clone(&self.kept), name.to_owned());
        off_thread(move || kept.keep(&name, &code)).await
    }

    /// Forgets and removes the code of packages that are gone.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn sweep(&self) -> io::Result<()> {
        let belongs = |name: &str| {
            self.packages.join(name.rsplit_once('-').map_or(name, |(package, _)| package)).is_dir()
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| belongs(name));
        self.kept.sweep(belongs)
    }

    async fn compile(&self, package: &Path) -> Result<Vec<u8>, CompileError> {
        let bind = |host: &Path, guest: &str| Bind { host: host.into(), guest: guest.into() };
        let memory_mb = limit("wasm-compile-memory");
        let spec = Spec {
            id: format!("compile {}", package.display()),
            argv: vec![PROGRAM.into(), COMPILE.into(), PACKAGE.into()],
            workdir: "/".into(),
            binds: vec![bind(&self.program, PROGRAM), bind(package, PACKAGE)],
            tmp_bytes: MEBIBYTE,
            memory_bytes: memory_mb * MEBIBYTE,
            cpu_millis: CPU_MILLIS,
            pids: THREADS,
            control: true,
            ..Spec::default()
        };
        let mut sandbox = self.launcher.create(spec).await.map_err(failed)?;
        let seconds = limit("wasm-compile-time");
        let answer = tokio::select! {
            biased;
            answer = answer::hear(&mut sandbox) => answer,
            () = self.world.sleep(Duration::from_secs(seconds)) => Ok(Answer::Unfit(format!(
                "compiling the component takes longer than {seconds} seconds (limit wasm-compile-time)"
            ))),
        };
        let answer = match answer {
            Err(error) => Err(ended(&sandbox, &error, memory_mb).await),
            Ok(Answer::Unfit(why)) => Err(CompileError::Unfit(why)),
            Ok(Answer::Failed(why)) => Err(CompileError::Failed(why)),
            Ok(Answer::Code(code)) => Ok(code),
        };
        sandbox.kill().await;
        answer
    }
}

/// The child has ended without a word: usually since it needed too much.
async fn ended(sandbox: &Sandbox, error: &io::Error, memory_mb: u64) -> CompileError {
    let exit = sandbox.exited().await;
    if sandbox.oom_killed() {
        return CompileError::Unfit(format!(
            "compiling the component takes more than {memory_mb} MB of memory (limit wasm-compile-memory)"
        ));
    }
    CompileError::Failed(format!("the compiler ended ({exit:?}): {error}"))
}

fn failed(why: impl ToString) -> CompileError {
    CompileError::Failed(why.to_string())
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, CompileError> {
    tokio::task::spawn_blocking(work).await.map_err(failed)?.map_err(failed)
}
