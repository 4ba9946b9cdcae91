//! Programs that are forked into sandboxes: what their children are, see and may, and what is left of them. The program
//! is the machine's Python; without one these tests say so and pass.
mod arena;

use arena::{Arena, Mode, in_each_mode};
use sandbox::{Bind, Exit, Sandbox, Spec, Template};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Empty sandboxes that are made ahead for a template's children.
const AHEAD: usize = 1;

const PYTHON: &str = "/usr/bin/python3";

/// A template that answers expressions once it is forked. What is run before says `{before}`.
const PROGRAM: &str = r#"
import os, sys
sys.path.insert(0, "/opt/entry")
import _dayfly
loaded = os.urandom(8).hex()
{before}
os.write(3, {said})
_dayfly.serve(3)
os.chdir("/tmp")
while True:
    question = os.read(3, 65536)
    if not question:
        os._exit(0)
    try:
        answer = eval(question)
    except BaseException as error:
        answer = "%s: %s" % (type(error).__name__, error)
    os.write(3, repr(answer).encode())
"#;

struct Nest<'a> {
    arena: &'a Arena,
    entry: std::path::PathBuf,
}

impl<'a> Nest<'a> {
    /// `None` where there is no Python.
    fn new(arena: &'a Arena) -> Option<Self> {
        if !std::path::Path::new(PYTHON).exists() {
            println!("not run: no {PYTHON}");
            return None;
        }
        let entry = arena.folder.path().join("entry");
        fs::create_dir_all(&entry).unwrap();
        fs::write(entry.join("_dayfly.abi3.so"), sandbox::PYTHON_ENTRY).unwrap();
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(entry.join("_dayfly.abi3.so"), fs::Permissions::from_mode(0o644)).unwrap();
        Some(Self { arena, entry })
    }

    fn spec(&self, before: &str, said: &str) -> Spec {
        let program = PROGRAM.replace("{before}", before).replace("{said}", said);
        let binds = vec![Bind { host: self.entry.clone(), guest: "/opt/entry".into() }];
        Spec { binds, ..self.arena.host_program(&[PYTHON, "-S", "-c", &program]) }
    }

    /// What is made ahead for its children.
    fn housing(&self) -> Spec {
        self.arena.host_program(&["/none"])
    }

    async fn template(&self) -> Template {
        let template = self
            .arena
            .launcher
            .template(self.spec("", "b'ready'"), &self.housing(), AHEAD)
            .await
            .expect("a template");
        template.ready().await.expect("it can be forked");
        template
    }

    async fn child(&self, template: &Template) -> Child {
        let spec = self.arena.host_program(&["/none"]);
        Child::of(self.arena.launcher.fork(template, spec).await.expect("a child"))
    }
}

/// A forked program, asked expression by expression.
struct Child {
    sandbox: Sandbox,
    control: UnixStream,
}

impl Child {
    fn of(mut sandbox: Sandbox) -> Self {
        let control = sandbox.control.take().expect("it has one");
        control.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { sandbox, control }
    }

    fn ask(&mut self, question: &str) -> String {
        self.control.write_all(question.as_bytes()).unwrap();
        let mut answer = vec![0; 65536];
        let length = self.control.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }
}

