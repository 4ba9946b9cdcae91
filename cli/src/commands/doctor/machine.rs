//! What the kernel, the disk and the installed tools say.

use super::report::{Check, Report, State};
use crate::context::Context;
use crate::figure;
use crate::pasted;
use crate::recipe::python::has_pip;
use crate::tool;
use std::fs;
use std::path::Path;

/// The kernel that brought the newest thing that sandboxes need at level 3.
const KERNEL: (u32, u32) = (5, 13);
/// 2026-01-01: no clock that is right shows less.
const CLOCK_S: u64 = 1_767_225_600;
const DISK: u64 = 1 << 30;
const MEMORY: u64 = 512 << 20;

/// Adds what can be read without a sandbox.
pub fn add_checks(report: &mut Report, context: &Context) {
    report.add(kernel(&read("/proc/sys/kernel/osrelease")));
    report.add(namespaces(
        rustix::process::geteuid().is_root(),
        &read("/proc/sys/user/max_user_namespaces"),
        &read("/proc/sys/kernel/unprivileged_userns_clone"),
        &read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    ));
    report.add(groups(&read("/proc/self/mounts"), &read("/sys/fs/cgroup/cgroup.controllers")));
    report.add(seccomp(&read("/proc/sys/kernel/seccomp/actions_avail")));
    report.add(memory(&read("/proc/meminfo")));
    report.add(disk(&context.data));
    report.add(clock(context.world.now().seconds()));
    report.add(builders(context));
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn kernel(release: &str) -> Check {
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= KERNEL {
        Check::new("kernel", State::Good, format!("Linux {release}"))
    } else {
        Check::new("kernel", State::Weak, format!("Linux {release}, older than {}.{}", KERNEL.0, KERNEL.1))
            .fix("upgrade to a kernel of 5.13 or newer: Landlock needs it".into())
    }
}

fn namespaces(is_root: bool, max: &str, clone: &str, apparmor: &str) -> Check {
    let who = if is_root { "root" } else { "an ordinary user" };
    if max == "0" {
        return Check::new("namespaces", State::Missing, "user namespaces are switched off".into())
            .fix("sudo sysctl -w user.max_user_namespaces=15000".into());
    }
    if !is_root && clone == "0" {
        return Check::new(
            "namespaces",
            State::Missing,
            "ordinary users may not make user namespaces".into(),
        )
        .fix("sudo sysctl -w kernel.unprivileged_userns_clone=1".into());
    }
    if !is_root && apparmor == "1" {
        return Check::new(
            "namespaces",
            State::Missing,
            "AppArmor keeps user namespaces from ordinary users".into(),
        )
        .fix("sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0".into());
    }
    Check::new("namespaces", State::Good, format!("user namespaces, as {who}"))
}

fn groups(mounts: &str, controllers: &str) -> Check {
    let v2 = mounts.lines().any(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let v1: Vec<&str> = mounts
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some("cgroup"))
        .filter_map(|line| line.split(' ').nth(1)?.rsplit('/').next())
        .collect();
    let has = |name: &str| {
        controllers.split(' ').any(|known| known == name)
            || v1.iter().any(|mount| mount.split(',').any(|known| known == name))
    };
    let missing: Vec<&str> = ["memory", "cpu", "pids"].into_iter().filter(|name| !has(name)).collect();
    let versions = match (v2, v1.is_empty()) {
        (true, true) => "version 2",
        (true, false) => "versions 1 and 2",
        (false, false) => "version 1",
        (false, true) => "none",
    };
    if missing.is_empty() {
        return Check::new("cgroups", State::Good, format!("{versions}, with memory, cpu and pids"));
    }
    Check::new("cgroups", State::Weak, format!("{versions}, without {}", missing.join(", "))).fix(
        "sudo mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1".into(),
    )
}

fn seccomp(actions: &str) -> Check {
    if actions.split(' ').any(|action| action == "kill_process") {
        Check::new("seccomp", State::Good, "filters are supported".into())
    } else {
        Check::new("seccomp", State::Weak, "this kernel has no seccomp filters".into())
            .fix("boot a kernel with CONFIG_SECCOMP_FILTER".into())
    }
}

fn memory(meminfo: &str) -> Check {
    let kilobytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    let (Some(total), Some(free)) = (kilobytes("MemTotal:"), kilobytes("MemAvailable:")) else {
        return Check::new("memory", State::Weak, "unknown".into());
    };
    let words = format!("{} available of {}", figure::bytes(free * 1024), figure::bytes(total * 1024));
    if free * 1024 >= MEMORY {
        Check::new("memory", State::Good, words)
    } else {
        Check::new("memory", State::Weak, words).fix("ps aux --sort=-rss | head".into())
    }
}

/// Looks at the disk that holds, or would hold, the data directory.
fn disk(data: &Path) -> Check {
    let absolute = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let there = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let Ok(space) = rustix::fs::statvfs(there) else {
        return Check::new("disk", State::Weak, format!("{} cannot be looked at", there.display()));
    };
    let free = space.f_bavail * space.f_frsize;
    let words = format!("{} free for {}", figure::bytes(free), data.display());
    if free >= DISK {
        Check::new("disk", State::Good, words)
    } else {
        Check::new("disk", State::Weak, words).fix(format!("df -h {}", pasted::path(there)))
    }
}

fn clock(now_s: u64) -> Check {
    let words = figure::instant(now_s.saturating_mul(1_000_000));
    if now_s >= CLOCK_S {
        Check::new("clock", State::Good, words)
    } else {
        Check::new("clock", State::Missing, format!("{words} is in the past; signatures will not hold"))
            .fix("sudo timedatectl set-ntp true".into())
    }
}

/// What `dayfly deploy` builds with.
fn builders(context: &Context) -> Check {
    let phase = context.screen.phase("builders", "looking for pip");
    let pip = tool::find("python3").is_some_and(|python| has_pip(&python, &phase));
    drop(phase);
    let on_path = |name: &'static str| (name, tool::find(name).is_some());
    let all = [on_path("uv"), ("pip", pip), on_path("npm"), on_path("cargo"), on_path("mvn")];
    let found: Vec<&str> = all.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
    let words = match found.as_slice() {
        [] => "none of uv, pip, npm, cargo, mvn".to_owned(),
        found => format!("{} (for dayfly deploy)", found.join(", ")),
    };
    let has = |name: &str| found.contains(&name);
    let missing = [(has("uv") || has("pip"), "python3-pip"), (has("npm"), "npm")];
    let missing: Vec<&str> = missing.iter().filter(|(has, _)| !has).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        Check::new("builders", State::Good, words)
    } else {
        let fix = format!("sudo apt-get install -y {}", missing.join(" "));
        Check::new("builders", State::Weak, words).fix(fix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(check: &Check, state: State, found: &str) {
        let text = format!("{check:?}");
        assert!(
            text.contains(&format!("{state:?}")) && text.contains(found),
            "{text} has {state:?}, {found}"
        );
    }

    #[test]
    fn kernels() {
        check(&kernel("6.18.44-fc"), State::Good, "6.18.44");
        check(&kernel("5.10.0-8-amd64"), State::Weak, "older than 5.13");
        check(&kernel(""), State::Weak, "older");
    }

    #[test]
    fn namespace_settings() {
        check(&namespaces(true, "100", "0", "1"), State::Good, "as root");
        check(&namespaces(false, "100", "", ""), State::Good, "ordinary");
        check(&namespaces(false, "100", "0", ""), State::Missing, "unprivileged_userns_clone=1");
        check(&namespaces(false, "100", "1", "1"), State::Missing, "AppArmor");
        check(&namespaces(true, "0", "", ""), State::Missing, "switched off");
    }

    #[test]
    fn control_groups() {
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0";
        let v1 = "a /sys/fs/cgroup/memory cgroup rw 0 0\nb /sys/fs/cgroup/cpu,cpuacct cgroup rw 0 0\n\
                  c /sys/fs/cgroup/pids cgroup rw 0 0";
        check(&groups(v2, "cpuset cpu io memory pids"), State::Good, "version 2");
        check(&groups(v2, "cpu"), State::Weak, "without memory, pids");
        check(&groups(v1, ""), State::Good, "version 1");
        check(&groups("", ""), State::Weak, "none");
    }

    #[test]
    fn the_rest() {
        check(
            &memory("MemTotal: 2048 kB\nMemAvailable: 1024 kB\n"),
            State::Weak,
            "1.0 MB available of 2.0 MB",
        );
        check(&clock(CLOCK_S), State::Good, "2026-01-01");
        check(&clock(0), State::Missing, "1970");
        check(&seccomp("kill_process kill_thread"), State::Good, "filters");
        check(&disk(Path::new("/nonexistent/dayfly")), State::Good, "free for /nonexistent/dayfly");
    }
}
