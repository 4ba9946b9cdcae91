//! What processes hold and have used, read from `/proc`.

/// A process and everything below it, as it was at one moment.
pub(crate) struct Tree(Vec<u32>);

/// Memory of some processes, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    /// Pages that nobody else maps.
    pub(crate) private: f64,
    /// Proportional share of all pages.
    pub(crate) proportional: f64,
}

impl Tree {
    /// `root` and its descendants.
    pub(crate) fn below(root: u32) -> Self {
        let mut found = vec![root];
        let mut next = 0;
        while let Some(pid) = found.get(next) {
            found.extend(children(*pid));
            next += 1;
        }
        Self(found)
    }

    /// User and system seconds that these processes and their reaped children have used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.0.iter().filter_map(|pid| cpu_seconds(&read(*pid, "stat")?)).sum()
    }

    /// What these processes hold.
    pub(crate) fn memory(&self) -> Memory {
        self.0.iter().map(|pid| memory(&read(*pid, "smaps_rollup").unwrap_or_default())).fold(
            Memory::default(),
            |sum, one| Memory {
                private: sum.private + one.private,
                proportional: sum.proportional + one.proportional,
            },
        )
    }
}

/// The direct children of a process, of all its threads.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// The resident memory of one process in MiB.
pub(crate) fn resident_mb(pid: u32) -> Result<f64, String> {
    let status = read(pid, "status").ok_or_else(|| format!("process {pid} is gone"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| "VmRSS is no number")?;
    Ok(kib / 1024.0)
}

fn read(pid: u32, file: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}

/// Ticks a second of `/proc/PID/stat`: 100 on every Linux that has a vDSO.
const TICKS: f64 = 100.0;

/// User and system time of a process and of the children it has waited for, from its `stat` line.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let after_name = stat.rsplit_once(") ")?.1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = fields.get(11..15)?.iter().map(|f| f.trim().parse::<f64>().ok());
    Some(ticks.sum::<Option<f64>>()? / TICKS)
}

fn memory(rollup: &str) -> Memory {
    let kib = |name: &str| -> f64 {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|text| text.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0.0)
    };
    let private = kib("Private_Clean:") + kib("Private_Dirty:") + kib("Private_Hugetlb:");
    Memory { private: private * 1024.0, proportional: kib("Pss:") * 1024.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc_are_read() {
        let stat = "12 (a) b) S 1 12 12 0 -1 4194560 1 2 3 4 150 50 7 3 20 0 1 0 99 1 1\n";
        assert_eq!(cpu_seconds(stat), Some(2.1));
        assert_eq!(cpu_seconds("12 (a) S 1"), None);
        let rollup = "00400000-7fff ---p 00000000 00:00 0 [rollup]\nRss: 99 kB\nPss:       10 kB\n\
                      Pss_Dirty: 5 kB\nPrivate_Clean:  1 kB\nPrivate_Dirty:  2 kB\n";
        assert_eq!(memory(rollup), Memory { private: 3.0 * 1024.0, proportional: 10.0 * 1024.0 });
    }

    #[test]
    fn this_process_is_in_its_own_tree() {
        let tree = Tree::below(std::process::id());
        assert_eq!(tree.0.first(), Some(&std::process::id()));
        assert!(tree.memory().proportional > 0.0);
    }
}
