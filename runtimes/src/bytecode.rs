//! Byte code of Python packages: a function's package is read-only, so its code would be compiled at every start.
//!
//! Made once for a package and an interpreter, the second time that the package is started, in a sandbox of its own that
//! holds this package and nothing else and runs none of its code. One at a time, with a small share of the processor, so
//! that nobody waits for it. It is seen by instances of functions with this very package only.

use crate::{Interpreter, bootstraps};
use model::{Language, limit};
use sandbox::{Bind, Exit, Launcher, Sandbox, SandboxError, Spec};
use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::DataDir;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

/// Where instances see it.
pub const GUEST: &str = "/var/bytecode";
const FOLDER: &str = "bytecode";
const FILE: &str = "code";
const PROGRAM: &str = "_dayfly_compile.py";
const TASK: &str = "/var/task";
const MEBIBYTE: u64 = 1024 * 1024;
const MEMORY_BYTES: u64 = 1024 * MEBIBYTE;
const MOST_BYTES: u64 = limit("byte-code-bytes");
/// What the index may add.
const HEAD_BYTES: u64 = 8 * MEBIBYTE;
const PATIENCE: Duration = Duration::from_secs(limit("byte-code-time"));
/// A tenth of one core's share: functions come first.
const CPU_WEIGHT: u32 = Spec::CORE_WEIGHT / 10;
/// Packages that wait to be compiled; more are left for a later start of theirs.
const WAITING: usize = 64;

/// Which packages were started, and which were taken up, since the start of this process.
#[derive(Debug)]
pub(crate) struct Bytecodes {
    seen: Mutex<HashMap<String, Stage>>,
    turn: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    swept: Mutex<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Started,
    TakenUp,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
enum BytecodeError {
    #[error("no sandbox could be made: {0}")]
    Sandbox(#[from] SandboxError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("it was not done within {0} seconds (limit byte-code-time)")]
    TooLong(u64),
    #[error("it has more than {MOST_BYTES} bytes (limit byte-code-bytes)")]
    TooLarge,
    #[error("the interpreter that made it ended with {0:?}")]
    Failed(Exit),
}

impl Default for Bytecodes {
    fn default() -> Self {
        let one_of = |count| Arc::new(Semaphore::new(count));
        Self { seen: Mutex::default(), turn: one_of(1), waiting: one_of(WAITING), swept: Mutex::default() }
    }
}

/// What shows an instance the byte code of its package, where there is any.
pub(crate) fn bind(data: &DataDir, interpreter: &Interpreter, package: &Path) -> Option<Bind> {
    let host = data.path().join(FOLDER).join(name(interpreter, package)?);
    host.join(FILE).exists().then(|| Bind { host, guest: GUEST.into() })
}

/// Package, and byte code's version: `bootstrap.cpython-313-3571.pyc` carries the interpreter's own.
fn name(interpreter: &Interpreter, package: &Path) -> Option<String> {
    let tag = interpreter.bootstrap.strip_prefix("bootstrap.")?.strip_suffix(".pyc")?;
    let package = package.file_name()?.to_str()?;
    (interpreter.language == Language::Python).then(|| format!("{package}-{tag}"))
}

impl Bytecodes {
    /// Notes a start; makes what is missing from the second on. Needs a tokio runtime.
    pub(crate) fn note(
        &self,
        launcher: &Arc<Launcher>,
        data: &DataDir,
        interpreter: &Interpreter,
        package: &Path,
    ) {
        let Some(name) = name(interpreter, package) else { return };
        if !self.is_due(&name) {
            return;
        }
        let folder = data.path().join(FOLDER).join(&name);
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            self.seen.lock().expect("no holder of this lock can panic").insert(name, Stage::Started);
            return;
        };
        if folder.join(FILE).exists() {
            return;
        }
        let sweep = !std::mem::replace(&mut *self.swept.lock().expect("as above"), true);
        let (launcher, data, turn) = (Arc::clone(launcher), data.clone(), Arc::clone(&self.turn));
        let (spec, package) = (spec(data.path(), interpreter, package), package.to_owned());
        tokio::spawn(async move {
            let _place = place;
            let Ok(_turn) = turn.acquire().await else { return };
            if sweep && let Some(packages) = package.parent() {
                remove_unused(&data.path().join(FOLDER), packages);
            }
            let kept = match make(&launcher, spec).await {
                Ok(bytes) if bytes.is_empty() => return,
                Ok(bytes) => keep(&data, &name, &bytes),
                Err(error) => Err(error),
            };
            match kept {
                Ok(()) => tracing::debug!(%name, "kept byte code"),
                Err(error) => {
                    tracing::info!(%name, %error, "no byte code: this package is compiled at every start")
                }
            }
        });
    }

