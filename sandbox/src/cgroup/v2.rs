//! Control groups, version 2: one tree, controllers handed down.

use super::mountinfo::mounted;
use super::{
    Entry, Folder, Group, Hierarchy, Limits, Setting, own_folder, remove_group, remove_tree, sweep,
    weight_of_all,
};
use crate::gauge::Meter;
use rustix::fs::OFlags;
use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

const WANTED: [&str; 3] = ["memory", "cpu", "pids"];

/// This launcher's place in the tree.
pub(super) struct Tree {
    folder: PathBuf,
    controllers: Vec<&'static str>,
}

impl Tree {
    /// Makes this launcher's directory where the controllers can be had: below its own group, or, for root, at the
    /// top. A group that has processes cannot hand controllers down, so `owners` move aside if they are alone in it.
    ///
    /// # Errors
    /// `NotFound` where the tree is not mounted; whatever making the directory answered.
    pub(super) fn open(mounts: &str, own: &str, owners: &[i32]) -> io::Result<Self> {
        let place = mounted("cgroup2", mounts, own).into_iter().next().ok_or(io::ErrorKind::NotFound)?;
        let mut best: io::Result<Self> = Err(io::ErrorKind::NotFound.into());
        let parents = if place.own == place.top { vec![&place.own] } else { vec![&place.own, &place.top] };
        for parent in parents {
            hand_down(parent, owners);
            sweep(parent);
            let made = Self::below(parent);
            let found = |tree: &io::Result<Self>| tree.as_ref().map_or(0, |tree| 1 + tree.controllers.len());
            if found(&made) > found(&best) {
                if let Ok(worse) = &best {
                    worse.remove();
                }
                best = made;
            } else if let Ok(worse) = &made {
                worse.remove();
            } else if best.is_err() {
                best = made;
            }
            if best.as_ref().is_ok_and(|tree| tree.controllers.len() == WANTED.len()) {
                break;
            }
        }
        best
    }

    /// This launcher's directory in `parent`, with whatever controllers can be had there.
    pub(super) fn below(parent: &Path) -> io::Result<Self> {
        let folder = parent.join(own_folder());
        fs::create_dir(&folder).map_err(|error| super::refused(parent, &error))?;
        let offered = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
        let has = |name: &&str| offered.split_whitespace().any(|offer| offer == *name);
        let controllers: Vec<_> = WANTED.into_iter().filter(has).collect();
        let controllers = if enable(&folder, &controllers).is_ok() { controllers } else { Vec::new() };
        // Absent where the processor cannot be had.
        let weight = weight_of_all(DEFAULT_WEIGHT).min(MOST_WEIGHT);
        let _ = fs::write(folder.join("cpu.weight"), weight.to_string());
        Ok(Self { folder, controllers })
    }
}

/// Lets the children of `parent` have the controllers.
fn hand_down(parent: &Path, owners: &[i32]) {
    let offered = fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
    let wanted: Vec<_> =
        WANTED.into_iter().filter(|name| offered.split_whitespace().any(|o| o == *name)).collect();
    if wanted.is_empty() || enable(parent, &wanted).is_ok() {
        return;
    }
    let present = fs::read_to_string(parent.join("cgroup.procs")).unwrap_or_default();
    let mut present = present.lines().filter_map(|line| line.parse::<i32>().ok());
    if !present.all(|pid| owners.contains(&pid)) {
        return;
    }
    let aside = parent.join("dayfly-platform");
    let _ = fs::create_dir(&aside);
    for owner in owners {
        let _ = fs::write(aside.join("cgroup.procs"), owner.to_string());
    }
    let _ = enable(parent, &wanted);
}

fn enable(folder: &Path, controllers: &[&str]) -> io::Result<()> {
    let line: Vec<String> = controllers.iter().map(|name| format!("+{name}")).collect();
    fs::write(folder.join("cgroup.subtree_control"), line.join(" "))
}

impl Hierarchy for Tree {
    fn name(&self) -> &'static str {
        "cgroup v2"
    }

    fn missing(&self) -> Vec<(&'static str, String)> {
        let why =
            |name: &str| format!("the v2 controller {name} is not handed down to {}", self.folder.display());
        WANTED
            .into_iter()
            .filter(|name| !self.controllers.contains(name))
            .map(|name| (name, why(name)))
            .collect()
    }

    fn make(&self, name: &str) -> io::Result<Box<dyn Group>> {
        let folder = Folder::make(self.folder.join(name))?;
        let files = [
            (Meter::CpuStat, "cpu.stat"),
            (Meter::PeakBytes, "memory.peak"),
            (Meter::OomKills, "memory.events"),
        ];
        let open = |(meter, file)| Some((meter, folder.open(file, OFlags::RDONLY).ok()?));
        let meters = files.into_iter().filter_map(open).collect();
        let settings = RefCell::default();
        Ok(Box::new(GroupV2 { folder, controllers: self.controllers.clone(), meters, settings }))
    }

    fn remove(&self) {
        let _ = remove_tree(&self.folder);
    }
}

struct GroupV2 {
    folder: Folder,
    controllers: Vec<&'static str>,
    meters: Vec<(Meter, OwnedFd)>,
    /// As they were written last; empty where that went wrong, so that all are written again.
    settings: RefCell<Vec<Setting>>,
}

impl Group for GroupV2 {
    fn limit(&self, limits: &Limits) -> io::Result<()> {
        let (before, settings) = (self.settings.take(), settings(limits));
        self.folder.set(|name| self.controllers.contains(&name), &settings, &before)?;
        self.settings.replace(settings);
        Ok(())
    }

