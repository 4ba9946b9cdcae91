//! Taking all there is: processes, memory, disk, processor, kernel objects. Numbers are those of the project's list of
//! security checks.

mod arena;

use arena::{Arena, Attempts, Mode, children, in_each_mode, wait_for_line};
use sandbox::{Exit, Layers, Spec};
use std::time::Duration;

/// How often the processes that outrun a kill are let loose.
const HYDRA_ROUNDS: usize = 25;

/// Check 1. The limit holds by control group alone and by process limit alone.
#[test]
fn a_fork_bomb_stops_at_the_limit() {
    in_each_mode(async |arena| {
        let alone = [
            ("all", Layers::default()),
            ("cgroup", Layers { rlimits: false, seccomp: false, landlock: false, ..Layers::default() }),
            ("rlimits", Layers { cgroup: false, seccomp: false, landlock: false, ..Layers::default() }),
        ];
        for (name, layers) in alone {
            if name == "cgroup" && !limited(arena, "process limit") {
                println!("not run: process limit by cgroup as {:?}", arena.mode);
                continue;
            }
            let sandbox = arena.create(Spec { layers, ..arena.spec(&["fork"]) }).await;
            let count: u32 = wait_for_line(&sandbox.stdout, "children: ").await.parse().expect("a number");
            assert!((1..64).contains(&count), "{count} children by {name} as {:?}", arena.mode);
            // Others still can.
            assert_eq!(arena.run(arena.host_program(&["/bin/echo"])).await.exit, Exit::Code(0));
            sandbox.kill().await;
            drop(sandbox);
            arena.expect_clean().await;
        }
    });
}

/// Check 2.
#[test]
fn forking_does_not_outrun_a_kill() {
    in_each_mode(async |arena| {
        for _ in 0..HYDRA_ROUNDS {
            let sandbox = arena.create(arena.spec(&["hydra"])).await;
            wait_for_line(&sandbox.stdout, "started: ").await;
            sandbox.kill().await;
            assert!(children(arena.launcher.process_id()) <= arena::AHEAD);
            assert_eq!(arena::read_to_end(&sandbox.stderr), "", "a survivor would keep this open");
        }
    });
}

/// Check 3. Whoever in the sandbox takes too much, all of it dies, and it is known why.
#[test]
fn too_much_memory_ends_the_whole_sandbox() {
    in_each_mode(async |arena| {
        for verb in [["memory", "4096"], ["memory-of-child", "4096"]] {
            let outcome = arena.run(arena.spec(&verb)).await;
            assert!(outcome.oom_killed, "{verb:?} as {:?}: {outcome:?}", arena.mode);
            assert_ne!(outcome.exit, Exit::Code(0), "{verb:?}: {outcome:?}");
            let bound = if limited(arena, "memory limit") { 128 << 20 } else { 1280 << 20 };
            assert!(outcome.usage.peak_bytes <= bound, "{outcome:?}");
        }
        let fits = arena.run(arena.spec(&["memory", "64"])).await;
        assert_eq!((fits.exit, fits.oom_killed), (Exit::Code(0), false), "{fits:?}");
    });
}

/// Check 5, and 4 as far as `/tmp` counts as memory.
#[test]
fn a_full_disk_is_only_the_sandboxs_own() {
    in_each_mode(async |arena| {
        let spec = Spec { tmp_bytes: 8 << 20, ..arena.spec(&["disk"]) };
        let outcome = arena.run(spec).await;
        let tried = Attempts::parse(&outcome.stdout, &format!("{outcome:?}"));
        tried.expect(&[("one file", &["ENOSPC"]), ("two files", &["ENOSPC"]), ("inodes", &["ENOSPC"])]);
        tried.expect(&[("sparse", &["EFBIG"]), ("shm", &["ENOSPC"])]);
        let number = |what: &str| tried.of(what).parse::<u64>().expect("a number");
        assert!((7 << 20..=8 << 20).contains(&number("bytes")), "{} bytes", number("bytes"));
        assert!((900..=1024).contains(&number("files")), "{} files", number("files"));
        assert!(number("shm bytes") <= 64 << 20, "{} bytes", number("shm bytes"));
        for path in ["/x", "/usr/x", "/etc/x", "/var/task/x", "/dev/x", "/opt/x"] {
            tried.expect(&[(path, &["EROFS", "EACCES"])]);
        }
        if limited(arena, "memory limit") {
            let spec = Spec { tmp_bytes: 1 << 30, memory_bytes: 64 << 20, ..arena.spec(&["disk"]) };
            let outcome = arena.run(spec).await;
            assert!(outcome.oom_killed, "{outcome:?}");
        }
    });
}

