//! What is left of a start when the platform is taken away: the floor that a row is shown with.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use crate::bench::Setting;
use crate::bench::bare::Ended;
use crate::bench::http::Connection;
use crate::bench::packages::{EVENT, Hello};
use crate::bench::{forked, hyper_peer};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// See the module.
pub(super) struct Floor {
    pub(super) name: &'static str,
    start: Box<dyn FnMut() -> Result<Duration, String>>,
}

impl Floor {
    /// A loaded interpreter that is forked for each start.
    pub(super) fn forked(setting: &Setting, interpreter: &str, hello: &Hello) -> Result<Self, String> {
        let mut parent = forked::start(setting, interpreter, hello)?;
        let start = move || {
            let began = Instant::now();
            parent.call(EVENT).map_err(|e| format!("{}: {e}", forked::NAME))?;
            Ok(began.elapsed())
        };
        Ok(Self { name: forked::NAME, start: Box::new(start) })
    }

    /// The platform's own worker behind a bare server: a process boundary, a fresh instance for each request.
    pub(super) fn worker(setting: &Setting, code: &Path) -> Result<Self, String> {
        let server = Command::new(setting.own());
        let worker = Some((setting.program.as_path(), code));
        let (server, url) = hyper_peer::start(server, hyper_peer::HOP_VERB, worker)?;
        let connection = Connection::open(&url).map_err(|e| format!("{url}: {e}"))?;
        let mut served = (server, connection);
        let start = move || {
            let (_, connection): &mut (Ended, Connection) = &mut served;
            match connection.timed_get().map_err(|e| e.to_string())? {
                (200, first_byte) => Ok(first_byte),
                (status, _) => Err(format!("the floor answered {status}")),
            }
        };
        Ok(Self { name: "hyper before the loaded worker alone", start: Box::new(start) })
    }

    /// One start, until its first answer.
    pub(super) fn start(&mut self) -> Result<Duration, String> {
        (self.start)()
    }
}
