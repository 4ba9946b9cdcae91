//! The owner of one instance: makes it, brings it up, serves one call after another, ends it.
//!
//! One task per instance owns all of it for life, so nothing is shared and nothing outlives it. Callers only
//! hold a receiver: when one leaves, the call runs on and the instance is reused or retired as always.
//!
//! Processes that a handler leaves behind live on in the instance between calls, as on AWS, and end with it.

use crate::engine::Engine;
use crate::failure::{ANSWER_MAX_BYTES, Failure, Stage};
use crate::fleet::Source;
use crate::job::{Ending, Facts, Job, conclude};
use crate::logs::Log;
use crate::output::Output;
use crate::pool::InstanceId;
use crate::start::{Cell, InstanceTag, StartError, Started, Voice};
use futures_util::future::BoxFuture;
use meter::{InitEnd, InitPhase};
use model::{Phases, Usage, Version};
use runtimes::Event;
use sandbox::Exit;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use world::Moment;

/// What init gets before it runs on the account of the call that waits for it.
const INIT_TIMEOUT: Duration = Duration::from_secs(model::limit("init-timeout"));

/// After the end of the process, its last words may still be in the socket; after the socket's end, the process
/// may still be on its way out.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// One instance, from the request to make it until nothing is left of it.
pub(crate) struct Owner {
    pub(crate) engine: Arc<Engine>,
    pub(crate) id: InstanceId,
    pub(crate) version: Arc<Version>,
    pub(crate) tag: InstanceTag,
    pub(crate) jobs: mpsc::Receiver<(Job, Source)>,
}

/// Why a start failed, for those who waited for it.
#[derive(Debug, Clone)]
pub(crate) enum StartFailure {
    /// Their calls did not run.
    Refused(crate::Refused),
    /// Their calls failed.
    Failed(Failure),
}

struct Alive {
    voice: Box<dyn Voice>,
    output: Output,
    cell: Arc<dyn Cell>,
    exit: Exiting,
    stopped: BoxFuture<'static, ()>,
    log: Log,
    /// Times of the start, for the call that waited for it.
    start: Phases,
    /// What was used until the end of the last call.
    used: Usage,
}

/// The end of the first process, which may be asked for again after it came.
struct Exiting {
    future: BoxFuture<'static, Exit>,
    seen: Option<Exit>,
}

/// What an instance lets us know.
enum Heard {
    Said(Event),
    Ended(Exit),
    Broke(String),
    Stop,
}

/// What comes of an instance after a call.
enum Next {
    Reuse,
    Retire,
}

impl Owner {
    /// Runs the whole life.
    pub(crate) async fn live(mut self) {
        let engine = self.engine.clone();
        let version = self.version.clone();
        let mut log = Log::new(
            engine.journal().clone(),
            engine.world().clone(),
            version.log_group.clone(),
            self.tag.log_stream.clone(),
        );
        let began = engine.world().moment();
        match self.create().await {
            Ok(started) => self.bring_up(started, log, began).await,
            Err(failure) => {
                let start =
                    Phases { sandbox_us: micros(engine.world().moment() - began), ..Phases::default() };
                self.fail_start(&failure, start, Usage::default(), &mut log);
            }
        }
        engine.gone(self.id);
    }

    async fn create(&self) -> Result<Started, StartFailure> {
        let world = self.engine.world();
        let refused = |why: String| StartFailure::Refused(crate::Refused::Sandbox(why));
        tokio::select! {
            started = self.engine.start().start(&self.version, &self.tag) => started.map_err(|error| match error {
                StartError::MissingRuntime(why) => StartFailure::Refused(crate::Refused::MissingRuntime(why)),
                StartError::Entrypoint(why) => StartFailure::Failed(Failure::Entrypoint(why)),
                StartError::Sandbox(why) => refused(why),
            }),
            () = world.sleep(INIT_TIMEOUT) => Err(refused("it took longer than the init timeout".into())),
            () = self.engine.stopped() => Err(StartFailure::Refused(crate::Refused::ShuttingDown)),
        }
    }

    async fn bring_up(&mut self, started: Started, mut log: Log, began: Moment) {
        let Started { voice, output, cell } = started;
        let sandbox_us = micros(self.engine.world().moment() - began);
        log.platform(&meter::init_start_line(&self.version.runtime.identifier));
        let exit = Exiting::of(cell.clone());
        let stopped = Box::pin(self.engine.clone().stopped_owned());
        let start = Phases { sandbox_us, ..Phases::default() };
        let mut alive = Alive { voice, output, cell, exit, stopped, log, start, used: Usage::default() };
        let ready_at = self.engine.world().moment();
        let outcome = self.init(&mut alive).await;
        alive.start.init_us = micros(self.engine.world().moment() - ready_at);
        match outcome {
            Ok(()) => {
                alive.log.close_span();
                self.engine.started(self.id);
                self.work(&mut alive).await;
            }
            Err(failure) => self.init_failed(failure, &mut alive),
        }
        alive.cell.kill().await;
        alive.take_output();
        alive.log.close_span();
    }

