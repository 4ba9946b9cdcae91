//! Control groups: what a sandbox may use together, and what it has used. Two kernels' interfaces and none behind
//! one trait.

mod mountinfo;
mod none;
mod v1;
mod v2;

use crate::gauge::Meter;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What a sandbox may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes, swap included.
    pub(crate) memory_bytes: u64,
    /// Thousandths of a core.
    pub(crate) cpu_millis: u32,
    /// Share while there is not enough, [`crate::Spec::CORE_WEIGHT`] for one core's.
    pub(crate) cpu_weight: u32,
    /// Processes and threads, the sandbox's own first process included.
    pub(crate) pids: u32,
}

impl Limits {
    /// Quota and period of processor time, in microseconds. The period is short, so that a throttled function waits
    /// little, unless the quota would fall below the kernel's least.
    fn cpu_quota_us(&self) -> (u64, u64) {
        const LEAST_US: u64 = 1_000;
        let quota = |period: u64| period * u64::from(self.cpu_millis) / 1000;
        let period = if quota(20_000) < LEAST_US { 100_000 } else { 20_000 };
        (quota(period).max(LEAST_US), period)
    }
}

/// One file to write: its name, its content, and whether a kernel without it is refused.
type Setting = (&'static str, String, bool);

/// The controller that a file belongs to.
fn controller(file: &'static str) -> &'static str {
    file.split('.').next().unwrap_or_default()
}

/// Where control groups are made.
pub(crate) trait Hierarchy {
    /// `cgroup v1`, `cgroup v2` or `none`.
    fn name(&self) -> &'static str;
    /// Which of `memory`, `cpu`, `pids` it cannot limit, and why.
    fn missing(&self) -> Vec<(&'static str, String)>;
    /// Makes an empty group.
    fn make(&self, name: &str) -> io::Result<Box<dyn Group>>;
    /// Removes what the hierarchy itself has made.
    fn remove(&self);
}

/// One sandbox's group. What one does that is none stands here: nothing.
pub(crate) trait Group {
    /// Sets the limits, before anything but the platform's own code runs in it, or again.
    fn limit(&self, _limits: &Limits) -> io::Result<()> {
        Ok(())
    }
    /// Reads the limits back: which of `memory`, `cpu`, `pids` are not as they were set last, and in what.
    fn deviations(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    /// How a process enters.
    fn entry(&self) -> Entry<'_> {
        Entry::Nowhere
    }
    /// Files that put whoever writes `0` to them into the group, for one who is not born there.
    fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        Ok(Vec::new())
    }
    /// Opened counters, handed out once.
    fn take_meters(&mut self) -> Vec<(Meter, OwnedFd)> {
        Vec::new()
    }
    /// Lets go of what only entering needed.
    fn entered(&mut self) {}
    /// Becomes readable when a process was killed for memory, where the interface says so and does not kill the
    /// whole group by itself.
    fn oom_event(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Kills every process in it, where the interface can.
    fn kill(&self) {}
    /// Lets no process in it use the processor, or lets them again; `false` where the interface cannot, or not so that
    /// they can still be killed.
    fn freeze(&self, _still: bool) -> bool {
        false
    }
    /// Whether it stands for a sandbox without namespaces, whose program is its own first process.
    fn is_bare(&self) -> bool {
        false
    }
    /// Removes it. Fails with `ResourceBusy` while a process is still dying in it; removing again is fine.
    fn remove(&self) -> io::Result<()> {
        Ok(())
    }
}

/// How a process enters a group.
pub(crate) enum Entry<'a> {
    /// By itself, writing `0` to each of these files.
    Tasks(&'a [OwnedFd]),
    /// By being born in this directory.
    Birth(BorrowedFd<'a>),
    /// Not at all.
    Nowhere,
}

/// Finds the best hierarchy of this machine. `owners` are the processes that may be moved aside to use it.
pub(crate) fn find(owners: &[i32]) -> Box<dyn Hierarchy> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let v2 = v2::Tree::open(&mounts, &own, owners);
    if let Ok(tree) = v2.as_ref()
        && tree.missing().is_empty()
    {
        return Box::new(v2.expect("it was looked at just now"));
    }
    let v1 = v1::Forest::open(&mounts, &own);
    match (v1, v2) {
        (Ok(forest), v2) => {
            if let Ok(tree) = v2 {
                tree.remove();
            }
            Box::new(forest)
        }
        (Err(_), Ok(tree)) => Box::new(tree),
        (Err(v1), Err(v2)) => {
            let why = if v1.kind() == io::ErrorKind::NotFound { v2 } else { v1 };
            let why = match why.kind() {
                io::ErrorKind::NotFound => "no control group file system is mounted".to_owned(),
                _ => why.to_string(),
            };
            none(why)
        }
    }
}

/// Does without, for this reason.
pub(crate) fn none(why: String) -> Box<dyn Hierarchy> {
    Box::new(none::NoHierarchy { why })
}

/// Why no group can be made in `parent`.
fn refused(parent: &Path, error: &io::Error) -> io::Error {
    let (kind, parent) = (error.kind(), parent.display());
    io::Error::new(kind, format!("no control group can be made in {parent} ({kind})"))
}

/// What all sandboxes together weigh against the other groups of the machine, where `one` is what a group weighs by
/// default. A group's weight is divided among the cores on which it runs; as many weights as there are cores give all
/// functions together, on each core, what one other program gets there, whether one of them is busy or many are. How
/// they share that among themselves is their own weights' matter, which meet nobody else's.
fn weight_of_all(one: u64) -> u64 {
    one * std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// Names the directory that holds one launcher's groups.
fn own_folder() -> String {
    format!("dayfly-{}", std::process::id())
}

/// Removes what launchers that no longer live have left in `parent`, one of this very process number among them: in a
/// container, numbers come again. Their sandboxes died with them. To be called before this launcher makes its own.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix("dayfly-")) else { continue };
        let gone = |pid| pid == std::process::id() || !Path::new(&format!("/proc/{pid}")).exists();
        if pid.parse::<u32>().is_ok_and(gone) {
            // The last of them may still be dying.
            let mut tries = 0..100;
            while remove_tree(&entry.path()).is_err() && tries.next().is_some() {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
    }
}

/// Removes a directory of groups and the groups in it.
fn remove_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
    remove_group(path)
}

/// Removes a group's directory; that it is gone already is fine.
fn remove_group(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A group's directory.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// Open for as long as many files in it are to be opened.
    fd: Option<OwnedFd>,
}

impl Folder {
    fn make(path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&path)?;
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::RDONLY;
        match rustix::fs::open(&path, flags, rustix::fs::Mode::empty()) {
            Ok(fd) => Ok(Self { path, fd: Some(fd) }),
            Err(error) => {
                let _ = fs::remove_dir(&path);
                Err(error.into())
            }
        }
    }

    fn open(&self, file: &str, flags: rustix::fs::OFlags) -> io::Result<OwnedFd> {
        let flags = flags | rustix::fs::OFlags::CLOEXEC;
        let mode = rustix::fs::Mode::empty();
        Ok(match &self.fd {
            Some(fd) => rustix::fs::openat(fd, file, flags, mode),
            None => rustix::fs::open(self.path.join(file), flags, mode),
        }?)
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let file = self.open(file, rustix::fs::OFlags::WRONLY)?;
        rustix::io::write(file.as_fd(), text.as_bytes())?;
        Ok(())
    }

    /// Writes those of its controllers that are others than `before`.
    fn set(&self, has: impl Fn(&str) -> bool, settings: &[Setting], before: &[Setting]) -> io::Result<()> {
        let new = |setting: &&Setting| has(controller(setting.0)) && !before.contains(setting);
        for (file, text, required) in settings.iter().filter(new) {
            match self.write(file, text) {
                Err(error) if *required => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads back those of its controllers.
    fn deviations(&self, has: impl Fn(&str) -> bool, settings: &[Setting]) -> Vec<(&'static str, String)> {
        let deviates = |(file, text, required): &Setting| match fs::read_to_string(self.path.join(file)) {
            Ok(found) if found.trim() == text => None,
            Ok(found) => Some((controller(file), format!("{file} is {} and not {text}", found.trim()))),
            Err(error) => required.then(|| (controller(file), format!("{file} cannot be read: {error}"))),
        };
        settings.iter().filter(|(file, ..)| has(controller(file))).filter_map(deviates).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeping_removes_what_dead_launchers_have_left() {
        let parent = tempfile::TempDir::new().unwrap();
        let own = own_folder();
        let cases =
            [(own.as_str(), false), ("dayfly-999999999", false), ("dayfly-1", true), ("other-7", true)];
        for (name, _) in cases {
            fs::create_dir_all(parent.path().join(name).join("3")).unwrap();
        }
        sweep(parent.path());
        for (name, stays) in cases {
            assert_eq!(parent.path().join(name).exists(), stays, "{name}");
        }
    }
}
