//! Where the attacker is let loose: a launcher in each mode that this machine offers, and a look at what is left.
#![allow(dead_code, reason = "each test program uses a part of it")]

use sandbox::{Bind, Exit, Launcher, LauncherOptions, Layers, Sandbox, SandboxError, Spec};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Where the attacker is inside.
pub const EVIL: &str = "/opt/evil/evil";

/// Empty sandboxes that a launcher keeps, so that who comes next finds one.
pub const AHEAD: usize = 2;

/// The ordinary user of tests that root runs.
const ORDINARY: &str = "54321";

/// How long anything may take: the machine may be busy with other things, or emulated.
const PATIENCE: Duration = Duration::from_secs(180);

/// How the launcher runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As root.
    Root,
    /// As an ordinary user with user namespaces.
    User,
}

/// A launcher and the attacker's program.
pub struct Arena {
    pub mode: Mode,
    pub launcher: Launcher,
    pub folder: TempDir,
    start: Residue,
}

/// What a launcher holds while no sandbox lives.
#[derive(Debug, Default, PartialEq, Eq)]
struct Residue {
    children: usize,
    launcher_descriptors: Option<usize>,
    own_descriptors: usize,
    cgroups: usize,
    mounts: usize,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    pub exit: Exit,
    pub stdout: String,
    pub stderr: String,
    pub oom_killed: bool,
    pub usage: model::Usage,
}

static TURN: Mutex<()> = Mutex::new(());

/// Runs a check in each mode, one at a time, and looks that nothing is left of it.
pub fn in_each_mode(check: impl AsyncFn(&Arena)) {
    for mode in [Mode::Root, Mode::User] {
        in_mode(mode, &check);
    }
}

/// Waits until no other check runs, and keeps others from running.
pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a check in one mode.
pub fn in_mode(mode: Mode, check: &impl AsyncFn(&Arena)) {
    let _one_at_a_time = turn();
    let root = rustix::process::getuid().is_root();
    if mode == Mode::Root && !root {
        println!("not run: as root, since this is not root");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let arena = Arena::open(mode);
        if arena.launcher.protections().level == 0 {
            let why =
                arena.launcher.protections().missing().next().and_then(|layer| layer.why_missing.clone());
            assert!(mode == Mode::User || cfg!(not(target_os = "linux")), "root must be able to: {why:?}");
            println!("not run: as an ordinary user: {}", why.unwrap_or_default());
            return;
        }
        let checked = tokio::time::timeout(PATIENCE * 5, check(&arena)).await;
        assert!(checked.is_ok(), "the check took too long as {mode:?}");
        arena.expect_clean().await;
        arena.close();
    });
}

impl Arena {
    fn open(mode: Mode) -> Self {
        let folder = TempDir::new().expect("a folder");
        let everyone = |path: &Path, bits| {
            fs::set_permissions(path, fs::Permissions::from_mode(bits)).expect("own file")
        };
        everyone(folder.path(), 0o755);
        let (bin, evil) = (folder.path().join("launcher"), folder.path().join("package/evil"));
        fs::create_dir(folder.path().join("package")).expect("a folder");
        fs::copy(env!("CARGO_BIN_EXE_sandbox-launcher"), &bin).expect("the launcher");
        fs::copy(env!("CARGO_BIN_EXE_sandbox-evil"), &evil).expect("the attacker");
        fs::write(folder.path().join("package/data"), "data").expect("a file");
        everyone(&bin, 0o755);
        everyone(&evil, 0o755);
        everyone(&folder.path().join("package"), 0o755);
        let launcher = start(mode, &bin);
        let mut arena = Self { mode, launcher, folder, start: Residue::default() };
        arena.start = arena.rest();
        arena
    }

    /// What the launcher holds once it has made ahead what it makes as soon as it may; that is not residue.
    fn rest(&self) -> Residue {
        let (mut last, mut alike) = (self.residue(), 0);
        for _ in 0..200 {
            std::thread::sleep(Duration::from_millis(20));
            let now = self.residue();
            alike = if now == last { alike + 1 } else { 0 };
            last = now;
            if alike == 4 {
                break;
            }
        }
        last
    }

