//! An engine over real sandboxes and real interpreters.

use crate::book::Book;
use invoke::{Answer, Bounds, Done, Engine, Parts, Sandboxes, SandboxesParts};
use model::{Call, FunctionName, Language, Place, Runtime, Version};
use runtimes::{Credentials, Runtimes};
use sandbox::{Launcher, LauncherOptions};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::DataDir;
use tokio::sync::{Mutex, MutexGuard};
use world::World;

/// Everything that real calls need. Ended by [`Ground::end`].
pub struct Ground {
    pub engine: Arc<Engine>,
    pub book: Arc<Book>,
    pub world: World,
    runtimes: Arc<Runtimes>,
    folder: tempfile::TempDir,
    _data: DataDir,
    before: Residue,
    _alone: MutexGuard<'static, ()>,
}

/// One at a time: each counts this process's descriptors and peak memory.
static ALONE: Mutex<()> = Mutex::const_new(());

/// What must be the same before and after.
#[derive(Debug, PartialEq, Eq)]
pub struct Residue {
    descriptors: usize,
    mounts: usize,
    children: usize,
}

impl Ground {
    pub async fn new(bounds: Bounds) -> Self {
        let alone = ALONE.lock().await;
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        let launcher = Path::new(env!("CARGO_BIN_EXE_invoke-launcher"));
        let launcher = Launcher::start(launcher, LauncherOptions::default()).unwrap();
        let runtimes = Arc::new(Runtimes::discover(&launcher, &data).await.unwrap());
        let before = Residue::now();
        let (world, book) = (World::real(), Arc::new(Book::default()));
        let sandboxes = Sandboxes::new(SandboxesParts {
            launcher: Arc::new(launcher),
            runtimes: runtimes.clone(),
            place: Place::default(),
            credentials: Box::new(|_, _| Credentials::default()),
            components: None,
            endpoint: None,
            journal: book.clone(),
            world: world.clone(),
            budget: Arc::new(|| 1 << 30),
            snapstart: false,
        });
        let parts = Parts { start: Arc::new(sandboxes), journal: book.clone(), world: world.clone(), bounds };
        Self { engine: Engine::new(parts), book, world, runtimes, folder, _data: data, before, _alone: alone }
    }

    /// The newest interpreter of a language on this machine, as a runtime identifier.
    pub fn runtime(&self, language: Language) -> Option<Runtime> {
        let found = self.runtimes.found().iter().find(|found| found.language == language)?;
        Some(Runtime::parse(&found.identifier()).unwrap())
    }

    /// A function of one file. The name of the file is the name of the function.
    pub fn function(&self, runtime: Runtime, file: &str, code: &str) -> Version {
        let stem = file.split('.').next().unwrap();
        let code_dir = self.folder.path().join(format!("code-{}-{stem}", self.world.hex(4)));
        fs::create_dir(&code_dir).unwrap();
        fs::set_permissions(&code_dir, fs::Permissions::from_mode(0o755)).unwrap();
        let path = code_dir.join(file);
        fs::write(&path, code).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Version {
            function: FunctionName::parse(stem).unwrap(),
            version: model::LATEST.into(),
            revision: self.world.uuid(),
            arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{stem}:$LATEST"),
            runtime,
            handler: format!("{stem}.handler"),
            code_dir,
            memory_mb: 256,
            tmp_mb: 16,
            timeout_s: 20,
            environment: Default::default(),
            role: "arn:aws:iam::000000000000:role/test".into(),
            log_group: format!("/aws/lambda/{stem}"),
            concurrency: None,
            instance_concurrency: 1,
            weight: 1,
            snapstart: false,
        }
    }

    pub async fn invoke(&self, version: &Arc<Version>, event: &str) -> Done {
        let call = Call {
            request_id: self.world.uuid(),
            payload: event.to_owned().into(),
            invoked_arn: version.arn.clone(),
            caller: "*".into(),
            from: String::new(),
            tail: true,
            ..Call::default()
        };
        self.engine.invoke(version, call).await.unwrap()
    }

    /// Ends the engine and checks that nothing is left of its instances.
    pub async fn end(self) {
        self.engine.drain(Duration::from_secs(5)).await;
        assert_eq!(self.engine.instances(), []);
        // Descriptors of dropped tasks are closed when the runtime next looks at them.
        for _ in 0..100 {
            if Residue::now() == self.before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(Residue::now(), self.before, "left behind");
    }
}

impl Residue {
    fn now() -> Self {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap().lines().count();
        Self { descriptors, mounts, children: marked_processes().len() }
    }
}

/// The command lines of all processes of this machine that carry this test process's mark.
fn marked_processes() -> Vec<String> {
    let mark = format!("marked-{}", std::process::id());
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .filter(|line| line.contains(&mark))
        .collect()
}

/// The text of an answer.
pub fn text(done: &Done) -> String {
    let (Answer::Returned(bytes) | Answer::Failed(bytes)) = &done.outcome;
    String::from_utf8_lossy(bytes).into_owned()
}