    fn deviations(&self) -> Vec<(&'static str, String)> {
        self.folder.deviations(|name| self.controllers.contains(&name), &self.settings.borrow())
    }

    fn entry(&self) -> Entry<'_> {
        self.folder.fd.as_ref().map_or(Entry::Nowhere, |fd| Entry::Birth(fd.as_fd()))
    }

    fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        Ok(vec![self.folder.open("cgroup.procs", rustix::fs::OFlags::WRONLY)?])
    }

    fn take_meters(&mut self) -> Vec<(Meter, OwnedFd)> {
        std::mem::take(&mut self.meters)
    }

    /// `cgroup.kill` still needs the directory.
    fn entered(&mut self) {}

    /// `memory.oom.group` ends the whole group by itself.
    fn oom_event(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn kill(&self) {
        let _ = self.folder.write("cgroup.kill", "1");
    }

    /// Frozen processes can be killed here.
    fn freeze(&self, still: bool) -> bool {
        self.folder.write("cgroup.freeze", if still { "1" } else { "0" }).is_ok()
    }

    fn remove(&self) -> io::Result<()> {
        remove_group(&self.folder.path)
    }
}

/// The default of `cpu.weight`, which is one core's worth, and the kernel's bounds of it.
const DEFAULT_WEIGHT: u64 = 100;
const LEAST_WEIGHT: u64 = 1;
const MOST_WEIGHT: u64 = 10_000;

fn settings(limits: &Limits) -> Vec<Setting> {
    let (quota, period) = limits.cpu_quota_us();
    let weight = u64::from(limits.cpu_weight) * DEFAULT_WEIGHT / u64::from(crate::Spec::CORE_WEIGHT);
    let weight = weight.clamp(LEAST_WEIGHT, MOST_WEIGHT);
    vec![
        ("memory.max", limits.memory_bytes.to_string(), true),
        // Absent where the kernel has no swap.
        ("memory.swap.max", "0".to_owned(), false),
        ("memory.oom.group", "1".to_owned(), true),
        ("pids.max", limits.pids.to_string(), true),
        ("cpu.max", format!("{quota} {period}"), true),
        ("cpu.weight", weight.to_string(), true),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the tree is mounted and writable, whatever controllers it has: a group is made, entered, killed, removed.
    #[test]
    fn a_group_is_killed_and_removed() {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let Some(place) = mounted("cgroup2", &mounts, &own).into_iter().next() else {
            println!("not run: no v2 tree is mounted");
            return;
        };
        let Ok(tree) = Tree::below(&place.own) else {
            println!("not run: {} is not writable", place.own.display());
            return;
        };
        let group = tree.make("test").unwrap();
        let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let folder = place.own.join(own_folder()).join("test");
        fs::write(folder.join("cgroup.procs"), child.id().to_string()).unwrap();
        assert_eq!(group.remove().unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert!(matches!(group.entry(), Entry::Birth(_)));
        assert!(group.freeze(true), "and frozen processes die, too");
        group.kill();
        assert!(!child.wait().unwrap().success());
        while group.remove().is_err() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        group.remove().unwrap();
        tree.remove();
        assert!(!place.own.join(own_folder()).exists());
    }

    /// Half of them are written, then the rest: nothing is taken for written that was not, and nothing is left out.
    #[test]
    fn what_could_not_be_written_is_written_again() {
        let parent = tempfile::TempDir::new().unwrap();
        let folder = Folder::make(parent.path().join("1")).unwrap();
        let path = folder.path.clone();
        let write = |name: &str| fs::write(path.join(name), "").unwrap();
        ["memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "cpu.weight"]
            .into_iter()
            .for_each(write);
        let controllers = WANTED.to_vec();
        let group = GroupV2 { folder, controllers, meters: Vec::new(), settings: RefCell::default() };
        let limits = Limits { memory_bytes: 1 << 27, cpu_millis: 1000, cpu_weight: 1024, pids: 65 };
        assert_eq!(group.limit(&limits).unwrap_err().kind(), io::ErrorKind::NotFound, "there is no pids.max");
        assert_eq!(group.deviations(), []);
        ["pids.max", "memory.max"].into_iter().for_each(write);
        group.limit(&limits).unwrap();
        let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
        let found = ["memory.max", "pids.max", "cpu.max", "cpu.weight"].map(read);
        assert_eq!(found, ["134217728", "65", "20000 20000", "100"]);
        write("pids.max");
        group.limit(&limits).unwrap();
        assert_eq!(read("pids.max"), "", "what is as it should be is not written again");
        assert_eq!(group.deviations(), [("pids", "pids.max is  and not 65".to_owned())]);
    }

    #[test]
    fn settings_follow_the_limits() {
        for (cpu_millis, cpu_weight, max, weight) in [
            (1000, 1024, "20000 20000", "100"),
            (72, 74, "1440 20000", "7"),
            (5, 1, "1000 100000", "1"),
            (5, u32::MAX, "1000 100000", "10000"),
        ] {
            let written = settings(&Limits { memory_bytes: 1 << 27, cpu_millis, cpu_weight, pids: 65 });
            let of = |name: &str| written.iter().find(|(file, ..)| *file == name).unwrap().1.clone();
            assert_eq!((of("cpu.max").as_str(), of("cpu.weight").as_str()), (max, weight), "{cpu_millis}");
        }
    }
}