    /// A sandbox for the attacker with `verb`.
    pub fn spec(&self, verb: &[&str]) -> Spec {
        let argv = [EVIL].iter().chain(verb).map(|text| (*text).to_owned()).collect();
        let binds = vec![Bind { host: self.folder.path().join("package"), guest: "/opt/evil".into() }];
        Spec { argv, binds, ..self.plain() }
    }

    /// A sandbox for programs of the host.
    pub fn host_program(&self, argv: &[&str]) -> Spec {
        Spec { argv: argv.iter().map(|text| (*text).to_owned()).collect(), ..self.plain() }
    }

    fn plain(&self) -> Spec {
        Spec {
            id: "test".to_owned(),
            workdir: "/tmp".to_owned(),
            tmp_bytes: 8 << 20,
            memory_bytes: 128 << 20,
            cpu_millis: 1000,
            pids: 64,
            ..Spec::default()
        }
    }

    /// Makes a sandbox that must come up.
    pub async fn create(&self, spec: Spec) -> Sandbox {
        self.launcher.create(spec).await.unwrap_or_else(|error| panic!("as {:?}: {error}", self.mode))
    }

    /// Runs to the end.
    pub async fn run(&self, spec: Spec) -> Outcome {
        let sandbox = self.create(spec).await;
        let exit = tokio::time::timeout(PATIENCE, sandbox.exited()).await.expect("it ends");
        let (stdout, stderr) = (read_to_end(&sandbox.stdout), read_to_end(&sandbox.stderr));
        Outcome { exit, stdout, stderr, oom_killed: sandbox.oom_killed(), usage: sandbox.usage() }
    }

    /// Runs the attacker with some layers off and returns its `what: outcome` lines.
    pub async fn attack(&self, verb: &[&str], layers: Layers) -> Attempts {
        let binds_off = !layers.root;
        let mut spec = Spec { layers, ..self.spec(verb) };
        if binds_off {
            spec.argv[0] = self.folder.path().join("package/evil").to_str().expect("a plain path").to_owned();
        }
        let outcome = self.run(spec).await;
        Attempts::parse(&outcome.stdout, &format!("{:?} {verb:?}: {outcome:?}", self.mode))
    }

    /// The process that nothing inside may reach: this one.
    pub fn outsider() -> String {
        std::process::id().to_string()
    }

    /// Fails if anything is left of the sandboxes that were made.
    pub async fn expect_clean(&self) {
        let mut now = self.residue();
        for _ in 0..400 {
            if now == self.start {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            now = self.residue();
        }
        assert_eq!(now, self.start, "something is left as {:?}", self.mode);
    }

    fn residue(&self) -> Residue {
        let launcher = self.launcher.process_id();
        let count = |path: String| fs::read_dir(path).ok().map(Iterator::count);
        Residue {
            children: children(launcher),
            launcher_descriptors: count(format!("/proc/{launcher}/fd")),
            own_descriptors: count("/proc/self/fd".to_owned()).unwrap_or(0),
            cgroups: cgroups(launcher).len(),
            mounts: fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines().count(),
        }
    }

    /// Ends the launcher and fails if anything is left of it.
    fn close(self) {
        let launcher = self.launcher.process_id();
        drop(self.launcher);
        assert!(!Path::new(&format!("/proc/{launcher}")).exists(), "the launcher lives on");
        assert_eq!(cgroups(launcher), Vec::<PathBuf>::new(), "control groups are left");
    }
}

/// Starts a program in a control group that was handed to the ordinary user, as systemd does with Delegate=yes. Only
/// where these tests have control groups v2 to themselves and say so.
const DELEGATED: &str = r#"
group=$(mktemp -d "$0/XXXXXX") && user=$1 && shift &&
chown "$user" "$group" "$group/cgroup.procs" "$group/cgroup.subtree_control" "$group/cgroup.threads" &&
echo $$ > "$group/cgroup.procs" && exec "$@""#;

/// Starts a launcher; as an ordinary user through `setpriv` if this is root.
pub fn start(mode: Mode, bin: &Path) -> Launcher {
    let started: Result<Launcher, SandboxError> = if mode == Mode::User && rustix::process::getuid().is_root()
    {
        let (user, group) = (format!("--reuid={ORDINARY}"), format!("--regid={ORDINARY}"));
        let bin = bin.to_str().expect("a plain path");
        let become_user = ["/usr/bin/setpriv", &user, &group, "--clear-groups", bin];
        let delegated = std::env::var("DAYFLY_DELEGATED").ok();
        let words = match &delegated {
            Some(parent) => {
                ["/bin/sh", "-c", DELEGATED, parent, ORDINARY].into_iter().chain(become_user).collect()
            }
            None => Vec::from(become_user),
        };
        let arguments = words[1..].iter().map(|word| (*word).to_owned()).collect();
        Launcher::start(Path::new(words[0]), LauncherOptions { arguments })
    } else {
        Launcher::start(bin, LauncherOptions::default())
    };
    started.expect("the launcher starts")
}

/// Living children of a process.
pub fn children(process: u32) -> usize {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    list.split_whitespace().count()
}

/// Living processes below a process.
pub fn descendants(process: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = list.split_whitespace().filter_map(|pid| pid.parse().ok());
    children.flat_map(|child| std::iter::once(child).chain(descendants(child))).collect()
}

/// Whether a process lives and is no zombie.
pub fn lives(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Directories of control groups that a launcher has made.
pub fn cgroups(launcher: u32) -> Vec<PathBuf> {
    let wanted = format!("dayfly-{launcher}");
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.path().components().any(|part| part.as_os_str() == wanted.as_str()) {
                found.push(entry.path());
            }
            folders.push(entry.path());
        }
    }
    found
}