    /// Waits until the code is loaded. Past the init timeout it goes on for as long as the function's own
    /// timeout, on the account of the call that waits; AWS ends and repeats it at that point, we let it finish.
    async fn init(&self, alive: &mut Alive) -> Result<(), Failure> {
        let world = self.engine.world().clone();
        let mut grace = pin!(world.sleep(INIT_TIMEOUT));
        let mut late = false;
        loop {
            let heard = tokio::select! {
                biased;
                heard = alive.hear() => heard,
                () = &mut grace => {
                    if late {
                        return Err(Failure::TimedOut(self.version.timeout_s));
                    }
                    late = true;
                    let so_far = micros(INIT_TIMEOUT);
                    alive.log.platform(&meter::init_report_line(so_far, InitPhase::Init, InitEnd::Timeout));
                    grace.set(world.sleep(Duration::from_secs(self.version.timeout_s.into())));
                    continue;
                }
            };
            return match heard {
                Heard::Said(Event::Ready) => Ok(()),
                Heard::Said(Event::InitError(json)) => Err(Failure::Init(json)),
                other => Err(alive.failure(other)),
            };
        }
    }

    fn init_failed(&mut self, failure: Failure, alive: &mut Alive) {
        alive.take_output();
        alive.log.close_span();
        let init_us = alive.start.init_us;
        let late = init_us > micros(INIT_TIMEOUT);
        let phase = if late { InitPhase::Invoke } else { InitPhase::Init };
        let kind = failure.error_type();
        let end = match &failure {
            Failure::TimedOut(_) => InitEnd::Timeout,
            _ => InitEnd::Error(&kind),
        };
        alive.log.platform(&meter::init_report_line(init_us, phase, end));
        let (start, usage) = (alive.start, alive.cell.usage());
        let failure = if failure == Failure::Stopped {
            StartFailure::Refused(crate::Refused::ShuttingDown)
        } else {
            StartFailure::Failed(failure)
        };
        self.fail_start(&failure, start, usage, &mut alive.log);
    }

    /// Tells those who bear it that the start failed. Each gets the init's lines and its own START to REPORT.
    fn fail_start(&self, failure: &StartFailure, start: Phases, usage: Usage, log: &mut Log) {
        for (job, why) in self.engine.start_failed(self.id) {
            let failure = match failure {
                StartFailure::Refused(refused) => {
                    let _ = job.reply.send(Err(refused.clone()));
                    continue;
                }
                StartFailure::Failed(failure) => failure.clone(),
            };
            log.begin(job.call.tail, true);
            log.platform(&meter::start_line(&job.call.request_id, &self.version.version));
            let waited_us = micros(self.engine.world().moment() - job.arrived);
            let facts = Facts {
                version: &self.version,
                tag: &self.tag,
                source: Source::New(why),
                phases: Phases {
                    queue_us: waited_us.saturating_sub(start.sandbox_us + start.init_us),
                    ..start
                },
                usage,
            };
            let ending = Ending::Failed(failure, Stage::Init);
            let done = conclude(&job.call, job.started, ending, &facts, log);
            let _ = job.reply.send(Ok(done));
        }
    }

    /// Serves calls until it is retired, broken or stopped.
    async fn work(&mut self, alive: &mut Alive) {
        loop {
            let job = tokio::select! {
                biased;
                job = self.jobs.recv() => job,
                heard = alive.hear() => {
                    self.report_loss(heard);
                    None
                }
            };
            let Some((job, source)) = job else { return };
            match self.serve(job, source, alive).await {
                Next::Reuse => {}
                Next::Retire => return,
            }
        }
    }

    /// It ended or misbehaved between calls. A job that is already in our mailbox goes back to its queue.
    fn report_loss(&mut self, heard: Heard) {
        if let Heard::Broke(what) = &heard {
            tracing::warn!(instance = %self.tag.instance_id, function = %self.version.function, "{what}");
        }
        self.engine.lost(self.id, &mut self.jobs);
    }

    async fn serve(&mut self, job: Job, source: Source, alive: &mut Alive) -> Next {
        let Job { call, arrived, started, reply } = job;
        let world = self.engine.world().clone();
        let cold = matches!(source, Source::New(_));
        let before = if cold { Usage::default() } else { alive.used };
        alive.log.begin(call.tail, cold);
        alive.log.platform(&meter::start_line(&call.request_id, &self.version.version));
        let handed = world.moment();
        let (ending, next) = self.run(&call, alive).await;
        let handler_us = micros(world.moment() - handed);
        alive.take_output();
        alive.log.close_span();
        let after = alive.cell.usage();
        alive.used = after;
        let start = if cold { alive.start } else { Phases::default() };
        let waited_us = micros(handed - arrived);
        let queue_us = waited_us.saturating_sub(start.sandbox_us + start.init_us);
        let facts = Facts {
            version: &self.version,
            tag: &self.tag,
            source,
            phases: Phases { queue_us, handler_us, ..start },
            usage: spent(before, after),
        };
        let done = conclude(&call, started, ending, &facts, &mut alive.log);
        self.engine.freed(self.id, matches!(next, Next::Reuse));
        let _ = reply.send(Ok(done));
        next
    }

