//! Where control groups are mounted and where this process stands in them.

use std::path::{Path, PathBuf};

/// A mounted hierarchy, seen from this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mounted {
    /// Where its top is mounted.
    pub(super) top: PathBuf,
    /// The directory of this process's own group.
    pub(super) own: PathBuf,
    /// v1: the controllers of the hierarchy; v2: empty.
    pub(super) controllers: Vec<String>,
}

/// The hierarchies of a `kind` (`cgroup` or `cgroup2`), from the texts of `/proc/self/mountinfo` and
/// `/proc/self/cgroup` (formats: proc(5), cgroups(7)).
pub(super) fn mounted(kind: &str, mounts: &str, own: &str) -> Vec<Mounted> {
    let mut found: Vec<Mounted> = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (left, right): (Vec<_>, Vec<_>) = (left.split(' ').collect(), right.split(' ').collect());
        let (&[_, _, _, root, top, ..], &[fs, _, options, ..]) = (&*left, &*right) else { continue };
        if fs != kind {
            continue;
        }
        let controllers: Vec<String> = if kind == "cgroup" {
            options.split(',').filter(|option| !matches!(*option, "rw" | "ro")).map(str::to_owned).collect()
        } else {
            Vec::new()
        };
        let Some(path) = own_path(own, &controllers) else { continue };
        let inside = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        let top = PathBuf::from(unescape(top));
        let own = if inside.as_os_str().is_empty() { top.clone() } else { top.join(inside) };
        if !found.iter().any(|other| other.controllers == controllers) {
            found.push(Mounted { top, own, controllers });
        }
    }
    found
}

/// The path of this process in the hierarchy that has one of `controllers`, or in v2's if there are none.
fn own_path<'a>(own: &'a str, controllers: &[String]) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, path) = (fields.next()?, fields.next()?);
        let here = if controllers.is_empty() {
            names.is_empty()
        } else {
            names.split(',').any(|name| controllers.iter().any(|controller| controller == name))
        };
        here.then(|| path.trim_start_matches("/.."))
    })
}

/// Undoes the kernel's octal escapes of blanks.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
    const CONTAINER: &str = "\
50 49 0:32 /docker/abc /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory";
    const UNIFIED: &str = "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";

    #[test]
    fn finds_hierarchies_and_its_own_place() {
        let v1 = "4:memory:/a/b\n1:cpu,cpuacct:/\n0::/";
        let cases = [
            ("cgroup", HYBRID, v1, "/sys/fs/cgroup/cpu,cpuacct /sys/fs/cgroup/memory/a/b"),
            ("cgroup2", HYBRID, v1, "/sys/fs/cgroup/unified"),
            ("cgroup", CONTAINER, "4:memory:/docker/abc", "/sys/fs/cgroup/memory"),
            ("cgroup2", UNIFIED, "0::/user.slice/x.service", "/sys/fs/cgroup/user.slice/x.service"),
            ("cgroup2", CONTAINER, "0::/", ""),
        ];
        for (kind, mounts, own, expected) in cases {
            let found: Vec<_> = mounted(kind, mounts, own).into_iter().map(|m| m.own).collect();
            let found: Vec<_> = found.iter().map(|own| own.to_str().unwrap()).collect();
            assert_eq!(found.join(" "), expected, "{kind} in {own}");
        }
    }
}
