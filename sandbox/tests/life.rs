//! The life of a sandbox, and what its owner is told of it.

mod arena;

use arena::{Arena, Mode, children, in_each_mode, in_mode, read_to_end, wait_for_line};
use sandbox::{Command, Exit, Launcher, LauncherOptions, SandboxError, Spec};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn a_program_of_the_host_runs() {
    in_each_mode(async |arena| {
        let outcome = arena.run(arena.host_program(&["/bin/echo", "hello"])).await;
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (Exit::Code(0), "hello\n"), "{outcome:?}");
    });
}

#[test]
fn an_interpreter_runs() {
    const PROGRAM: &str = "import json, os, socket, tempfile, threading\n\
        t = threading.Thread(target=lambda: None); t.start(); t.join()\n\
        open(tempfile.mktemp(), 'w').write('x')\n\
        os.write(3, json.dumps([os.getuid(), os.environ['GREETING'], sorted(os.environ)]).encode())";
    if !Path::new("/usr/bin/python3").exists() {
        println!("not run: there is no /usr/bin/python3");
        return;
    }
    in_each_mode(async |arena| {
        let env = vec![("GREETING".to_owned(), "hello world".to_owned())];
        let spec = arena.host_program(&["/usr/bin/python3", "-I", "-c", PROGRAM]);
        let sandbox = arena.create(Spec { control: true, env, ..spec }).await;
        let exit = sandbox.exited().await;
        assert_eq!(exit, Exit::Code(0), "{}", read_to_end(&sandbox.stderr));
        let mut said = String::new();
        sandbox.control.as_ref().expect("it was asked for").read_to_string(&mut said).expect("a socket");
        assert_eq!(said, r#"[993, "hello world", ["GREETING", "LC_CTYPE"]]"#);
    });
}

#[test]
fn the_end_is_told_as_it_was() {
    in_each_mode(async |arena| {
        let cases: [(&[&str], Exit); 5] = [
            (&["exit", "0"], Exit::Code(0)),
            (&["exit", "7"], Exit::Code(7)),
            (&["exit", "137"], Exit::Code(137)),
            (&["abort"], Exit::Signal(libc::SIGABRT)),
            (&["no such verb"], Exit::Code(101)),
        ];
        for (verb, expected) in cases {
            let outcome = arena.run(arena.spec(verb)).await;
            assert_eq!((outcome.exit, outcome.oom_killed), (expected, false), "{verb:?}: {outcome:?}");
        }
    });
}

#[test]
fn descriptor_3_and_listeners_connect_inside_and_outside() {
    in_each_mode(async |arena| {
        let sandbox = arena.create(Spec { control: true, ..arena.spec(&["control"]) }).await;
        let mut control = sandbox.control.as_ref().expect("it was asked for");
        control.write_all(b"ping").expect("a reader");
        let mut answer = [0; 4];
        control.read_exact(&mut answer).expect("an answer");
        assert_eq!((answer, sandbox.exited().await), (*b"ping", Exit::Code(0)));

        let sandbox = arena.create(Spec { listen: vec![9001, 80], ..arena.spec(&["connect", "9001"]) }).await;
        assert_eq!(sandbox.listeners.len(), 2);
        let (mut stream, _) = sandbox.listeners[0].accept().expect("a connection");
        let mut question = [0; 4];
        stream.read_exact(&mut question).expect("a question");
        stream.write_all(b"pong").expect("a reader");
        drop(stream);
        assert_eq!(sandbox.exited().await, Exit::Code(0));
        let said = read_to_end(&sandbox.stdout);
        assert_eq!((question, said.as_str()), (*b"ping", "answer: pong\noutside: ENETUNREACH\n"));
    });
}

#[test]
fn a_program_that_is_not_there_is_a_failed_step() {
    in_each_mode(async |arena| {
        let cases = [
            (arena.host_program(&["/no/such/program"]), "program", libc::ENOENT),
            (arena.host_program(&["/etc/passwd"]), "program", libc::EACCES),
            (
                Spec { workdir: "/no/such/folder".to_owned(), ..arena.spec(&["user"]) },
                "program",
                libc::ENOENT,
            ),
        ];
        for (spec, expected_step, errno) in cases {
            match arena.launcher.create(spec).await {
                Err(SandboxError::Setup { step, source }) => {
                    assert_eq!((step.as_str(), source.raw_os_error()), (expected_step, Some(errno)));
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn usage_grows_and_stays() {
    in_each_mode(async |arena| {
        let sandbox = arena.create(arena.spec(&["spin", "1", "400"])).await;
        let during = loop {
            let usage = sandbox.usage();
            if usage.user_us + usage.system_us > 50_000 {
                break usage;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(sandbox.exited().await, Exit::Code(0));
        let after = sandbox.usage();
        assert!(
            after.user_us >= during.user_us && after.system_us >= during.system_us,
            "{during:?} {after:?}"
        );
        assert!(during.peak_bytes > 0 && after.peak_bytes >= during.peak_bytes, "{during:?} {after:?}");
        assert_eq!(sandbox.usage(), after);
    });
}

#[test]
fn killing_and_dropping_leave_nothing() {
    in_each_mode(async |arena| {
        let sandboxes: Vec<_> = futures(arena, 5).await;
        let living = children(arena.launcher.process_id());
        assert!((5..=5 + arena::AHEAD).contains(&living), "{living}");
        for sandbox in &sandboxes {
            sandbox.kill().await;
            sandbox.kill().await;
            assert_eq!(sandbox.exited().await, Exit::Signal(libc::SIGKILL));
        }
        assert!(children(arena.launcher.process_id()) <= arena::AHEAD);
        drop(futures(arena, 5).await);
        drop(arena.launcher.create(arena.spec(&["sleep"])));
        drop(
            tokio::time::timeout(Duration::from_micros(10), arena.launcher.create(arena.spec(&["sleep"])))
                .await,
        );
    });
}

/// Rule RES over a thousand lives, ten thousand where there is time, and no two of the living are the same user.
#[test]
fn a_thousand_lives_leave_nothing() {
    in_each_mode(async |arena| {
        let launcher = arena.launcher.process_id();
        let kept = futures(arena, 4).await;
        let mut after_some = 0;
        for round in 0..if tier() >= 2 { 10_000 } else { 1000 } {
            let sandbox = match round % 3 {
                0 => arena.create(arena.host_program(&["/bin/true"])).await,
                _ => arena.create(Spec { control: true, listen: vec![9001], ..arena.spec(&["sleep"]) }).await,
            };
            match round % 3 {
                0 => assert_eq!(sandbox.exited().await, Exit::Code(0)),
                1 => sandbox.kill().await,
                _ => {}
            }
            if round % 100 == 0 {
                expect_distinct_users(arena);
            }
            if round == 200 {
                after_some = resident_kib(launcher);
            }
        }
        let grown = resident_kib(launcher).saturating_sub(after_some);
        assert!(grown < 1024, "the launcher has grown by {grown} KiB");
        drop(kept);
        arena.expect_clean().await;
    });
}

/// What `cargo xtask secure --tier N` asks for.
fn tier() -> u32 {
    std::env::var("DAYFLY_TIER").ok().and_then(|tier| tier.parse().ok()).unwrap_or(0)
}

fn expect_distinct_users(arena: &Arena) {
    let launcher = arena.launcher.process_id();
    let first_processes = std::fs::read_to_string(format!("/proc/{launcher}/task/{launcher}/children"));
    let status = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/status")).ok();
    let real =
        |pid: &str| status(pid)?.lines().find_map(|line| Some(line.strip_prefix("Uid:")?.trim().to_owned()));
    let users: Vec<_> = first_processes.expect("it lives").split_whitespace().filter_map(real).collect();
    let mut distinct = users.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let expected = if arena.mode == Mode::Root { users.len() } else { 1 };
    assert_eq!(distinct.len(), expected, "{users:?} as {:?}", arena.mode);
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

async fn futures(arena: &Arena, count: usize) -> Vec<sandbox::Sandbox> {
    let mut sandboxes = Vec::new();
    for _ in 0..count {
        sandboxes.push(arena.create(arena.spec(&["sleep"])).await);
    }
    sandboxes
}

#[test]
fn a_flood_that_nobody_reads_can_be_killed() {
    in_each_mode(async |arena| {
        let sandbox = arena.create(arena.spec(&["flood"])).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        sandbox.kill().await;
    });
}

#[test]
fn sandboxes_die_with_their_launcher() {
    in_each_mode(async |arena| {
        let package = arena.folder.path().join("launcher");
        let launcher = arena::start(arena.mode, &package);
        let sandbox = launcher.create(arena.spec(&["sleep"])).await.expect("a sandbox");
        let pid = rustix::process::Pid::from_raw(launcher.process_id().cast_signed()).expect("a pid");
        let gone = tokio::time::timeout(Duration::from_millis(50), launcher.gone()).await;
        assert!(gone.is_err(), "it lives");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("own child");
        tokio::time::timeout(Duration::from_secs(60), launcher.gone()).await.expect("its end is noticed");
        assert_eq!(sandbox.exited().await, Exit::Signal(libc::SIGKILL));
        // The sandbox's end of the pipe closes when its last process is gone.
        assert_eq!(read_to_end(&sandbox.stdout), "");
        assert!(matches!(
            launcher.create(arena.spec(&["user"])).await,
            Err(SandboxError::Io(_) | SandboxError::LauncherGone)
        ));
        drop((sandbox, launcher));
        if arena.mode == Mode::User && std::env::var_os("DAYFLY_DELEGATED").is_some() {
            // Each has a delegated group of its own there, and whoever delegated it removes it.
            return;
        }
        // What the dead one left in control groups, the next one sweeps.
        let next = arena::start(arena.mode, &package);
        assert_eq!(
            arena::cgroups(u32::try_from(pid.as_raw_nonzero().get()).expect("a pid")),
            Vec::<std::path::PathBuf>::new()
        );
        drop(next);
    });
}

#[test]
fn launchers_die_with_their_server() {
    let _turn = arena::turn();
    let mut server = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "be_a_server", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program");
    let lines = BufReader::new(server.stdout.take().expect("it is piped")).lines();
    let launcher =
        lines.map_while(Result::ok).find_map(|line| line.strip_prefix("launcher ")?.parse::<u32>().ok());
    let Some(launcher) = launcher else {
        println!("not run: no sandbox can be made here");
        server.wait().expect("own child");
        return;
    };
    let living = children(launcher);
    assert!((3..=3 + arena::AHEAD).contains(&living), "{living}");
    server.kill().expect("own child");
    server.wait().expect("own child");
    for _ in 0..1000 {
        if !Path::new(&format!("/proc/{launcher}")).exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!Path::new(&format!("/proc/{launcher}")).exists(), "the launcher lives on");
    assert_eq!(arena::cgroups(launcher), Vec::<std::path::PathBuf>::new());
}

#[test]
#[ignore = "another test starts it as a process of its own and kills it"]
fn be_a_server() {
    let check = async |arena: &Arena| {
        let _sandboxes = futures(arena, 3).await;
        println!("launcher {}", arena.launcher.process_id());
        tokio::time::sleep(Duration::from_secs(60)).await;
    };
    in_mode(if rustix::process::getuid().is_root() { Mode::Root } else { Mode::User }, &check);
}

#[test]
fn host_commands_are_bounded() {
    in_each_mode(async |arena| {
        let command = |script: &str| Command {
            argv: ["/bin/sh", "-c", script].iter().map(|text| (*text).to_owned()).collect(),
            env: vec![("WORD".to_owned(), "hello".to_owned())],
            timeout: Duration::from_secs(30),
            stdin: b"from stdin".to_vec(),
            max_output: 16,
        };
        let ran = arena.launcher.run(command("cat; echo $WORD >&2; exit 3")).await.expect("it runs");
        assert_eq!(
            (ran.status, &*ran.stdout, &*ran.stderr),
            (Exit::Code(3), &b"from stdin"[..], &b"hello\n"[..])
        );
        let ran = arena.launcher.run(command("yes | head -c 1000000")).await.expect("it runs");
        assert_eq!((ran.status, ran.stdout.len()), (Exit::Code(0), 16));
        let ran = arena.launcher.run(command("kill -9 $$")).await.expect("it runs");
        assert_eq!(ran.status, Exit::Signal(9));

        let slow = Command { timeout: Duration::from_millis(50), ..command("sleep 1000 & sleep 1000") };
        assert!(matches!(arena.launcher.run(slow).await, Err(SandboxError::TimedOut { after_ms: 50 })));
        let absent = Command { argv: vec!["/no/such".to_owned()], ..command("") };
        assert!(
            matches!(arena.launcher.run(absent).await, Err(SandboxError::Setup { step, .. }) if step == "program")
        );
        let relative = Command { argv: vec!["sh".to_owned()], ..command("") };
        assert!(matches!(arena.launcher.run(relative).await, Err(SandboxError::Invalid(_))));
    });
}

#[test]
fn host_commands_have_no_privileges() {
    in_each_mode(async |arena| {
        let command = Command {
            argv: vec!["/bin/cat".to_owned(), "/proc/self/status".to_owned()],
            timeout: Duration::from_secs(30),
            max_output: 1 << 16,
            ..Command::default()
        };
        let ran = arena.launcher.run(command).await.expect("it runs");
        let status = String::from_utf8(ran.stdout).expect("text");
        for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"] {
            assert!(status.contains(line), "{line} in {status}");
        }
    });
}

#[test]
fn the_level_is_truthful() {
    in_each_mode(async |arena| {
        let protections = arena.launcher.protections();
        let mut missing: Vec<_> = protections.missing().map(|layer| layer.name.as_str()).collect();
        assert!(missing.contains(&"own root image"), "none was given: {missing:?}");
        missing.retain(|name| *name != "own root image");
        for layer in protections.missing() {
            assert!(layer.why_missing.is_some() && layer.how_to_fix.is_some(), "{layer:?}");
        }
        if arena.mode == Mode::User {
            assert_eq!(protections.level, 2, "{protections:?}");
            assert!(missing.contains(&"own user per sandbox"), "{missing:?}");
        } else {
            assert_eq!(protections.level == 3, missing.is_empty(), "{protections:?}");
        }
    });
}

#[test]
fn a_launcher_that_does_not_answer_is_an_error() {
    let _turn = arena::turn();
    let started = Launcher::start(Path::new("/bin/true"), LauncherOptions::default());
    assert!(matches!(started, Err(SandboxError::LauncherGone)), "{started:?}");
    let started = Launcher::start(Path::new("/no/such"), LauncherOptions::default());
    assert!(matches!(started, Err(SandboxError::Io(_))), "{started:?}");
}

#[test]
fn a_line_is_seen_while_the_program_runs() {
    in_each_mode(async |arena| {
        let sandbox = arena.create(arena.spec(&["fork"])).await;
        wait_for_line(&sandbox.stdout, "children: ").await;
        sandbox.kill().await;
    });
}
