//! What a template prints while it is made: a function's goes into its log as the lines of an init, and of any the last
//! words are part of the reason why it is refused.

use crate::logs::Log;
use crate::output::{Output, Pipe};
use crate::start::Journal;
use meter::{InitEnd, InitPhase};
use model::Version;
use sandbox::Template;
use std::sync::Arc;
use std::time::Duration;
use world::{Moment, World};

/// What a template may take to become ready, beyond which it is given up: AWS's own limit for the init before a
/// snapshot.
const PATIENCE: Duration = Duration::from_secs(model::limit("snapshot-init"));

const LAST_WORDS_BYTES: usize = model::limit("template-last-words") as usize;

/// Where the log of a function's template goes.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) runtime: String,
}

impl Stream {
    pub(crate) fn new(version: &Version, name: String) -> Self {
        Self { group: version.log_group.clone(), name, runtime: version.runtime.identifier.clone() }
    }
}

struct Telling {
    log: Option<Log>,
    last: Vec<u8>,
    began: Moment,
}

/// Waits until the template can be forked, and listens meanwhile. `Err`: why it cannot be, for the record.
pub(crate) async fn hear(
    template: &Template,
    stream: Option<Stream>,
    journal: &Arc<dyn Journal>,
    world: &World,
) -> Result<(), String> {
    let pipes = (template.sandbox.stdout.try_clone(), template.sandbox.stderr.try_clone());
    let (Ok(stdout), Ok(stderr)) = pipes else { return Err("its output cannot be read".into()) };
    let mut output = Output::new(stdout, stderr).map_err(|error| error.to_string())?;
    let mut telling = Telling::begin(stream, journal, world);
    let mut patience = std::pin::pin!(world.sleep(PATIENCE));
    let made = loop {
        tokio::select! {
            biased;
            made = template.ready() => break made,
            (pipe, bytes) = output.next() => telling.printed(pipe, &bytes),
            () = &mut patience => break Err(format!("it was not ready after {} s", PATIENCE.as_secs())),
        }
    };
    output.drain(|pipe, bytes| telling.printed(pipe, bytes));
    telling.end(made, world)
}

impl Telling {
    fn begin(stream: Option<Stream>, journal: &Arc<dyn Journal>, world: &World) -> Self {
        let log = stream.map(|stream| {
            let mut log = Log::new(Arc::clone(journal), world.clone(), stream.group, stream.name);
            log.platform(&meter::init_start_line(&stream.runtime));
            log
        });
        Self { log, last: Vec::new(), began: world.moment() }
    }

    fn printed(&mut self, pipe: Pipe, bytes: &[u8]) {
        if let Some(log) = &mut self.log {
            log.printed(pipe, bytes);
        }
        self.last.extend_from_slice(bytes);
        let beyond = self.last.len().saturating_sub(LAST_WORDS_BYTES);
        self.last.drain(..beyond);
    }

    fn end(self, made: Result<(), String>, world: &World) -> Result<(), String> {
        let Self { log, last, began } = self;
        let made = made.map_err(|why| with_last_words(why, &last));
        if let Some(mut log) = log {
            log.close_span();
            if let Err(why) = &made {
                log.platform(&format!("[dayfly] instances are not copied from this process: {why}"));
            }
            let end = if made.is_ok() { InitEnd::Snapshot } else { InitEnd::Error("Runtime.SnapshotFailed") };
            let took_us = crate::instance::micros(world.moment() - began);
            log.platform(&meter::init_report_line(took_us, InitPhase::Init, end));
        }
        made
    }
}

/// One line: the reason and, where the process printed something, the end of that.
fn with_last_words(why: String, last: &[u8]) -> String {
    let text = String::from_utf8_lossy(last);
    let lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { why } else { format!("{why}; it printed: {}", lines.join(" / ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_carries_the_last_words() {
        let cases: [(&[u8], &str); 4] = [
            (b"", "it ended"),
            (b" \n\n", "it ended"),
            (b"one\ntwo\n", "it ended; it printed: one / two"),
            (b"\xffx", "it ended; it printed: \u{fffd}x"),
        ];
        for (last, expected) in cases {
            assert_eq!(with_last_words("it ended".into(), last), expected);
        }
    }

    #[test]
    fn what_is_kept_of_it_is_bounded() {
        let mut telling = Telling { log: None, last: Vec::new(), began: World::real().moment() };
        for _ in 0..100 {
            telling.printed(Pipe::Stderr, &[b'x'; 1000]);
            telling.printed(Pipe::Stdout, b"end");
        }
        assert_eq!(telling.last.len(), LAST_WORDS_BYTES);
        assert!(telling.last.ends_with(b"end"));
    }
}