/// Check 7, the part that was measured to fail elsewhere: one sandbox took every inotify instance of the machine.
#[test]
fn inotify_is_only_the_sandboxs_own() {
    in_each_mode(async |arena| {
        let mut hoarders = Vec::new();
        // Nine times sixteen is more than the 128 that a user has by default.
        for round in 0..if arena.mode == Mode::Root { 9 } else { 3 } {
            let sandbox = arena.create(arena.spec(&["inotify"])).await;
            let count = wait_for_line(&sandbox.stdout, "instances: ").await;
            assert_eq!(count, "16", "round {round} as {:?}", arena.mode);
            hoarders.push(sandbox);
        }
        let own = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC);
        assert!(own.is_ok(), "the platform has none left: {own:?}");
        drop((own, hoarders));
    });
}

/// Check 8.
#[test]
fn a_busy_sandbox_keeps_to_its_share() {
    in_each_mode(async |arena| {
        let spec = Spec { cpu_millis: 400, ..arena.spec(&["spin", "32", "1500"]) };
        let world = world::World::real();
        let begin = world.moment();
        let outcome = arena.run(spec).await;
        let wall_ms = u64::try_from((world.moment() - begin).as_millis()).expect("it took no ages");
        let tried = Attempts::parse(&outcome.stdout, &format!("{outcome:?}"));
        tried.expect(&[("nice", &["EPERM", "EACCES"]), ("realtime", &["EPERM"])]);
        if !limited(arena, "cpu limit") {
            println!("not run: share of processor time as {:?}", arena.mode);
            return;
        }
        let used_ms = (outcome.usage.user_us + outcome.usage.system_us) / 1000;
        // A tenth more, and one period at either end.
        let most = wall_ms * 400 / 1000 * 11 / 10 + 60;
        assert!(used_ms <= most, "{used_ms} ms in {wall_ms} ms of wall time: {outcome:?}");
    });
}

/// Weights are written where the kernel divides processor time.
#[test]
fn weights_read_back() {
    in_each_mode(async |arena| {
        if !limited(arena, "cpu limit") {
            println!("not run: share of processor time as {:?}", arena.mode);
            return;
        }
        for (cpu_weight, shares, weight) in [(74, "74", "7"), (0, "1024", "100"), (5927, "5927", "578")] {
            let sandbox = arena.create(Spec { cpu_weight, ..arena.spec(&["sleep"]) }).await;
            let groups = arena::cgroups(arena.launcher.process_id());
            let read = |file: &str| {
                let mut texts =
                    groups.iter().filter_map(|group| std::fs::read_to_string(group.join(file)).ok());
                texts.any(|text| text.trim() == if file == "cpu.shares" { shares } else { weight })
            };
            assert!(read("cpu.shares") || read("cpu.weight"), "{cpu_weight} in {groups:?}");
            sandbox.kill().await;
        }
    });
}

/// A sandbox that does nothing else may still be ended at any time.
#[test]
fn a_busy_sandbox_dies_at_once() {
    in_each_mode(async |arena| {
        let sandbox = arena.create(arena.spec(&["spin", "32", "600000"])).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        let killed = tokio::time::timeout(Duration::from_secs(20), sandbox.kill()).await;
        assert!(killed.is_ok());
    });
}

fn limited(arena: &Arena, name: &str) -> bool {
    arena.launcher.protections().layers.iter().any(|layer| layer.name == name && layer.on)
}