#[test]
fn a_child_is_confined_as_a_program_is() {
    in_each_mode(async |arena| {
        let Some(nest) = Nest::new(arena) else { return };
        let template = nest.template().await;
        let mut child = nest.child(&template).await;
        let cases = [
            ("os.getpid()", "2"),
            ("os.getuid(), os.geteuid(), os.getgid()", "(993, 993, 990)"),
            ("os.getcwd()", "'/tmp'"),
            ("os.uname().nodename", "'dayfly'"),
            ("sorted(os.listdir('/proc/self/fd'))[:4]", "['0', '1', '2', '3']"),
            ("len(os.listdir('/proc/self/fd')) <= 5", "True"),
            ("open('/tmp/x', 'w').write('mine')", "4"),
            ("[p for p in os.listdir('/proc') if p.isdigit()]", "['2']"),
            (
                "open('/etc/shadow')",
                "\"FileNotFoundError: [Errno 2] No such file or directory: '/etc/shadow'\"",
            ),
            ("open('/usr/x', 'w')", "\"OSError: [Errno 30] Read-only file system: '/usr/x'\""),
            (
                "{l.split(':')[1].strip() for l in open('/proc/self/status') if l[:3] == 'Cap'}",
                "{'0000000000000000'}",
            ),
            ("[l.split()[1] for l in open('/proc/self/status') if l[:10] == 'NoNewPrivs']", "['1']"),
            ("[l.split()[1] for l in open('/proc/self/status') if l[:16] == 'Seccomp_filters:']", "['2']"),
        ];
        for (question, expected) in cases {
            assert_eq!(child.ask(question), expected, "{question} as {:?}", arena.mode);
        }
        // Kernels that scope signals refuse; others drop what is sent to a first process from within.
        let killed = child.ask("os.kill(1, 9)");
        assert!(killed == "None" || killed.starts_with("'PermissionError"), "{killed} as {:?}", arena.mode);
        assert_eq!(child.ask("1 + 1"), "2");
        let import = "__import__('ctypes').CDLL(None, use_errno=True)";
        for (call, expected) in [
            ("unshare(0x10000000)", "1"),
            ("setns(3, 0)", "1"),
            ("prctl(24, 1, 0, 0, 0)", "1"),
            ("syscall(250, 1, 0)", "1"),
            ("mount(b'a', b'/tmp', b'tmpfs', 0, None)", "1"),
        ] {
            let question = format!("({import}.{call}, __import__('ctypes').get_errno())[1]");
            assert_eq!(child.ask(&question), expected, "{call} as {:?}", arena.mode);
        }
        child.sandbox.kill().await;
        template.sandbox.kill().await;
    });
}

#[test]
fn children_share_what_was_loaded_and_nothing_else() {
    in_each_mode(async |arena| {
        let Some(nest) = Nest::new(arena) else { return };
        let template = nest.template().await;
        let (mut one, mut other) = (nest.child(&template).await, nest.child(&template).await);
        assert_eq!(one.ask("loaded"), other.ask("loaded"));
        assert_ne!(one.ask("os.urandom(8)"), other.ask("os.urandom(8)"));
        for namespace in ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup"] {
            let question = format!("os.readlink('/proc/self/ns/{namespace}')");
            assert_ne!(one.ask(&question), other.ask(&question), "{namespace} as {:?}", arena.mode);
        }
        assert_eq!(one.ask("open('/tmp/secret', 'w').write('x')"), "1");
        assert_eq!(other.ask("os.listdir('/tmp')"), "[]");
        if arena.mode == Mode::Root {
            let user = "open('/proc/self/uid_map').read().split()[1]";
            assert_ne!(one.ask(user), other.ask(user));
        }
        // Those that were forked live on.
        template.sandbox.kill().await;
        assert_eq!(one.ask("1 + 1"), "2");
        one.sandbox.kill().await;
        other.sandbox.kill().await;
    });
}

#[test]
fn the_end_of_a_child_is_known() {
    in_each_mode(async |arena| {
        let Some(nest) = Nest::new(arena) else { return };
        let template = nest.template().await;
        for (question, expected) in [
            ("os._exit(7)", Exit::Code(7)),
            ("os.kill(os.getpid(), 9)", Exit::Signal(9)),
            ("os.abort()", Exit::Signal(6)),
            ("os.fork() and os._exit(3) or __import__('time').sleep(600)", Exit::Code(3)),
        ] {
            let mut child = nest.child(&template).await;
            child.control.write_all(question.as_bytes()).unwrap();
            assert_eq!(child.sandbox.exited().await, expected, "{question} as {:?}", arena.mode);
        }
        // A template that dies takes nobody with it and forks no more.
        let mut child = nest.child(&template).await;
        template.sandbox.kill().await;
        let refused = arena.launcher.fork(&template, arena.host_program(&["/none"])).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("fork")));
        assert_eq!(child.ask("2 + 2"), "4");
        child.sandbox.kill().await;
    });
}

