//! Getting out: seeing, reaching or changing what is not the sandbox's own. Where several layers forbid the same, each is
//! also tried with the others off. Numbers are those of the project's list of security checks.
#![allow(unsafe_code, reason = "a key is planted in this process's own keyring")]

mod arena;

use arena::{Arena, Attempts, Mode, in_each_mode, read_to_end, wait_for_line};
use sandbox::{Exit, Layers, Spec};
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};

const REFUSED: [&str; 3] = ["EPERM", "EACCES", "ENOSYS"];

fn only(change: impl FnOnce(&mut Layers)) -> Layers {
    let mut layers = Layers { seccomp: false, landlock: false, ..Layers::default() };
    change(&mut layers);
    layers
}

/// Check 9: with the filter, and by namespaces and privileges alone.
#[test]
fn no_process_can_be_debugged() {
    in_each_mode(async |arena| {
        let launcher = arena.launcher.process_id().to_string();
        for layers in [Layers::default(), only(|_| ())] {
            let tried = arena.attack(&["debug", &Arena::outsider(), &launcher], layers).await;
            tried.expect_all(&["EPERM", "ESRCH", "ENOSYS", "EACCES", "ENOENT", "EBADF"]);
        }
    });
}

/// Check 10. A secret of the platform is nowhere to be found.
#[test]
fn the_system_cannot_be_read() {
    in_each_mode(async |arena| {
        let tried = arena.attack(&["read"], Layers::default()).await;
        // The folder exists, empty, for programs that look into it.
        tried.expect_all(&["ENOENT", "EACCES", "EPERM"]);

        let canary = format!("canary-{}", std::process::id());
        let reversed: String = canary.chars().rev().collect();
        fs::write(arena.folder.path().join("secret"), &canary).expect("a file");
        let mut spec = arena.spec(&["search", &reversed]);
        let other = Spec { env: vec![("SECRET".to_owned(), canary.clone())], ..arena.spec(&["sleep"]) };
        let other = arena.create(other).await;
        spec.memory_bytes = 512 << 20;
        let outcome = arena.run(spec).await;
        let tried = Attempts::parse(&outcome.stdout, &format!("{outcome:?}"));
        tried.expect(&[("files with it", &["0"]), ("files read", &["many"])]);
        drop(other);
    });
}

/// Check 10: mounts name no place of the host, not even the one that was bound.
#[test]
fn mounts_are_neutral() {
    in_each_mode(async |arena| {
        let package = arena.spec(&[]).binds;
        let hidden =
            arena.launcher.protections().layers.iter().any(|l| l.name == "neutral mount names" && l.on);
        let place = arena.folder.path().to_str().expect("a plain path").to_owned();
        for file in ["mountinfo", "mounts", "mountstats"] {
            let program = arena.host_program(&["/bin/cat", &format!("/proc/self/{file}")]);
            let outcome = arena.run(Spec { binds: package.clone(), ..program }).await;
            assert!(outcome.stdout.contains("/opt/evil"), "{outcome:?}");
            for place in ["/sys", "/root", "/home", "cgroup", env!("CARGO_MANIFEST_DIR"), &place] {
                let told = outcome.stdout.contains(place);
                assert!(!told || !hidden, "{place} in {}", outcome.stdout);
            }
        }
        if !hidden {
            println!("not run: {:?} cannot hide where a package lies", arena.mode);
        }
    });
}

/// Check 11: by a keyring of its own alone, and by the filter alone.
#[test]
fn keys_stay_where_they_are() {
    const NAME: &str = "dayfly-test-canary";
    let _key = PlantedKey::plant(NAME);
    in_each_mode(async |arena| {
        let cases = [
            (Layers::default(), REFUSED.as_slice(), REFUSED.as_slice()),
            (only(|_| ()), &["ENOKEY", "EACCES", "EPERM"], &["ENOKEY", "EACCES", "EPERM", "done"]),
            (Layers { keyring: false, ..Layers::default() }, REFUSED.as_slice(), REFUSED.as_slice()),
        ];
        for (layers, found, added) in cases {
            let tried = arena.attack(&["keys", NAME], layers).await;
            tried.expect(&[("search session", found), ("search user", found), ("request", found)]);
            tried.expect(&[("add", added)]);
        }
        if arena.mode == Mode::Root {
            let neither = only(|layers| layers.keyring = false);
            assert_eq!(
                arena.attack(&["keys", NAME], neither).await.of("search session"),
                "done",
                "it is there to find"
            );
        }
    });
}

/// A key in this process's session keyring, which its children inherit.
struct PlantedKey(i64);

