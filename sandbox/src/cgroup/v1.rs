//! Control groups, version 1: one hierarchy per controller or few.

use super::mountinfo::{Mounted, mounted};
use super::{
    Entry, Folder, Group, Hierarchy, Limits, Setting, own_folder, remove_group, remove_tree, sweep,
    weight_of_all,
};
use crate::gauge::Meter;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal};
use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// What limits, and what only counts.
const WANTED: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];

/// The default of `cpu.shares`, and the kernel's bounds of it.
const ONE_SHARE: u64 = 1024;
const LEAST_SHARES: u32 = 2;
const MOST_SHARES: u32 = 1 << 18;

/// The hierarchies that are used, with this launcher's directory in each.
pub(super) struct Forest {
    trees: Vec<Tree>,
}

struct Tree {
    controllers: Vec<String>,
    folder: PathBuf,
}

impl Forest {
    /// Makes this launcher's directories below its own groups.
    ///
    /// # Errors
    /// `NotFound` where no memory controller is mounted; whatever making its directory answered.
    pub(super) fn open(mounts: &str, own: &str) -> io::Result<Self> {
        let hierarchies = mounted("cgroup", mounts, own);
        let has_memory = |m: &Mounted| m.controllers.iter().any(|c| c == "memory");
        if !hierarchies.iter().any(has_memory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut forest = Self { trees: Vec::new() };
        for hierarchy in hierarchies {
            let controllers: Vec<String> =
                hierarchy.controllers.iter().filter(|c| WANTED.contains(&c.as_str())).cloned().collect();
            if controllers.is_empty() {
                continue;
            }
            sweep(&hierarchy.own);
            let folder = hierarchy.own.join(own_folder());
            match fs::create_dir(&folder) {
                Ok(()) => {
                    if controllers.iter().any(|controller| controller == "cpu") {
                        let shares = weight_of_all(ONE_SHARE).min(MOST_SHARES.into());
                        let _ = fs::write(folder.join("cpu.shares"), shares.to_string());
                    }
                    forest.trees.push(Tree { controllers, folder });
                }
                Err(error) if has_memory(&hierarchy) => {
                    forest.remove();
                    return Err(super::refused(&hierarchy.own, &error));
                }
                Err(_) => {}
            }
        }
        Ok(forest)
    }
}

impl Hierarchy for Forest {
    fn name(&self) -> &'static str {
        "cgroup v1"
    }

    fn missing(&self) -> Vec<(&'static str, String)> {
        let has = |wanted: &str| self.trees.iter().any(|tree| tree.controllers.iter().any(|c| c == wanted));
        let why = |name: &str| format!("the v1 controller {name} is not mounted or not writable");
        WANTED
            .into_iter()
            .filter(|name| *name != "cpuacct" && !has(name))
            .map(|name| (name, why(name)))
            .collect()
    }

    fn make(&self, name: &str) -> io::Result<Box<dyn Group>> {
        let mut group = GroupV1::default();
        for tree in &self.trees {
            let made = group.add(tree, name);
            if let Err(error) = made {
                let _ = group.remove();
                return Err(error);
            }
        }
        Ok(Box::new(group))
    }

    fn remove(&self) {
        for tree in &self.trees {
            let _ = remove_tree(&tree.folder);
        }
    }
}

#[derive(Default)]
struct GroupV1 {
    parts: Vec<(Vec<String>, Folder)>,
    tasks: Vec<OwnedFd>,
    meters: Vec<(Meter, OwnedFd)>,
    oom: Option<OwnedFd>,
    /// As they were written last; empty where that went wrong, so that all are written again.
    settings: RefCell<Vec<Setting>>,
}

impl GroupV1 {
    fn add(&mut self, tree: &Tree, name: &str) -> io::Result<()> {
        let folder = Folder::make(tree.folder.join(name))?;
        self.parts.push((tree.controllers.clone(), folder));
        let (controllers, folder) = self.parts.last().expect("it was pushed just now");
        // Writing to `tasks` moves one thread and takes no machine-wide lock; `cgroup.procs` waits for milliseconds.
        self.tasks.push(folder.open("tasks", OFlags::WRONLY)?);
        let has = |name: &str| controllers.iter().any(|c| c == name);
        if has("cpuacct") {
            self.meters.push((Meter::CpuTotalNs, folder.open("cpuacct.usage", OFlags::RDONLY)?));
            for (meter, file) in
                [(Meter::CpuUserNs, "cpuacct.usage_user"), (Meter::CpuSystemNs, "cpuacct.usage_sys")]
            {
                if let Ok(file) = folder.open(file, OFlags::RDONLY) {
                    self.meters.push((meter, file));
                }
            }
        }
        if has("memory") {
            self.meters.push((Meter::PeakBytes, folder.open("memory.max_usage_in_bytes", OFlags::RDONLY)?));
            let control = folder.open("memory.oom_control", OFlags::RDONLY)?;
            let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
            if folder.write("cgroup.event_control", &line).is_ok() {
                self.oom = Some(event);
            }
            self.meters.push((Meter::OomKills, control));
        }
        Ok(())
    }
}

