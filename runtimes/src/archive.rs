//! Archives of Java classes: what a JVM would load and check at every start, ready to be mapped.
//!
//! One for each JDK, made by that JDK in a sandbox of its own at the first use, while the first instance starts
//! without it. It is bound to the JDK and to our bootstrap as they are; a JVM ignores one that does not fit.

use crate::plan::java;
use crate::{Interpreter, bootstraps};
use model::limit;
use sandbox::{Bind, Exit, Launcher, Sandbox, SandboxError, Spec};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::DataDir;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

const PREFIX: &str = "java-";
const SUFFIX: &str = ".jsa";
const MEBIBYTE: u64 = 1024 * 1024;
const MEMORY_BYTES: u64 = 1024 * MEBIBYTE;
const MOST_BYTES: u64 = limit("class-archive-bytes");
const PATIENCE: Duration = Duration::from_secs(limit("class-archive-time"));
/// A tenth of one core's share: functions come first.
const CPU_WEIGHT: u32 = Spec::CORE_WEIGHT / 10;
/// `$1`: the flags of all JVMs; `$2`: our bootstrap. The archive leaves over the socket.
const SCRIPT: &str = "
exec >/tmp/said 2>&1
$1 -XX:DumpLoadedClassList=/tmp/classes $2 rehearse &&
$1 -Xshare:dump -XX:SharedClassListFile=/tmp/classes -XX:SharedArchiveFile=/tmp/archive $2 &&
exec cat /tmp/archive >&3
exit 1
";

/// Where archives are kept, and which were begun since the start of this process.
#[derive(Debug, Default)]
pub(crate) struct Archives {
    begun: Mutex<BTreeSet<String>>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
enum ArchiveError {
    #[error("no sandbox could be made: {0}")]
    Sandbox(#[from] SandboxError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("it was not done within {0} seconds (limit class-archive-time)")]
    TooLong(u64),
    #[error("it has more than {MOST_BYTES} bytes (limit class-archive-bytes)")]
    TooLarge,
    #[error("the JVM that made it ended with {0:?}")]
    Failed(Exit),
}

/// The name, in the runtime folder, of the archive for an interpreter as it and our bootstrap are now.
pub(crate) fn name(interpreter: &Interpreter, folder: &Path) -> Option<String> {
    let mut hasher = DefaultHasher::new();
    for path in [&interpreter.executable, &folder.join(&interpreter.bootstrap)] {
        let about = path.metadata().ok()?;
        (path, about.len(), about.mtime(), about.mtime_nsec()).hash(&mut hasher);
    }
    java::machine(interpreter).hash(&mut hasher);
    let (major, minor, patch) = interpreter.version;
    Some(format!("{PREFIX}{major}.{minor}.{patch}-{:016x}{SUFFIX}", hasher.finish()))
}

impl Archives {
    /// Begins to make what is missing, once for each interpreter. Needs a tokio runtime.
    pub(crate) fn prepare(&self, launcher: &Arc<Launcher>, data: &DataDir, interpreter: &Interpreter) {
        let folder = data.path().join(bootstraps::FOLDER);
        let Some(name) = name(interpreter, &folder).filter(|name| !folder.join(name).exists()) else {
            return;
        };
        if !self.begun.lock().expect("no holder of this lock can panic").insert(name.clone()) {
            return;
        }
        let (launcher, data, interpreter) = (Arc::clone(launcher), data.clone(), interpreter.clone());
        tokio::spawn(async move {
            match make(&launcher, &folder, &interpreter).await.and_then(|bytes| keep(&data, &name, &bytes)) {
                Ok(()) => tracing::info!(%name, "made a class archive"),
                Err(error) => tracing::warn!(%name, %error, "no class archive: Java starts slower"),
            }
        });
    }
}

async fn make(
    launcher: &Launcher,
    folder: &Path,
    interpreter: &Interpreter,
) -> Result<Vec<u8>, ArchiveError> {
    let mut sandbox = launcher.create(spec(folder, interpreter)).await?;
    let made = tokio::time::timeout(PATIENCE, receive(&mut sandbox)).await;
    sandbox.kill().await;
    made.map_err(|_| ArchiveError::TooLong(PATIENCE.as_secs()))?
}

async fn receive(sandbox: &mut Sandbox) -> Result<Vec<u8>, ArchiveError> {
    let control = sandbox.control.take().ok_or_else(|| std::io::Error::other("no control socket"))?;
    control.set_nonblocking(true)?;
    let mut bytes = Vec::new();
    UnixStream::from_std(control)?.take(MOST_BYTES + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(ArchiveError::TooLarge);
    }
    match sandbox.exited().await {
        Exit::Code(0) if !bytes.is_empty() => Ok(bytes),
        other => Err(ArchiveError::Failed(other)),
    }
}

fn spec(folder: &Path, interpreter: &Interpreter) -> Spec {
    let argv = [
        "/bin/sh".to_owned(),
        "-c".to_owned(),
        SCRIPT.to_owned(),
        "sh".to_owned(),
        java::machine(interpreter).join(" "),
        java::program(interpreter).join(" "),
    ];
    let own = Bind { host: folder.to_owned(), guest: bootstraps::GUEST.into() };
    let needs = interpreter.needs.iter().map(|path| Bind { host: path.clone(), guest: path.clone() });
    Spec {
        id: format!("class-archive-{}", interpreter.identifier()),
        argv: argv.into(),
        env: vec![("LC_ALL".into(), "C.UTF-8".into()), ("PATH".into(), "/usr/bin:/bin".into())],
        workdir: "/tmp".into(),
        binds: [own].into_iter().chain(needs).collect(),
        tmp_bytes: 4 * MOST_BYTES,
        memory_bytes: MEMORY_BYTES,
        cpu_millis: 1000,
        cpu_weight: CPU_WEIGHT,
        pids: 64,
        control: true,
        ..Spec::default()
    }
}

/// Writes it, and removes those of the same version that nobody will ask for any more.
fn keep(data: &DataDir, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
    bootstraps::write(data, name, bytes)?;
    let stem = name.rsplit_once('-').map_or(name, |(stem, _)| stem);
    for entry in std::fs::read_dir(data.path().join(bootstraps::FOLDER))?.flatten() {
        let other = entry.file_name().to_string_lossy().into_owned();
        if other != name && other.starts_with(stem) && other.ends_with(SUFFIX) {
            data.remove(&format!("{}/{other}", bootstraps::FOLDER))?;
        }
    }
    Ok(())
}