#[test]
fn what_cannot_be_shared_is_refused() {
    in_each_mode(async |arena| {
        let Some(nest) = Nest::new(arena) else { return };
        let cases = [
            ("", "b'it is not fit'", "it is not fit"),
            (
                "import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
                "b'ready'",
                "its code has started 1 threads",
            ),
            ("import socket; s = socket.socket()", "b'ready'", "its code has opened 1 connections"),
            ("os.fork() or __import__('time').sleep(600)", "b'ready'", "its code has started processes"),
            ("os._exit(1)", "b'ready'", "it ended while it was made"),
        ];
        for (before, said, expected) in cases {
            let template = arena
                .launcher
                .template(nest.spec(before, said), &nest.housing(), AHEAD)
                .await
                .expect("a template");
            assert_eq!(template.ready().await.unwrap_err(), expected, "as {:?}", arena.mode);
            template.sandbox.exited().await;
        }
    });
}

#[test]
fn a_child_that_waits_is_made_ready_for_its_work() {
    in_each_mode(async |arena| {
        let Some(nest) = Nest::new(arena) else { return };
        let template = nest.template().await;
        let waits = Spec { waits: true, ..arena.host_program(&["/none"]) };
        let mut child = Child::of(arena.launcher.fork(&template, waits).await.expect("a child"));
        assert_eq!(child.ask("os.listdir('/var/task')"), "[]");
        let binds = vec![Bind { host: arena.folder.path().join("package"), guest: "/var/task".into() }];
        let spec = Spec { binds, tmp_bytes: 1 << 20, ..arena.host_program(&["/none"]) };
        child
            .sandbox
            .assign(spec.clone())
            .await
            .unwrap_or_else(|error| panic!("as {:?}: {error:?}", arena.mode));
        let again = child.sandbox.assign(spec).await.unwrap_err().to_string();
        assert!(again.contains("assign"), "{again}");
        assert_eq!(child.ask("open('/var/task/data').read()"), "'data'");
        assert_eq!(child.ask("open('/var/task/data', 'w')").split(':').next(), Some("\"OSError"));
        assert_eq!(
            child.ask("open('/tmp/big', 'wb').write(bytes(2 << 20))"),
            "'OSError: [Errno 28] No space left on device'"
        );
        child.sandbox.kill().await;
        template.sandbox.kill().await;
    });
}

/// The user who owns the children's sandboxes has all their processes, on the host: no limit of one of them may count them.
#[test]
fn more_children_live_than_one_may_have_processes() {
    in_each_mode(async |arena| {
        const PROCESSES: u32 = 6;
        let Some(nest) = Nest::new(arena) else { return };
        let few = Spec { pids: PROCESSES, ..nest.spec("", "b'ready'") };
        let child = Spec { pids: PROCESSES, ..nest.housing() };
        let template = arena.launcher.template(few, &child, AHEAD).await.expect("a template");
        template.ready().await.expect("it can be forked");
        let mut children = Vec::new();
        for number in 0..2 * PROCESSES {
            let forked = arena.launcher.fork(&template, child.clone()).await;
            children.push(Child::of(forked.unwrap_or_else(|e| panic!("{number} as {:?}: {e}", arena.mode))));
        }
        for child in &mut children {
            let limit = child.ask("__import__('resource').getrlimit(__import__('resource').RLIMIT_NPROC)");
            assert_eq!(limit, format!("({PROCESSES}, {PROCESSES})"), "as {:?}", arena.mode);
        }
        let bomb = "[os.fork() or __import__('time').sleep(600) for _ in range(20)]";
        assert!(children[0].ask(bomb).contains("BlockingIOError"), "as {:?}", arena.mode);
        for child in &children {
            child.sandbox.kill().await;
        }
        template.sandbox.kill().await;
    });
}

#[test]
fn many_children_come_and_go() {
    in_each_mode(async |arena| {
        let Some(nest) = Nest::new(arena) else { return };
        let template = nest.template().await;
        for number in 0..60 {
            let mut child = nest.child(&template).await;
            assert_eq!(child.ask(&number.to_string()), number.to_string());
            child.sandbox.kill().await;
        }
        template.sandbox.kill().await;
    });
}
