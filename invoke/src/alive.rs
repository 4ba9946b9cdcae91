//! One living instance: its voice, its output and its end, heard together.

use crate::failure::{ANSWER_MAX_BYTES, Failure, Stage};
use crate::job::Ending;
use crate::logs::Log;
use crate::output::Output;
use crate::start::{Cell, Started, Voice};
use futures_util::future::BoxFuture;
use model::{Call, Import, Usage};
use runtimes::Event;
use sandbox::Exit;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use world::Moment;

/// After the end of the process, its last words may still be in the socket; after the socket's end, the process
/// may still be on its way out.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A running instance, as its owner holds it.
pub(crate) struct Alive {
    voice: Box<dyn Voice>,
    output: Output,
    cell: Arc<dyn Cell>,
    exit: Exiting,
    stopped: BoxFuture<'static, ()>,
    pub(crate) log: Log,
    /// What was used until the end of the last call, and when that was.
    pub(crate) used: Usage,
    pub(crate) used_at: Moment,
    frozen: bool,
}

/// The end of the first process, which may be asked for again after it came.
struct Exiting {
    future: BoxFuture<'static, Exit>,
    seen: Option<Exit>,
}

/// What comes of an instance after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Reuse,
    Retire,
}

/// What an instance lets us know.
pub(crate) enum Heard {
    Said(Event),
    Ended(Exit),
    Broke(String),
    Stop,
}

impl Exiting {
    fn of(cell: Arc<dyn Cell>) -> Self {
        Self { future: Box::pin(async move { cell.exited().await }), seen: None }
    }

    /// Cancel-safe.
    async fn wait(&mut self) -> Exit {
        if let Some(exit) = self.seen {
            return exit;
        }
        let exit = (&mut self.future).await;
        self.seen = Some(exit);
        exit
    }
}

impl Alive {
    pub(crate) fn new(started: Started, log: Log, stopped: BoxFuture<'static, ()>) -> Self {
        let Started { origin: _, voice, output, cell } = started;
        let exit = Exiting::of(cell.clone());
        let used_at = log.world().moment();
        Self { voice, output, cell, exit, stopped, log, used: Usage::default(), used_at, frozen: false }
    }

    /// Ends all its processes; returns its log when nothing is left of them.
    pub(crate) async fn end(self) -> Log {
        let Self { voice, mut output, cell, exit, mut log, .. } = self;
        // One waits for the end at a time: a future that is kept and not polled would keep `kill` waiting.
        drop(exit);
        cell.kill().await;
        drop(voice);
        output.drain(|pipe, bytes| log.printed(pipe, bytes));
        log.close_span();
        log
    }

    /// Whether nothing in it can use the processor.
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Freezes it if it has used more than `most_us` of the processor since this was last asked, which nobody has asked
    /// it to.
    pub(crate) fn quieten(&mut self, most_us: u64) {
        let before = self.used;
        self.note_usage();
        let used = self.used.user_us + self.used.system_us;
        if used.saturating_sub(before.user_us + before.system_us) > most_us {
            self.cell.freeze(true);
            self.frozen = true;
        }
    }

    /// Whether it may have begun the call that it was handed.
    pub(crate) fn has_taken(&self) -> bool {
        self.voice.has_taken()
    }

    /// Sends calls while it keeps the pipes flowing, so that an instance that prints before it reads is not stuck. The
    /// error says how many of them it may have taken.
    pub(crate) async fn hand_over(&mut self, calls: &[(&Call, u64)]) -> Result<(), (usize, Heard)> {
        if std::mem::take(&mut self.frozen) {
            self.cell.freeze(false);
        }
        let Self { voice, output, exit, stopped, log, .. } = self;
        // Of several it may have begun the first ones; one alone that is not sent as a whole it cannot have begun.
        let begun = if calls.len() == 1 { 0 } else { calls.len() };
        let sent = {
            let mut sending = voice.send(calls);
            loop {
                tokio::select! {
                    biased;
                    sent = &mut sending => break sent,
                    (pipe, bytes) = output.next() => log.printed(pipe, &bytes),
                    exit = exit.wait() => return Err((begun, Heard::Ended(exit))),
                    () = &mut *stopped => return Err((begun, Heard::Stop)),
                }
            }
        };
        match sent {
            Ok(()) => Ok(()),
            Err(failed) => Err((failed.taken, self.hang_up(failed.error.to_string()).await)),
        }
    }

    /// What else it has said by now. Log records are dealt with on the way.
    pub(crate) fn heard(&mut self) -> Option<Heard> {
        loop {
            match self.voice.said()? {
                Event::Log { stamp_us, message } => self.log.record(stamp_us, &message),
                Event::Closed => return None,
                Event::Violation(what) => return Some(Heard::Broke(what)),
                event => return Some(Heard::Said(event)),
            }
        }
    }

