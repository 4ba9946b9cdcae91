//! Control groups of either version, asked themselves: that they are used where the machine has them, that nothing
//! runs outside its own, and that it is the kernel that says no. Numbers are those of the project's list of security
//! checks.

mod arena;

use arena::{Arena, Mode, cgroups, descendants, in_each_mode, in_mode, wait_for_line};
use sandbox::{Layers, Spec};
use std::fs;
use std::time::Duration;

const CONTROLLERS: [(&str, &str); 3] =
    [("memory", "memory limit"), ("cpu", "cpu limit"), ("pids", "process limit")];

/// Check 164: root leaves nothing unused that the kernel offers.
#[test]
fn what_the_machine_has_is_used() {
    in_mode(Mode::Root, &async |arena: &Arena| {
        let v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("this process's mounts");
        let v1: Vec<&str> =
            mounts.lines().filter_map(|line| line.split_once(" - cgroup ")).map(|m| m.1).collect();
        for (controller, layer) in CONTROLLERS {
            let in_v1 = v1.iter().flat_map(|line| line.split([' ', ','])).any(|word| word == controller);
            let there = in_v1 || v2.split_whitespace().any(|word| word == controller);
            assert_eq!(limited(arena, layer), there, "{controller}: {:?}", arena.launcher.protections());
        }
    });
}

/// Checks 1, 3 and 8: the group's own counters, while no other layer helps.
#[test]
fn the_kernel_itself_says_no() {
    in_each_mode(async |arena| {
        let layers = || Layers { rlimits: false, ..Layers::default() };
        if limited(arena, "process limit") {
            let bomb = arena.create(Spec { layers: layers(), ..arena.spec(&["fork"]) }).await;
            wait_for_line(&bomb.stdout, "children: ").await;
            assert!(counted(arena, "pids.events", "max") > 0, "as {:?}", arena.mode);
            bomb.kill().await;
        } else {
            println!("not run: process limit by group as {:?}", arena.mode);
        }
        if limited(arena, "cpu limit") {
            let spec = Spec { cpu_millis: 200, ..arena.spec(&["spin", "4", "600000"]) };
            let busy = arena.create(spec).await;
            tokio::time::sleep(Duration::from_millis(1500)).await;
            assert!(counted(arena, "cpu.stat", "nr_throttled") > 0, "as {:?}", arena.mode);
            busy.kill().await;
        } else {
            println!("not run: share of processor time by group as {:?}", arena.mode);
        }
        if limited(arena, "memory limit") {
            let hog = arena.run(Spec { layers: layers(), ..arena.spec(&["memory", "4096"]) }).await;
            assert!(hog.oom_killed, "as {:?}: {hog:?}", arena.mode);
            let peak = hog.usage.peak_bytes;
            assert!((100 << 20..=128 << 20).contains(&peak), "{peak} bytes as {:?}: {hog:?}", arena.mode);
        } else {
            println!("not run: memory limit by group as {:?}", arena.mode);
        }
    });
}

/// Every process of a sandbox is in the sandbox's own group of every hierarchy that has one.
#[test]
fn nothing_runs_outside_its_group() {
    in_each_mode(async |arena| {
        let launcher = arena.launcher.process_id();
        if cgroups(launcher).is_empty() {
            println!("not run: no control groups as {:?}", arena.mode);
            return;
        }
        let sandbox = arena.create(arena.spec(&["fork"])).await;
        wait_for_line(&sandbox.stdout, "children: ").await;
        let inside = descendants(launcher);
        assert!(inside.len() > 2, "{inside:?}");
        let own = format!("/dayfly-{launcher}/");
        for process in inside {
            let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).expect("it lives");
            let limiting = |line: &&str| {
                let names = line.split(':').nth(1).unwrap_or_default();
                let v1 = names.split(',').any(|name| CONTROLLERS.iter().any(|(known, _)| *known == name));
                v1 || names.is_empty() && !fs::exists("/sys/fs/cgroup/memory").unwrap_or(false)
            };
            let outside: Vec<&str> =
                groups.lines().filter(limiting).filter(|line| !line.contains(&own)).collect();
            assert!(outside.is_empty(), "{process} is in {outside:?} as {:?}", arena.mode);
        }
        sandbox.kill().await;
    });
}

/// A number that the launcher's groups have counted under a name, all together.
fn counted(arena: &Arena, file: &str, name: &str) -> u64 {
    let texts =
        cgroups(arena.launcher.process_id()).into_iter().map(|group| fs::read_to_string(group.join(file)));
    let number =
        |text: String| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    texts.filter_map(Result::ok).filter_map(number).sum()
}

fn limited(arena: &Arena, name: &str) -> bool {
    arena.launcher.protections().layers.iter().any(|layer| layer.name == name && layer.on)
}
