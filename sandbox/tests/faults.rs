//! Checks 34 and 35: whichever step of the setup fails, nothing runs, the step is named, and nothing is left.

mod arena;

use arena::in_each_mode;
use sandbox::{Exit, Fault, Launcher, Layers, STEPS, SandboxError, Spec};
use std::time::Duration;

#[test]
fn every_step_fails_closed() {
    in_each_mode(async |arena| {
        for (round, step) in STEPS.into_iter().enumerate() {
            let errno = [libc::EPERM, libc::ENOSPC, libc::ENOMEM, libc::EAGAIN][round % 4];
            let fault = Some(Fault { step: step.to_owned(), errno });
            let spec = Spec {
                layers: Layers { fault, ..Layers::default() },
                control: true,
                listen: vec![9001],
                ..arena.spec(&["user"])
            };
            match arena.launcher.create(spec).await {
                Err(SandboxError::Setup { step: failed, source }) => {
                    assert_eq!((failed.as_str(), source.raw_os_error()), (step, Some(errno)));
                }
                other => panic!("{step} as {:?}: {other:?}", arena.mode),
            }
        }
        arena.expect_clean().await;
    });
}

/// Check 34: killed while any step is taken, the launcher takes everything with it, and no program has run. All steps at
/// once, each with a launcher of its own.
#[test]
fn a_launcher_killed_at_any_step_leaves_nothing() {
    in_each_mode(async |arena| {
        let bin = arena.folder.path().join("launcher");
        let launchers: Vec<_> = STEPS.iter().map(|step| (*step, arena::start(arena.mode, &bin))).collect();
        let attempts = launchers.iter().map(|(step, launcher)| async move {
            let fault = Some(Fault { step: (*step).to_owned(), errno: 0 });
            let layers = Layers { fault, ..Layers::default() };
            let made = launcher.create(Spec { layers, control: true, ..arena.spec(&["user"]) }).await;
            let Ok(sandbox) = made else { return };
            assert_eq!(sandbox.exited().await, Exit::Signal(libc::SIGKILL), "{step} as {:?}", arena.mode);
            assert_eq!(arena::read_to_end(&sandbox.stdout), "", "{step}: the program ran");
        });
        let killing = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let below = |launcher: &Launcher| arena::descendants(launcher.process_id());
            let processes: Vec<u32> = launchers.iter().flat_map(|(_, launcher)| below(launcher)).collect();
            assert!(processes.len() >= STEPS.len() / 2, "most have a first process by then");
            for (_, launcher) in &launchers {
                let pid = rustix::process::Pid::from_raw(launcher.process_id().cast_signed()).expect("a pid");
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("own child");
            }
            processes
        };
        let (processes, _) = tokio::join!(killing, futures_util::future::join_all(attempts));
        for _ in 0..1_000 {
            if !processes.iter().any(|pid| arena::lives(*pid)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let left: Vec<_> = processes.into_iter().filter(|pid| arena::lives(*pid)).collect();
        assert_eq!(left, [0; 0], "as {:?}", arena.mode);
        let killed: Vec<_> = launchers.iter().map(|(_, launcher)| launcher.process_id()).collect();
        drop(launchers);
        // What the dead have left in control groups, the next one sweeps.
        drop(arena::start(arena.mode, &bin));
        assert!(killed.into_iter().all(|launcher| arena::cgroups(launcher).is_empty()));
    });
}

#[test]
fn what_the_host_lacks_is_a_failed_step() {
    in_each_mode(async |arena| {
        let bind = |host: &str, guest: &str| vec![sandbox::Bind { host: host.into(), guest: guest.into() }];
        let file = arena.folder.path().join("package/data");
        let cases = [
            (Spec { binds: bind("/no/such/folder", "/opt/x"), ..arena.spec(&["user"]) }, "bind"),
            (Spec { binds: bind("/usr/share", "/usr/no/such/folder"), ..arena.spec(&["user"]) }, "bind"),
            (
                Spec { binds: bind(file.to_str().expect("a plain path"), "/opt"), ..arena.spec(&["user"]) },
                "binds",
            ),
            (Spec { binds: bind("/usr/share", "/bin/x"), ..arena.spec(&["user"]) }, "bind"),
        ];
        for (spec, expected) in cases {
            let binds = spec.binds.clone();
            match arena.launcher.create(spec).await {
                Err(SandboxError::Setup { step, .. }) => assert_eq!(step, expected, "{binds:?}"),
                other => panic!("{binds:?} as {:?}: {other:?}", arena.mode),
            }
        }
        let huge = "x".repeat(1 << 20);
        let spec = Spec { env: vec![("HUGE".to_owned(), huge)], ..arena.spec(&["user"]) };
        assert!(matches!(arena.launcher.create(spec).await, Err(SandboxError::Invalid(_))));
        // A failure costs nothing of what the next one needs.
        assert_eq!(arena.run(arena.spec(&["user"])).await.exit, sandbox::Exit::Code(0));
    });
}
