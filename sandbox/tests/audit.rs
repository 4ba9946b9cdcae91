//! Check 36: what a sandbox looks like from inside is what it is promised to be, fact by fact.

mod arena;

use arena::{Attempts, in_each_mode};
use sandbox::{Exit, Spec};
use std::fs;

#[test]
fn the_view_from_inside_is_as_promised() {
    in_each_mode(async |arena| {
        let env = vec![("ONLY".to_owned(), "this".to_owned())];
        let outcome = arena.run(Spec { env, control: true, ..arena.spec(&["audit"]) }).await;
        assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
        let seen = Attempts::parse(&outcome.stdout, &format!("{outcome:?}"));
        let facts = [
            ("user", "993 993"),
            ("CapInh", "0000000000000000"),
            ("CapPrm", "0000000000000000"),
            ("CapEff", "0000000000000000"),
            ("CapBnd", "0000000000000000"),
            ("CapAmb", "0000000000000000"),
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
            ("Umask", "0077"),
            ("Gid", "990 990 990 990"),
            ("Pid", "2"),
            ("PPid", "1"),
            ("SigBlk", "0000000000000000"),
            ("host", "dayfly"),
            ("folder", "/tmp"),
            ("cgroup", "true"),
            ("oom", "1000"),
            ("environment", "ONLY=this"),
            ("interfaces", "lo"),
        ];
        for (what, expected) in facts {
            let found: Vec<_> = seen.all(what).collect();
            assert_eq!(found, [expected], "{what} as {:?}", arena.mode);
        }
        if arena.mode == arena::Mode::Root {
            assert!(!outcome.stdout.contains("Groups: 0"), "{outcome:?}");
        }
        expect_limits(&seen);
        expect_mounts(&seen);
        expect_own_namespaces(&seen);
        let top: Vec<_> = seen.of("top").split(',').collect();
        let known =
            ["bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "nix", "opt", "proc", "run"];
        let known = [&known[..], &["sbin", "tmp", "usr", "var"]].concat();
        assert!(top.iter().all(|name| known.contains(name)), "{top:?}");
    });
}

fn expect_limits(seen: &Attempts) {
    let expected = [
        "Max core file size|1|1|bytes",
        "Max processes|64|64|processes",
        "Max open files|1024|1024|files",
        "Max locked memory|65536|65536|bytes",
        "Max pending signals|256|256|signals",
        "Max msgqueue size|65536|65536|bytes",
        "Max nice priority|0|0",
        "Max realtime priority|0|0",
        "Max stack size|8388608|8388608|bytes",
    ];
    let found: Vec<_> = seen.all("limit").collect();
    for limit in expected {
        assert!(found.contains(&limit), "{limit} in {found:?}");
    }
}

fn expect_mounts(seen: &Attempts) {
    let devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
    let mounts: Vec<_> =
        seen.all("mount").map(|mount| mount.split_once(' ').expect("place and options")).collect();
    for (place, options) in &mounts {
        let has = |option: &str| options.split(',').any(|o| o == option);
        assert!(has("nosuid"), "{place} {options}");
        assert!(has("nodev") || devices.contains(place), "{place} {options}");
        let writable = ["/tmp", "/dev/shm", "/proc"].contains(place);
        assert!(has("ro") || writable, "{place} {options}");
        let data = ["/dev/shm", "/proc"].contains(place) || devices.contains(place);
        assert!(has("noexec") || !data, "{place} {options}");
    }
    let places: Vec<_> = mounts.iter().map(|(place, _)| *place).collect();
    for place in ["/", "/usr", "/tmp", "/dev/shm", "/opt/evil"].iter().chain(&devices) {
        assert!(places.contains(place), "{place} in {places:?}");
    }
    assert_eq!(places.iter().filter(|place| place.starts_with("/dev/")).count(), 6, "{places:?}");
}

fn expect_own_namespaces(seen: &Attempts) {
    let found: Vec<_> = seen.all("namespace").collect();
    assert_eq!(found.len(), 7, "{found:?}");
    for kind in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let hosts = fs::read_link(format!("/proc/self/ns/{kind}")).expect("own namespace");
        let hosts = hosts.to_str().expect("text");
        assert!(!found.contains(&hosts), "the {kind} namespace is the host's");
    }
}