impl PlantedKey {
    fn plant(name: &str) -> Self {
        let name = std::ffi::CString::new(name).expect("a name");
        // SAFETY: the strings are valid C strings, the length is that of the payload.
        let key = unsafe {
            libc::syscall(libc::SYS_add_key, c"user".as_ptr(), name.as_ptr(), c"secret".as_ptr(), 6, -3_i64)
        };
        assert!(key > 0, "the key can be planted");
        Self(key)
    }
}

impl Drop for PlantedKey {
    fn drop(&mut self) {
        const KEYCTL_REVOKE: i64 = 3;
        // SAFETY: takes integers only.
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_REVOKE, self.0) };
    }
}

/// Check 12: with all layers, by lack of capabilities alone, and, with capabilities kept, by ownership alone: then
/// mounts may change inside, but nothing of the host does.
#[test]
fn mounts_cannot_be_changed() {
    in_each_mode(async |arena| {
        let data = arena.folder.path().join("package/data");
        for layers in [Layers::default(), only(|_| ())] {
            let tried = arena.attack(&["mounts", "/opt/evil"], layers).await;
            tried.expect_all(&["EPERM", "EACCES", "ENOSYS", "EROFS", "EINVAL"]);
        }
        let landlocked = Layers { seccomp: false, capabilities: false, ..Layers::default() };
        let tried = arena.attack(&["mounts", "/opt/evil"], landlocked).await;
        for attempt in [
            "remount folder",
            "remount root",
            "tmpfs",
            "proc",
            "umount proc",
            "pivot_root",
            "write /etc/passwd",
        ] {
            tried.expect(&[(attempt, &["EPERM", "EACCES", "EROFS", "EBUSY", "EINVAL"])]);
        }
        if arena.mode == Mode::Root {
            let tried =
                arena.attack(&["mounts", "/opt/evil"], only(|layers| layers.capabilities = false)).await;
            let refused = ["EPERM", "EACCES", "EROFS"].as_slice();
            for path in ["/opt/evil/data", "/etc/passwd"] {
                tried.expect(&[(&format!("write {path}"), refused), (&format!("chmod {path}"), refused)]);
            }
        }
        assert_eq!(fs::read_to_string(&data).expect("own file"), "data");
    });
}

/// Check 15.
#[test]
fn only_the_documented_descriptors_are_open() {
    in_each_mode(async |arena| {
        for (control, expected) in [(false, "0,1,2"), (true, "0,1,2,3")] {
            let spec = Spec { control, listen: vec![9001], ..arena.spec(&["descriptors"]) };
            let outcome = arena.run(spec).await;
            let tried = Attempts::parse(&outcome.stdout, &format!("{outcome:?}"));
            assert_eq!(tried.of("open"), expected);
        }
    });
}

/// Checks 15 and 19: what this process holds open on purpose, a ring of io_uring among it, is open in no sandbox.
#[test]
fn nothing_of_the_outside_is_inherited() {
    let mut parameters = [0_u32; 30];
    // SAFETY: the kernel fills in its 120 bytes of parameters and gives a new descriptor, which stays open.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) };
    // SAFETY: only opens what everybody may open; without `O_CLOEXEC`, so that it is inherited.
    let folder = unsafe { libc::open(c"/".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY) };
    for held in [ring, folder.into()].into_iter().filter(|held| *held >= 0) {
        // SAFETY: passes integers only; the descriptor is ours.
        unsafe { libc::fcntl(held as i32, libc::F_SETFD, 0) };
    }
    in_each_mode(async |arena| {
        let outcome = arena.run(arena.spec(&["descriptors"])).await;
        let tried = Attempts::parse(&outcome.stdout, &format!("{outcome:?}"));
        assert_eq!(tried.of("open"), "0,1,2");
        let launcher = fs::read_dir(format!("/proc/{}/fd", arena.launcher.process_id()));
        for open in launcher.into_iter().flatten().flatten() {
            let target = fs::read_link(open.path()).unwrap_or_default();
            assert!(!target.to_string_lossy().contains("io_uring"), "the launcher holds the ring");
        }
    });
    if ring < 0 {
        println!("not run: a ring, which this kernel does not make");
    }
}

/// Checks 14 and 16.
#[test]
fn nothing_that_steers_the_host_can_be_written() {
    in_each_mode(async |arena| {
        for layers in [Layers::default(), only(|_| ()), Layers { seccomp: false, ..Layers::default() }] {
            let tried = arena.attack(&["host-files"], layers).await;
            tried.expect_all(&["ENOENT", "EACCES", "EPERM", "EROFS", "ETXTBSY"]);
        }
    });
}