    /// Whether this start is the second.
    fn is_due(&self, name: &str) -> bool {
        let mut seen = self.seen.lock().expect("no holder of this lock can panic");
        match seen.get_mut(name) {
            None => {
                seen.insert(name.to_owned(), Stage::Started);
                false
            }
            Some(stage) => std::mem::replace(stage, Stage::TakenUp) == Stage::Started,
        }
    }
}

async fn make(launcher: &Launcher, spec: Spec) -> Result<Vec<u8>, BytecodeError> {
    let mut sandbox = launcher.create(spec).await?;
    let made = tokio::time::timeout(PATIENCE, receive(&mut sandbox)).await;
    sandbox.kill().await;
    made.map_err(|_| BytecodeError::TooLong(PATIENCE.as_secs()))?
}

async fn receive(sandbox: &mut Sandbox) -> Result<Vec<u8>, BytecodeError> {
    let control = sandbox.control.take().ok_or_else(|| std::io::Error::other("no control socket"))?;
    control.set_nonblocking(true)?;
    let mut bytes = Vec::new();
    UnixStream::from_std(control)?.take(MOST_BYTES + HEAD_BYTES + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > MOST_BYTES + HEAD_BYTES {
        return Err(BytecodeError::TooLarge);
    }
    match sandbox.exited().await {
        Exit::Code(0) => Ok(bytes),
        other => Err(BytecodeError::Failed(other)),
    }
}

fn spec(data: &Path, interpreter: &Interpreter, package: &Path) -> Spec {
    let bind = |host: PathBuf, guest: &str| Bind { host, guest: guest.into() };
    let own = [bind(package.into(), TASK), bind(data.join(bootstraps::FOLDER), bootstraps::GUEST)];
    let needs = interpreter.needs.iter().map(|path| Bind { host: path.clone(), guest: path.clone() });
    let program = format!("{}/{PROGRAM}", bootstraps::GUEST);
    let argv = [&interpreter.executable.to_string_lossy(), "-I", "-S", "-B", "-X", "utf8", &program];
    let argv = argv.into_iter().map(str::to_owned).chain([MOST_BYTES.to_string()]);
    Spec {
        id: "byte-code".into(),
        argv: argv.collect(),
        env: vec![("LC_ALL".into(), "C.UTF-8".into()), ("PATH".into(), "/usr/bin:/bin".into())],
        workdir: "/tmp".into(),
        binds: own.into_iter().chain(needs).collect(),
        tmp_bytes: MEBIBYTE,
        memory_bytes: MEMORY_BYTES,
        cpu_millis: 1000,
        cpu_weight: CPU_WEIGHT,
        pids: 4,
        control: true,
        ..Spec::default()
    }
}

/// Instances run as users of their own, and see the folder through an overlay.
fn keep(data: &DataDir, name: &str, bytes: &[u8]) -> Result<(), BytecodeError> {
    for part in [FOLDER.to_owned(), format!("{FOLDER}/{name}")] {
        let folder = data.dir(&part)?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    let path = data.write_atomic(&format!("{FOLDER}/{name}/{FILE}"), bytes, 0o644)?;
    Ok(std::fs::set_permissions(path, Permissions::from_mode(0o644))?)
}

/// Removes what belongs to packages that are gone.
fn remove_unused(folder: &Path, packages: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let package = name.split('-').next().unwrap_or_default();
        if !packages.join(package).exists()
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::info!(%name, %error, "old byte code stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_due_at_its_second_start_and_once() {
        let bytecodes = Bytecodes::default();
        let asked = ["a", "b", "a", "a", "b"].map(|name| bytecodes.is_due(name));
        assert_eq!(asked, [false, false, true, false, true]);
    }

    #[test]
    fn what_belongs_to_no_package_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, packages) = (folder.path().join("bytecode"), folder.path().join("code"));
        for path in ["bytecode/ab12-cpython-313-1", "bytecode/cd34-cpython-313-1", "code/ab12"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        remove_unused(&kept, &packages);
        assert!(kept.join("ab12-cpython-313-1").exists() && !kept.join("cd34-cpython-313-1").exists());
    }
}
