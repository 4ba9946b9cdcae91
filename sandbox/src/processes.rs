//! What a tree of processes uses, from `/proc`: for machines without control groups.

use crate::kernel;
use std::fs;

/// Most processes looked at; a sandbox's own limit is far below.
const MAX_PROCESSES: usize = 4096;

/// Sums over a process and all its living descendants. The dead count where a living ancestor has reaped them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Processor time in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// User time in nanoseconds, to a clock tick.
    pub(crate) user_ns: u64,
    /// System time in nanoseconds, to a clock tick.
    pub(crate) system_ns: u64,
    /// Each process's own peak of resident memory, added up.
    pub(crate) peak_bytes: u64,
    /// Private and shared anonymous memory now.
    pub(crate) anonymous_bytes: u64,
}

/// Sums over `root`, a sandbox's first process, and all below it.
pub(crate) fn below(root: i32) -> Sum {
    let mut sum = Sum::default();
    for pid in tree(root) {
        sum.add(pid, pid == root && is_first(pid));
    }
    sum
}

/// Whether a process is the first one of a sandbox, which is ours, and not a program.
fn is_first(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    numbers(&status).is_some_and(|numbers| numbers.split_whitespace().last() == Some("1"))
}

/// The numbers of a process in its namespaces, the outermost first.
fn numbers(status: &str) -> Option<&str> {
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))
}

/// A process, then all below it.
pub(crate) fn tree(root: i32) -> Vec<i32> {
    let mut seen = Vec::new();
    let mut waiting = vec![root];
    while let Some(pid) = waiting.pop() {
        if seen.len() >= MAX_PROCESSES {
            break;
        }
        seen.push(pid);
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            waiting.extend(children.split_whitespace().filter_map(|child| child.parse::<i32>().ok()));
        }
    }
    seen
}

impl Sum {
    /// Adds one process. Of a sandbox's first process only the dead that it reaped count.
    fn add(&mut self, pid: i32, first: bool) {
        let Some(stat) = fs::read_to_string(format!("/proc/{pid}/stat")).ok() else { return };
        let Some([user, system, dead_user, dead_system]) = times(&stat) else { return };
        let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
        self.user_ns += dead_user * tick;
        self.system_ns += dead_system * tick;
        self.cpu_ns += (dead_user + dead_system) * tick;
        if first {
            return;
        }
        self.user_ns += user * tick;
        self.system_ns += system * tick;
        self.cpu_ns += kernel::process_cpu_ns(pid).unwrap_or((user + system) * tick);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        self.peak_bytes += kibibytes(&status, "VmHWM:");
        self.anonymous_bytes += kibibytes(&status, "RssAnon:") + kibibytes(&status, "RssShmem:");
    }
}

/// utime, stime, cutime, cstime of `/proc/<pid>/stat`, in ticks: fields 14 to 17 (proc(5)).
fn times(stat: &str) -> Option<[u64; 4]> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_whitespace().skip(11).map(|field| field.parse().ok());
    Some([fields.next()??, fields.next()??, fields.next()??, fields.next()??])
}

fn kibibytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) * 1024
}

/// What a process and all below it hold of memory, where pages that several share count once: slower than [`below`],
/// which counts them for each.
pub(crate) fn shared_bytes(root: i32) -> u64 {
    let bytes = |pid: i32| match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
        Ok(rollup) => kibibytes(&rollup, "Pss_Anon:") + kibibytes(&rollup, "Pss_Shmem:"),
        Err(_) => {
            let mut sum = Sum::default();
            sum.add(pid, false);
            sum.anonymous_bytes
        }
    };
    tree(root).into_iter().map(bytes).sum()
}

/// Whether a process is in a process namespace below this one's own.
pub(crate) fn is_nested(process: rustix::process::Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).unwrap_or_default();
    numbers(&status).is_some_and(|numbers| numbers.split_whitespace().count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_times_whatever_the_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 101 102 103 104 20 0";
        for name in ["cat", "a b", ") 9 (", "("] {
            assert_eq!(times(&format!("17 ({name}) {rest}")), Some([101, 102, 103, 104]), "{name}");
        }
        assert_eq!(times("17 (cat"), None);
        assert_eq!(times("17 (cat) S 1"), None);
    }

    #[test]
    fn reads_kibibytes() {
        let status = "Name:\tx\nVmHWM:\t    1768 kB\nRssAnon:\t 112 kB\n";
        assert_eq!(kibibytes(status, "VmHWM:"), 1768 * 1024);
        assert_eq!(kibibytes(status, "VmSwap:"), 0);
    }
}