    /// Asks for the end of one of its calls. Returns whether it will be answered.
    pub(crate) async fn cancel(&mut self, id: &str, patience: Duration) -> bool {
        let world = self.log.world().clone();
        tokio::select! {
            biased;
            asked = self.voice.cancel(id) => asked.is_ok(),
            () = world.sleep(patience) => false,
        }
    }

    /// The next thing that matters. Cancel-safe; output and log records are dealt with on the way.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            tokio::select! {
                biased;
                event = self.voice.next() => match event {
                    Event::Log { stamp_us, message } => {
                        self.log.record(stamp_us, &message);
                        // One that logs without end must not keep the others from running.
                        tokio::task::coop::consume_budget().await;
                    }
                    Event::Closed => return self.hang_up("it closed its channel".into()).await,
                    Event::Violation(what) => return Heard::Broke(what),
                    event => return Heard::Said(event),
                },
                (pipe, bytes) = self.output.next() => self.log.printed(pipe, &bytes),
                exit = self.exit.wait() => return self.last_words(exit).await,
                () = &mut self.stopped => return Heard::Stop,
                // Nothing to hear yet: time for what was put off.
                () = std::future::ready(()), if self.log.owes() => self.log.pay(),
            }
        }
    }

    /// The channel is closed: usually because the process is ending.
    async fn hang_up(&mut self, what: String) -> Heard {
        let world = self.log.world().clone();
        tokio::select! {
            biased;
            exit = self.exit.wait() => Heard::Ended(exit),
            () = world.sleep(LAST_WORDS) => Heard::Broke(what),
        }
    }

    /// The process has ended: an answer that it sent before is still good.
    async fn last_words(&mut self, exit: Exit) -> Heard {
        let world = self.log.world().clone();
        let mut patience = pin!(world.sleep(LAST_WORDS));
        loop {
            tokio::select! {
                biased;
                event = self.voice.next() => match event {
                    Event::Log { stamp_us, message } => self.log.record(stamp_us, &message),
                    Event::Closed | Event::Violation(_) => return Heard::Ended(exit),
                    event => return Heard::Said(event),
                },
                () = &mut patience => return Heard::Ended(exit),
            }
        }
    }

    /// What the call ends in, and whether the instance can go on.
    pub(crate) fn judge(&self, call: &Call, heard: Heard) -> (Ending, Next) {
        let next = if self.voice.is_idle() { Next::Reuse } else { Next::Retire };
        match heard {
            Heard::Said(Event::Response { id, body }) if id == call.request_id => {
                if body.len() > ANSWER_MAX_BYTES {
                    (Ending::Failed(Failure::TooLarge(body.len()), Stage::Handler), next)
                } else {
                    (Ending::Returned(body), next)
                }
            }
            Heard::Said(Event::Error { id, json }) if id == call.request_id => (Ending::Raised(json), next),
            Heard::Said(Event::Dropped { id }) if id == call.request_id => {
                (Ending::Failed(Failure::NoRoom, Stage::Handler), next)
            }
            other => (Ending::Failed(self.failure(other), Stage::Handler), Next::Retire),
        }
    }

    /// What it said of its imports when it became ready.
    pub(crate) fn imports(&mut self) -> Vec<Import> {
        self.voice.imports()
    }

    /// What its processes have used.
    pub(crate) fn usage(&self) -> Usage {
        self.cell.usage()
    }

    /// What of its limits somebody had changed, where it was ended for that.
    pub(crate) fn drift(&self) -> Option<&str> {
        self.cell.drift()
    }

    pub(crate) fn note_usage(&mut self) {
        self.used = self.cell.usage();
        self.used_at = self.log.world().moment();
    }

    /// What a call that was interrupted by it is told.
    pub(crate) fn failure(&self, heard: Heard) -> Failure {
        match heard {
            Heard::Ended(_) if self.cell.oom_killed() => Failure::OutOfMemory,
            Heard::Ended(exit) => Failure::Exited(exit),
            Heard::Broke(_) if self.cell.oom_killed() => Failure::OutOfMemory,
            Heard::Broke(what) => Failure::Violation(what),
            Heard::Said(event) => Failure::Violation(unexpected(&event).into()),
            Heard::Stop => Failure::Stopped,
        }
    }

    pub(crate) fn take_output(&mut self) {
        let Self { output, log, .. } = self;
        output.drain(|pipe, bytes| log.printed(pipe, bytes));
    }
}

fn unexpected(event: &Event) -> &'static str {
    match event {
        Event::Ready => "it reported ready twice",
        Event::InitError(_) => "it reported an init error after it was ready",
        Event::Response { .. } | Event::Dropped { .. } => "it answered a call that it does not serve",
        Event::Error { .. } => "it failed a call that it does not serve",
        Event::Log { .. } | Event::Violation(_) | Event::Closed => "it fell silent",
    }
}
