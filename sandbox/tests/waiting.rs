//! Programs that are started before it is known what for: what they see until then, what they get, and that they get it
//! once.

mod arena;

use arena::{Arena, Mode, cgroups, in_each_mode};
use sandbox::{Bind, Layers, Sandbox, Spec};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Runs one line after the other and answers each with one line.
const SHELL: &str =
    r#"while read -r line <&3; do echo "$(eval "$line" 2>&1)" | tr '\n' ' ' >&3; echo >&3; done"#;
const MEBIBYTE: u64 = 1 << 20;

struct Waiting {
    sandbox: Sandbox,
    control: BufReader<UnixStream>,
}

impl Waiting {
    async fn start(arena: &Arena, waits: bool) -> Self {
        let spec = Spec { control: true, waits, ..arena.host_program(&["/bin/sh", "-c", SHELL]) };
        let mut sandbox = arena.create(spec).await;
        let control = sandbox.control.take().expect("it has one");
        control.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { sandbox, control: BufReader::new(control) }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.control.get_mut(), "{line}").unwrap();
        let mut answer = String::new();
        self.control.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }
}

/// What it is for: the attacker's package as the function's.
fn work(arena: &Arena) -> Spec {
    let binds = vec![Bind { host: arena.folder.path().join("package"), guest: "/var/task".into() }];
    let bounds =
        Spec { tmp_bytes: MEBIBYTE, memory_bytes: 96 * MEBIBYTE, cpu_millis: 500, ..Spec::default() };
    Spec { binds, cpu_weight: 512, pids: 32, ..bounds }
}

#[test]
fn it_sees_no_package_before_and_one_after() {
    in_each_mode(async |arena| {
        let mut one = Waiting::start(arena, true).await;
        let mut other = Waiting::start(arena, true).await;
        assert_eq!(one.ask("ls -A /var/task /opt /tmp"), "/opt:  /tmp:  /var/task:");
        one.sandbox
            .assign(work(arena))
            .await
            .unwrap_or_else(|error| panic!("as {:?}: {error:?}", arena.mode));
        let host = arena.folder.path().file_name().unwrap().to_str().unwrap().to_owned();
        let hidden = if arena.mode == Mode::Root { "0" } else { "" };
        for (question, expected) in [
            ("cat /var/task/data", "data"),
            ("cd /var/task; ls", "data evil"),
            ("/var/task/evil nothing >/dev/null 2>&1; test $? -ne 126 && echo ran", "ran"),
            ("echo x >/var/task/new", "Read-only file system"),
            ("rm -f /var/task/data", "Read-only file system"),
            ("head -c 2000000 /dev/zero >/tmp/big", "No space left on device"),
            ("umount /var/task 2>/dev/null; cat /var/task/data", "data"),
            (&format!("grep -c {host} /proc/self/mountinfo"), hidden),
        ] {
            let got = one.ask(question);
            assert!(got.contains(expected), "{question}: {got} as {:?}", arena.mode);
        }
        assert_eq!(other.ask("ls -A /var/task"), "", "nobody else sees it");
        one.sandbox.kill().await;
        other.sandbox.kill().await;
    });
}

#[test]
fn it_is_as_confined_as_a_program_that_never_waited() {
    in_each_mode(async |arena| {
        let mut plain = Waiting::start(arena, false).await;
        let mut waited = Waiting::start(arena, true).await;
        waited.sandbox.assign(arena.host_program(&["/none"])).await.unwrap();
        for question in [
            "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|NSpid)' /proc/self/status | grep -v NSpid",
            "ulimit -a",
            "cut -d' ' -f5- /proc/self/mountinfo | sed 's/uid=[0-9]*,gid=[0-9]*//' | sort",
            "sleep 0.3; set -- /proc/[0-9]*; echo $#",
            "ls -l /proc/self/fd | wc -l",
            "kill -9 1; cat /etc/shadow; echo x >/usr/x; ls -A / /var /opt",
        ] {
            assert_eq!(plain.ask(question), waited.ask(question), "{question} as {:?}", arena.mode);
        }
        plain.sandbox.kill().await;
        waited.sandbox.kill().await;
    });
}

#[test]
fn it_is_given_its_work_once() {
    in_each_mode(async |arena| {
        let waiting = Waiting::start(arena, true).await;
        waiting.sandbox.assign(work(arena)).await.unwrap();
        let never = Waiting::start(arena, false).await;
        for refused in [&waiting, &never] {
            let error = refused.sandbox.assign(work(arena)).await.unwrap_err().to_string();
            assert!(error.contains("assign") && error.contains("does not wait"), "{error}");
        }
        // An end while it waits is known as any other.
        let mut ended = Waiting::start(arena, true).await;
        writeln!(ended.control.get_mut(), "exit 7").unwrap();
        writeln!(ended.control.get_mut(), "kill -9 $$").unwrap();
        ended.sandbox.exited().await;
        assert!(ended.sandbox.assign(work(arena)).await.is_err());
        waiting.sandbox.kill().await;
        never.sandbox.kill().await;
    });
}

#[test]
fn its_limits_are_those_of_its_work() {
    in_each_mode(async |arena| {
        let mut waiting = Waiting::start(arena, true).await;
        let before = groups(arena);
        waiting.sandbox.assign(work(arena)).await.unwrap();
        for (file, expected) in [
            ("memory.limit_in_bytes", "100663296"),
            ("memory.memsw.limit_in_bytes", "100663296"),
            ("cpu.cfs_quota_us", "10000"),
            ("cpu.shares", "512"),
            ("pids.max", "33"),
            ("memory.max", "100663296"),
            ("cpu.max", "10000 20000"),
            ("cpu.weight", "50"),
        ] {
            for folder in &before {
                let found = fs::read_to_string(folder.join(file));
                let found = found.as_deref().map(str::trim).ok();
                assert!(found.is_none_or(|found| found == expected), "{file}: {found:?} as {:?}", arena.mode);
            }
        }
        if arena.mode == Mode::Root {
            assert!(!before.is_empty(), "there are control groups");
        }
        let hog = waiting.ask("exec 3>&-; exec 3</dev/null; /var/task/evil memory 4096; echo survived");
        assert!(!hog.contains("survived"), "{hog}");
        waiting.sandbox.exited().await;
        assert!(waiting.sandbox.oom_killed(), "as {:?}", arena.mode);
    });
}

/// The control groups of the only sandbox that has a program.
fn groups(arena: &Arena) -> Vec<std::path::PathBuf> {
    let is_shell =
        |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sh");
    let inhabited = |folder: &std::path::PathBuf| {
        fs::read_to_string(folder.join("cgroup.procs")).is_ok_and(|pids| pids.lines().any(is_shell))
    };
    cgroups(arena.launcher.process_id()).into_iter().filter(inhabited).collect()
}

#[test]
fn layers_that_are_off_stay_off() {
    in_each_mode(async |arena| {
        let layers = Layers { landlock: false, seccomp: false, ..Layers::default() };
        let argv = ["/bin/sh", "-c", SHELL];
        let spec = Spec { control: true, waits: true, layers, ..arena.host_program(&argv) };
        let mut sandbox = arena.create(spec).await;
        let control = BufReader::new(sandbox.control.take().unwrap());
        let mut waiting = Waiting { sandbox, control };
        waiting.sandbox.assign(work(arena)).await.unwrap();
        assert!(waiting.ask("echo x >/var/task/data").contains("Read-only"), "the mount alone holds");
        assert!(waiting.ask("grep Seccomp: /proc/self/status").ends_with('0'));
        waiting.sandbox.kill().await;
    });
}
