//! How much memory the machine, or the control group the platform runs in, can give to instances, and to what is on its
//! way to them and back.

use std::fs;
use std::path::Path;

const MIB: u64 = 1024 * 1024;

/// `percent` of the memory that this process could use besides what is on its way, in mebibytes; at least 128.
pub(crate) fn budget_mb(percent: u64) -> u64 {
    ((total_bytes() - room_bytes()) / MIB * percent.min(100) / 100).max(128)
}

/// What requests, events and answers may hold, in bytes.
pub(crate) fn room_bytes() -> u64 {
    model::limit("room-bytes").min(total_bytes() / 100 * model::limit("room-percent"))
}

/// What templates and spares may hold at this moment, in bytes: `percent` of the memory that this process could use,
/// less where the machine has little left.
pub(crate) fn spare_bytes(percent: u64) -> u64 {
    let most = total_bytes() / 100 * percent.min(100);
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let left = groups().iter().filter_map(|group| group.left()).chain(bytes_of(&text, "MemAvailable:")).min();
    left.map_or(most, |left| most.min(left / 4))
}

/// What this process holds, in bytes.
pub(crate) fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    bytes_of(&text, "VmRSS:").unwrap_or(0)
}

fn total_bytes() -> u64 {
    groups().iter().filter_map(Group::limit).chain([machine_bytes()]).min().unwrap_or(MIB)
}

fn machine_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    bytes_of(&text, "MemTotal:").unwrap_or(1024 * MIB)
}

fn bytes_of(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// A control group that this process is in, or one above it: what bounds one bounds the other.
struct Group {
    folder: String,
    names: Names,
}

/// The files of a group: its limit, what it uses, and the line of `memory.stat` with what of that the kernel would give
/// back.
type Names = [&'static str; 3];

const V1: Names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];
const V2: Names = ["memory.max", "memory.current", "inactive_file"];

impl Group {
    fn limit(&self) -> Option<u64> {
        self.read(self.names[0])?.trim().parse().ok()
    }

    /// What it does not use, or would give back.
    fn left(&self) -> Option<u64> {
        let used: u64 = self.read(self.names[1])?.trim().parse().ok()?;
        let stat = self.read("memory.stat")?;
        let idle = stat.lines().find_map(|line| line.strip_prefix(self.names[2])?.trim().parse::<u64>().ok());
        Some(self.limit()?.saturating_sub(used).saturating_add(idle.unwrap_or(0)))
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(Path::new(&self.folder).join(name)).ok()
    }
}

fn groups() -> Vec<Group> {
    groups_of(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

fn groups_of(text: &str) -> Vec<Group> {
    let groups = text.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let (root, names) = match controllers {
            "" => ("/sys/fs/cgroup", V2),
            "memory" => ("/sys/fs/cgroup/memory", V1),
            _ => return None,
        };
        let above = Path::new(path).ancestors();
        Some(above.map(move |path| Group { folder: format!("{root}{}", path.display()), names }))
    });
    groups.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read() {
        assert_eq!(bytes_of("MemTotal:       24 kB\nMemFree: 3 kB\n", "MemTotal:"), Some(24 * 1024));
        assert_eq!(bytes_of("nothing", "MemTotal:"), None);
        assert!(budget_mb(80) >= 128);
    }

    #[test]
    fn what_bounds_a_group_above_bounds_this_process() {
        let folders = |text| groups_of(text).into_iter().map(|group| group.folder).collect::<Vec<_>>();
        assert_eq!(
            folders("4:memory:/a/b\n3:cpu:/c\n0::/\n"),
            [
                "/sys/fs/cgroup/memory/a/b",
                "/sys/fs/cgroup/memory/a",
                "/sys/fs/cgroup/memory/",
                "/sys/fs/cgroup/"
            ]
        );
        assert_eq!(folders(""), [""; 0]);
    }
}
