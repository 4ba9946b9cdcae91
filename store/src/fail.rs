//! Named places where a test can make the process die or the disk fail.
//!
//! Active in builds with debug assertions only, by the environment variable `DAYFLY_FAIL_POINT`:
//! `<name>=kill` or `<name>=error`, with `@<n>` for the n-th time the place is passed.

/// Every fail point there is; the crash tests go through all of them.
pub const FAIL_POINTS: &[FailPoint] = &[
    row("commit.before-write", true),
    row("commit.after-sync", false),
    row("open.before-engine", false),
    row("open.before-truncate", false),
    row("file.before-sync", true),
    row("file.before-rename", false),
    row("file.before-directory-sync", false),
];

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct FailPoint {
    /// Its name in the code and in the environment variable.
    pub name: &'static str,
    /// Whether it can answer with an error as well as kill.
    pub can_error: bool,
}

const fn row(name: &'static str, can_error: bool) -> FailPoint {
    FailPoint { name, can_error }
}

/// Dies here if the environment says so; with `error`, may also yield an `io::Error`.
macro_rules! fail_point {
    ($name:literal) => {
        $crate::fail::pass($name)
    };
    ($name:literal, error) => {
        $crate::fail::pass_or_err($name)
    };
}
pub(crate) use fail_point;

#[cfg(debug_assertions)]
mod active {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Armed {
        name: String,
        kills: bool,
        at: u32,
        passed: AtomicU32,
    }

    fn armed() -> Option<&'static Armed> {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        ARMED.get_or_init(|| parse(&std::env::var("DAYFLY_FAIL_POINT").ok()?)).as_ref()
    }

    fn parse(text: &str) -> Option<Armed> {
        let (name, action) = text.split_once('=')?;
        let (action, at) = action.split_once('@').unwrap_or((action, "1"));
        Some(Armed {
            name: name.into(),
            kills: action == "kill",
            at: at.parse().ok()?,
            passed: AtomicU32::new(0),
        })
    }

    /// `Some(kills)` when the armed point is reached for the n-th time.
    fn reached(name: &str) -> Option<bool> {
        debug_assert!(
            super::FAIL_POINTS.iter().any(|point| point.name == name),
            "{name} is not in the table"
        );
        let armed = armed().filter(|armed| armed.name == name)?;
        let now = armed.passed.fetch_add(1, Ordering::SeqCst) + 1 == armed.at;
        now.then_some(armed.kills)
    }

    pub(crate) fn pass(name: &str) {
        if reached(name) == Some(true) {
            die();
        }
    }

    pub(crate) fn pass_or_err(name: &str) -> io::Result<()> {
        match reached(name) {
            Some(true) => die(),
            Some(false) => Err(io::Error::other(format!("fail point {name}"))),
            None => Ok(()),
        }
    }

    /// As `kill -9` from outside: nothing is flushed, no destructor runs.
    fn die() -> ! {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort()
    }
}

#[cfg(not(debug_assertions))]
mod active {
    pub(crate) fn pass(_: &str) {}
    pub(crate) fn pass_or_err(_: &str) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) use active::{pass, pass_or_err};
