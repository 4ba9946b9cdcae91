//! Check 35: whichever step of the setup fails, nothing runs, the step is named, and nothing is left.

mod arena;

use arena::in_each_mode;
use sandbox::{Fault, Layers, STEPS, SandboxError, Spec};

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

#[test]
fn what_the_host_lacks_is_a_failed_step() {
    in_each_mode(async |arena| {
        let bind = |host: &str, guest: &str| vec![sandbox::Bind { host: host.into(), guest: guest.into() }];
        let file = arena.folder.path().join("package/data");
        let cases = [
            (Spec { binds: bind("/no/such/folder", "/opt/x"), ..arena.spec(&["user"]) }, "base"),
            (Spec { binds: bind("/usr/share", "/usr/no/such/folder"), ..arena.spec(&["user"]) }, "base"),
            (
                Spec { binds: bind(file.to_str().expect("a plain path"), "/opt"), ..arena.spec(&["user"]) },
                "binds",
            ),
            (Spec { binds: bind("/usr/share", "/bin/x"), ..arena.spec(&["user"]) }, "base"),
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