/// What is in a pipe whose writers are gone.
pub fn read_to_end(pipe: &std::os::fd::OwnedFd) -> String {
    let mut text = Vec::new();
    let file = fs::File::from(pipe.try_clone().expect("a descriptor"));
    file.take(1 << 20).read_to_end(&mut text).expect("a pipe");
    String::from_utf8_lossy(&text).into_owned()
}

/// Waits until a line that starts with `start` appears in a pipe, and returns what follows it.
pub async fn wait_for_line(pipe: &std::os::fd::OwnedFd, start: &str) -> String {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(pipe.try_clone().expect("a descriptor"));
    let mut lines = BufReader::new(pipe.expect("a pipe")).lines();
    let search = async {
        while let Some(line) = lines.next_line().await.expect("lines") {
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
        panic!("no line starts with {start}");
    };
    tokio::time::timeout(PATIENCE, search).await.expect("the line comes")
}

/// What the attacker tried and how it went.
pub struct Attempts {
    lines: Vec<(String, String)>,
    context: String,
}

impl Attempts {
    pub fn parse(text: &str, context: &str) -> Self {
        let split = |line: &str| line.rsplit_once(": ").map(|(what, how)| (what.to_owned(), how.to_owned()));
        Self { lines: text.lines().filter_map(split).collect(), context: context.to_owned() }
    }

    /// The outcome of one attempt.
    pub fn of(&self, what: &str) -> &str {
        let found = self.lines.iter().find(|(attempt, _)| attempt == what);
        &found.unwrap_or_else(|| panic!("no attempt {what} in {}", self.context)).1
    }

    /// All outcomes with this name.
    pub fn all<'a>(&'a self, what: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter(move |(attempt, _)| attempt == what).map(|(_, outcome)| outcome.as_str())
    }

    /// Every attempt failed with one of these errors, and there were some.
    pub fn expect_all(&self, allowed: &[&str]) {
        assert!(!self.lines.is_empty(), "nothing was tried: {}", self.context);
        let wrong: BTreeMap<_, _> = self
            .lines
            .iter()
            .filter(|(_, outcome)| !allowed.contains(&outcome.as_str()))
            .map(|(what, outcome)| (what.as_str(), outcome.as_str()))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?} should be of {allowed:?} in {}", self.context);
    }

    /// Some attempts ended so.
    pub fn expect(&self, outcomes: &[(&str, &[&str])]) {
        for (what, allowed) in outcomes {
            let outcome = self.of(what);
            assert!(
                allowed.contains(&outcome),
                "{what}: {outcome} should be of {allowed:?} in {}",
                self.context
            );
        }
    }
}
