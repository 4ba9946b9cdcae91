//! How much memory the machine, or the control group the platform runs in, can give to instances.

use std::fs;

const MIB: u64 = 1024 * 1024;

/// `percent` of the memory that this process could use, in mebibytes; at least 128.
pub(crate) fn budget_mb(percent: u64) -> u64 {
    (total_bytes() / MIB * percent.min(100) / 100).max(128)
}

/// What the bodies of requests may hold, in bytes: a share of the memory that this process could use. A body is held up
/// to four times over on its way to an instance, and there are those from outside and those from functions.
pub(crate) fn bodies_bytes() -> u64 {
    model::limit("bodies-bytes").min(total_bytes() / 10)
}

/// What templates and spares may hold at this moment, in bytes: `percent` of the memory that this process could use,
/// less where the machine has little left.
pub(crate) fn spare_bytes(percent: u64) -> u64 {
    let most = budget_mb(percent) * MIB;
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    bytes_of(&text, "MemAvailable:").map_or(most, |available| most.min(available / 4))
}

fn total_bytes() -> u64 {
    machine_bytes().min(group_bytes().unwrap_or(u64::MAX))
}

fn machine_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    bytes_of(&text, "MemTotal:").unwrap_or(1024 * MIB)
}

fn bytes_of(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn group_bytes() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let file = match controllers {
            "" => format!("/sys/fs/cgroup{path}/memory.max"),
            "memory" => format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"),
            _ => return None,
        };
        fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()
    });
    limits.min()
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
}