impl Group for GroupV1 {
    fn limit(&self, limits: &Limits) -> io::Result<()> {
        let (before, settings) = (self.settings.take(), settings(limits));
        self.parts.iter().try_for_each(|(controllers, folder)| {
            folder.set(|name| controllers.iter().any(|controller| controller == name), &settings, &before)
        })?;
        self.settings.replace(settings);
        Ok(())
    }

    fn deviations(&self) -> Vec<(&'static str, String)> {
        let settings = self.settings.borrow();
        let deviations = |(controllers, folder): &(Vec<String>, Folder)| {
            folder.deviations(|name| controllers.iter().any(|controller| controller == name), &settings)
        };
        self.parts.iter().flat_map(deviations).collect()
    }

    fn entry(&self) -> Entry<'_> {
        Entry::Tasks(&self.tasks)
    }

    fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        self.tasks.iter().map(OwnedFd::try_clone).collect()
    }

    fn take_meters(&mut self) -> Vec<(Meter, OwnedFd)> {
        std::mem::take(&mut self.meters)
    }

    fn entered(&mut self) {
        self.tasks.clear();
        for (_, folder) in &mut self.parts {
            folder.fd = None;
        }
    }

    fn oom_event(&self) -> Option<BorrowedFd<'_>> {
        self.oom.as_ref().map(AsFd::as_fd)
    }

    /// One by one: this interface has no better way. Whoever is born meanwhile is met the next time.
    fn kill(&self) {
        let Some((_, folder)) = self.parts.first() else { return };
        let members = fs::read_to_string(folder.path.join("cgroup.procs")).unwrap_or_default();
        for pid in members.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }

    fn remove(&self) -> io::Result<()> {
        self.parts.iter().try_for_each(|(_, folder)| remove_group(&folder.path))
    }
}

/// In an order in which the kernel accepts them, whether limits are new, rise or fall.
fn settings(limits: &Limits) -> Vec<Setting> {
    let memory = limits.memory_bytes.to_string();
    let (quota, period) = limits.cpu_quota_us();
    vec![
        // First, too, since memory alone may not be raised above memory and swap; refused when it is lowered.
        ("memory.memsw.limit_in_bytes", memory.clone(), false),
        ("memory.limit_in_bytes", memory.clone(), true),
        // Absent where the kernel does not account for swap.
        ("memory.memsw.limit_in_bytes", memory, false),
        ("memory.swappiness", "0".to_owned(), false),
        ("pids.max", limits.pids.to_string(), true),
        ("cpu.shares", limits.cpu_weight.clamp(LEAST_SHARES, MOST_SHARES).to_string(), true),
        // Absent where the kernel has shares but no bandwidth control.
        ("cpu.cfs_period_us", period.to_string(), false),
        ("cpu.cfs_quota_us", quota.to_string(), false),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_follow_the_limits() {
        let cases = [
            (1000, 1024, "20000", "20000", "1024"),
            (72, 74, "20000", "1440", "74"),
            (10, 1, "100000", "1000", "2"),
            (1, 1, "100000", "1000", "2"),
            (6000, 1 << 30, "20000", "120000", "262144"),
        ];
        for (cpu_millis, cpu_weight, period, quota, shares) in cases {
            let written = settings(&Limits { memory_bytes: 1 << 27, cpu_millis, cpu_weight, pids: 65 });
            let of = |name: &str| written.iter().find(|(file, ..)| *file == name).unwrap().1.clone();
            assert_eq!(of("cpu.cfs_period_us"), period, "{cpu_millis}");
            assert_eq!(of("cpu.cfs_quota_us"), quota, "{cpu_millis}");
            assert_eq!(of("cpu.shares"), shares, "{cpu_millis}");
            assert_eq!(of("memory.memsw.limit_in_bytes"), of("memory.limit_in_bytes"));
        }
    }
}