/// Check 17: by the network namespace and the root alone, and by Landlock alone.
#[test]
fn sockets_of_others_are_out_of_reach() {
    in_each_mode(async |arena| {
        let name = format!("dayfly-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let _abstract = UnixListener::bind_addr(&address).expect("the name is free");
        let path = arena.folder.path().join("socket");
        let _listener = UnixListener::bind(&path).expect("the path is free");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("own file");
        let path = path.to_str().expect("a plain path");
        for layers in [Layers::default(), only(|_| ())] {
            let tried = arena.attack(&["sockets", &name, path], layers).await;
            tried.expect(&[("abstract", &["ECONNREFUSED", "EPERM"])]);
            assert!(tried.all("path").all(|outcome| ["ENOENT", "EACCES", "EPERM"].contains(&outcome)));
        }
        let scoped = arena
            .launcher
            .protections()
            .layers
            .iter()
            .any(|l| l.name == "landlock" && l.why_missing.is_none());
        if !scoped {
            println!("not run: Landlock alone, whose scopes this kernel does not know");
            return;
        }
        // Two sandboxes in one network: the launcher's own.
        let server = format!(
            "import socket; s = socket.socket(socket.AF_UNIX); s.bind('\\0{name}'); s.listen(); print('up: 1', flush=True); s.accept()"
        );
        if !std::path::Path::new("/usr/bin/python3").exists() {
            println!("not run: Landlock alone, for which there is no /usr/bin/python3");
            return;
        }
        let shared = Layers { network: false, seccomp: false, ..Layers::default() };
        let server = arena.host_program(&["/usr/bin/python3", "-I", "-c", &server]);
        let server = arena.create(Spec { layers: shared.clone(), ..server }).await;
        wait_for_line(&server.stdout, "up: ").await;
        let tried = arena.attack(&["sockets", &name, path], shared.clone()).await;
        tried.expect(&[("abstract", &["EPERM"])]);
        let unscoped = Layers { landlock: false, ..shared };
        let tried = arena.attack(&["sockets", &name, path], unscoped).await;
        assert_eq!(tried.of("abstract"), "done", "the two do share a network, so Landlock it was");
    });
}

/// Check 20: with the filter, by counters alone, and without either.
#[test]
fn namespaces_cannot_be_made() {
    in_each_mode(async |arena| {
        let filtered = arena.attack(&["namespaces"], Layers::default()).await;
        filtered.expect_all(&["EPERM", "ENOSYS", "EBADF", "EACCES"]);
        let counted = arena.attack(&["namespaces"], only(|_| ())).await;
        for kind in ["unshare user", "clone user", "clone3 user"] {
            counted.expect(&[(kind, &["ENOSPC"])]);
        }
        counted.expect_all(&["ENOSPC", "EPERM", "EBADF"]);
        let neither = arena.attack(&["namespaces"], only(|layers| layers.counters = false)).await;
        assert_eq!(neither.of("unshare user"), "done", "so it was the counter");
    });
}

/// Check 21. A neighbour and the platform live on.
#[test]
fn signals_stay_inside() {
    in_each_mode(async |arena| {
        let neighbour = arena.create(Spec { control: true, ..arena.spec(&["control"]) }).await;
        let launcher = arena.launcher.process_id().to_string();
        for layers in [Layers::default(), only(|_| ())] {
            let outsider = Arena::outsider();
            let tried = arena.attack(&["signals", &outsider, &launcher], layers).await;
            for attempt in ["kill other", "stop other", "thread other", "pidfd other"] {
                let refused = ["ESRCH", "EPERM", "EBADF", "ENOSYS", "EINVAL"];
                assert!(tried.all(attempt).all(|outcome| refused.contains(&outcome)), "{attempt}");
            }
            // It is there, and with rules of its own the kernel does not even let it be asked.
            tried.expect(&[("first process alive", &["done", "EPERM"]), ("survived", &["done"])]);
        }
        use std::io::{Read, Write};
        let mut control = neighbour.control.as_ref().expect("it was asked for");
        control.write_all(b"ping").expect("the neighbour lives");
        control.read_exact(&mut [0; 4]).expect("the neighbour answers");
        assert_eq!(neighbour.exited().await, Exit::Code(0));
    });
}

/// Check 22.
#[test]
fn no_program_makes_another_user() {
    in_each_mode(async |arena| {
        let program = arena.folder.path().join("package/set-user");
        fs::copy(arena.folder.path().join("package/evil"), &program).expect("own file");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).expect("own file");
        for layers in [Layers::default(), only(|_| ())] {
            let spec =
                Spec { layers, tmp_bytes: 64 << 20, ..arena.spec(&["set-user", "/opt/evil/set-user"]) };
            let outcome = arena.run(spec).await;
            let tried = Attempts::parse(&outcome.stdout, &format!("{outcome:?}"));
            for attempt in ["setuid 0", "setresuid 700000", "setgid 0", "setgroups"] {
                tried.expect(&[(attempt, &["EPERM", "EINVAL", "ENOSYS"])]);
            }
            let users: Vec<_> = tried.all("user").collect();
            assert_eq!(users, ["993 993", "993 993"], "{outcome:?}");
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert!(tried.all(set).all(|bits| bits == "0000000000000000"), "{outcome:?}");
            }
            assert!(tried.all("NoNewPrivs").all(|on| on == "1"), "{outcome:?}");
        }
    });
}