    /// Hands the call over and waits for its end, within the function's timeout.
    async fn run(&self, call: &model::Call, alive: &mut Alive) -> (Ending, Next) {
        let world = self.engine.world();
        let timeout = Duration::from_secs(self.version.timeout_s.into());
        let deadline_ms = world.now().millis() + u64::from(self.version.timeout_s) * 1000;
        let answered = async {
            if let Some(heard) = alive.hand_over(call, deadline_ms).await {
                return (Ending::Failed(alive.failure(heard), Stage::Handler), Next::Retire);
            }
            let heard = alive.hear().await;
            match heard {
                Heard::Said(Event::Response { id, body }) if id == call.request_id => {
                    let ending = if body.len() > ANSWER_MAX_BYTES {
                        Ending::Failed(Failure::TooLarge(body.len()), Stage::Handler)
                    } else {
                        Ending::Returned(body)
                    };
                    (ending, Next::Reuse)
                }
                Heard::Said(Event::Error { id, json }) if id == call.request_id => {
                    (Ending::Raised(json), Next::Reuse)
                }
                other => (Ending::Failed(alive.failure(other), Stage::Handler), Next::Retire),
            }
        };
        tokio::select! {
            biased;
            end = answered => end,
            () = world.sleep(timeout) => {
                (Ending::Failed(Failure::TimedOut(self.version.timeout_s), Stage::Handler), Next::Retire)
            }
        }
    }
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
    /// Sends a call while it keeps the pipes flowing, so that an instance that prints before it reads is not stuck.
    async fn hand_over(&mut self, call: &model::Call, deadline_ms: u64) -> Option<Heard> {
        let Self { voice, output, exit, stopped, log, .. } = self;
        let sent = {
            let mut sending = voice.send(call, deadline_ms);
            loop {
                tokio::select! {
                    biased;
                    sent = &mut sending => break sent,
                    (pipe, bytes) = output.next() => log.printed(pipe, &bytes),
                    exit = exit.wait() => return Some(Heard::Ended(exit)),
                    () = &mut *stopped => return Some(Heard::Stop),
                }
            }
        };
        match sent {
            Ok(()) => None,
            Err(error) => Some(self.hang_up(error.to_string()).await),
        }
    }

    /// The next thing that matters. Cancel-safe; output and log records are dealt with on the way.
    async fn hear(&mut self) -> Heard {
        loop {
            tokio::select! {
                biased;
                event = self.voice.next() => match event {
                    Event::Log { stamp_us, message } => self.log.record(stamp_us, &message),
                    Event::Closed => return self.hang_up("it closed its channel".into()).await,
                    Event::Violation(what) => return Heard::Broke(what),
                    event => return Heard::Said(event),
                },
                (pipe, bytes) = self.output.next() => self.log.printed(pipe, &bytes),
                exit = self.exit.wait() => return self.last_words(exit).await,
                () = &mut self.stopped => return Heard::Stop,
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

    /// What a call that was interrupted by it is told.
    fn failure(&self, heard: Heard) -> Failure {
        match heard {
            Heard::Ended(_) if self.cell.oom_killed() => Failure::OutOfMemory,
            Heard::Ended(exit) => Failure::Exited(exit),
            Heard::Broke(_) if self.cell.oom_killed() => Failure::OutOfMemory,
            Heard::Broke(what) => Failure::Violation(what),
            Heard::Said(event) => Failure::Violation(unexpected(&event).into()),
            Heard::Stop => Failure::Stopped,
        }
    }

    fn take_output(&mut self) {
        let Self { output, log, .. } = self;
        output.drain(|pipe, bytes| log.printed(pipe, bytes));
    }
}

fn unexpected(event: &Event) -> &'static str {
    match event {
        Event::Ready => "it reported ready twice",
        Event::InitError(_) => "it reported an init error after it was ready",
        Event::Response { .. } => "it answered a call that it does not serve",
        Event::Error { .. } => "it failed a call that it does not serve",
        Event::Log { .. } | Event::Violation(_) | Event::Closed => "it fell silent",
    }
}

fn spent(before: Usage, after: Usage) -> Usage {
    Usage {
        user_us: after.user_us.saturating_sub(before.user_us),
        system_us: after.system_us.saturating_sub(before.system_us),
        peak_bytes: after.peak_bytes,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