/// Landlock alone, on the host's own root: what the mount view would not show cannot be opened either.
#[test]
fn landlock_alone_hides_the_host() {
    in_each_mode(async |arena| {
        if !arena.launcher.protections().layers.iter().any(|layer| layer.name == "landlock" && layer.on) {
            println!("not run: this kernel has no Landlock");
            return;
        }
        let layers = Layers { root: false, seccomp: false, ..Layers::default() };
        let program = arena.host_program(&["/bin/cat", "/root/.profile", "/var/lib/dpkg/status"]);
        let outcome = arena.run(Spec { layers, workdir: "/".to_owned(), ..program }).await;
        assert_ne!(outcome.exit, Exit::Code(0));
        for path in ["/root/.profile", "/var/lib/dpkg/status"] {
            if fs::metadata(path).is_ok() {
                assert!(outcome.stderr.contains(&format!("{path}: Permission denied")), "{outcome:?}");
            }
        }
    });
}

/// Everything that anybody may do in a folder of the host, by its bits.
const MEDDLING: &str = r#"
try() { what=$1; shift; if "$@" >/dev/null 2>&1; then echo "$what: ok"; else echo "$what: refused"; fi; }
write() { echo x >> "$1"; }
try list ls "$1"
try read cat "$1/file"
try write write "$1/file"
try make write "$1/new"
try folder mkdir "$1/folder"
try link ln "$1/file" "$1/hard"
try name ln -s file "$1/soft"
try rename mv "$1/file" "$1/other"
try remove rm "$1/spare"
"#;

/// Check 32, with a folder in which everybody may do everything: so that nothing but Landlock stands in the way.
#[test]
fn landlock_alone_keeps_a_folder_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    // Not below /tmp, which is a sandbox's own.
    let Some(open) = ["/var/tmp", "/run"].iter().find_map(|place| tempfile::TempDir::new_in(place).ok())
    else {
        println!("not run: no folder can be made outside /tmp");
        return;
    };
    let everybody = |path: &std::path::Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("own file");
    };
    everybody(open.path());
    in_each_mode(async |arena| {
        if !arena.launcher.protections().layers.iter().any(|layer| layer.name == "landlock" && layer.on) {
            println!("not run: this kernel has no Landlock");
            return;
        }
        for landlock in [true, false] {
            for name in ["file", "spare"] {
                fs::write(open.path().join(name), "mine").expect("own folder");
                everybody(&open.path().join(name));
            }
            let layers = Layers { root: false, seccomp: false, landlock, ..Layers::default() };
            let folder = open.path().to_str().expect("a plain path");
            let program = arena.host_program(&["/bin/sh", "-c", MEDDLING, "sh", folder]);
            let outcome = arena.run(Spec { layers, workdir: "/".to_owned(), ..program }).await;
            let tried =
                Attempts::parse(&outcome.stdout, &format!("{:?} {landlock}: {outcome:?}", arena.mode));
            let whats = ["list", "read", "write", "make", "folder", "link", "name", "rename", "remove"];
            for what in whats {
                assert_eq!(tried.of(what) == "refused", landlock, "{what} as {:?}: {outcome:?}", arena.mode);
            }
            let left = fs::read_dir(open.path()).expect("own folder").flatten();
            let mut left: Vec<_> = left.map(|entry| entry.file_name()).collect();
            left.sort();
            if landlock {
                assert_eq!(left, ["file", "spare"], "as {:?}", arena.mode);
                assert_eq!(fs::read_to_string(open.path().join("file")).expect("own file"), "mine");
            }
            for name in left {
                let path = open.path().join(name);
                let _ = if path.is_dir() { fs::remove_dir(&path) } else { fs::remove_file(&path) };
            }
        }
    });
}

/// What a neighbour prints is its own.
#[test]
fn output_goes_to_its_owner() {
    in_each_mode(async |arena| {
        let one = arena.create(arena.host_program(&["/bin/echo", "one"])).await;
        let two = arena.create(arena.host_program(&["/bin/echo", "two"])).await;
        let _ = (one.exited().await, two.exited().await);
        assert_eq!(
            (read_to_end(&one.stdout), read_to_end(&two.stdout)),
            ("one\n".to_owned(), "two\n".to_owned())
        );
    });
}
