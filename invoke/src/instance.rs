//! The owner of one instance: makes it, brings it up, serves one call after another, ends it.
//!
//! One task per instance owns all of it for life, so nothing is shared and nothing outlives it. Callers only
//! hold a receiver: when one leaves, the call runs on and the instance is reused or retired as always.
//!
//! Processes that a handler leaves behind live on in the instance between calls, as on AWS, and end with it. Those that
//! use the processor are frozen until the next call.

use crate::Refused;
use crate::alive::{Alive, Heard, Next};
use crate::engine::Engine;
use crate::failure::{Failure, Stage};
use crate::fleet::Source;
use crate::job::{Ending, Facts, Job, conclude};
use crate::logs::Log;
use crate::pool::InstanceId;
use crate::start::{InstanceTag, Origin, StartError, Started};
use meter::{InitEnd, InitPhase};
use model::{Call, Phases, Usage, Version};
use runtimes::Event;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use world::Moment;

/// What init gets at first. One that takes longer is ended and made again, once, on the time of the call that waits for
/// it, as on AWS.
const INIT_TIMEOUT: Duration = Duration::from_secs(model::limit("init-timeout"));

/// One instance, from the request to make it until nothing is left of it.
pub(crate) struct Owner {
    pub(crate) engine: Arc<Engine>,
    pub(crate) id: InstanceId,
    pub(crate) version: Arc<Version>,
    pub(crate) tag: InstanceTag,
    pub(crate) jobs: mpsc::Receiver<(Job, Source)>,
    pub(crate) origin: Origin,
}

/// One try to bring the instance up.
struct Attempt {
    log: Log,
    phase: InitPhase,
    /// What the tries before took.
    spent: Phases,
}

/// Why a start failed, for those who waited for it.
#[derive(Debug, Clone)]
pub(crate) enum StartFailure {
    /// Their calls did not run.
    Refused(Refused),
    /// Their calls failed.
    Failed(Failure),
}

/// How often a call may meet an instance that ends before it takes it.
pub(crate) const TRIES: u8 = 3;

/// After this time without calls, what was used meanwhile (by processes that a handler left behind) is not put
/// down to the next one. Reading it costs microseconds, so it is not done between calls in close succession.
pub(crate) const QUIET: Duration = Duration::from_millis(100);

/// How often an instance without calls is looked at, and the most that it may use of the processor between two looks, in
/// microseconds, before it is frozen until its next call. An instance that waits quietly is never frozen, and its next
/// call never waits for a thaw.
pub(crate) const LOOK: Duration = Duration::from_millis(model::limit("unasked-look"));
pub(crate) const UNASKED_US: u64 = model::limit("unasked-cpu");

impl Owner {
    /// Runs the whole life.
    pub(crate) async fn live(mut self) {
        let engine = self.engine.clone();
        let version = self.version.clone();
        let log = Log::new(
            engine.journal().clone(),
            engine.world().clone(),
            version.log_group.clone(),
            self.tag.log_stream.clone(),
        );
        let mut attempt = Some(Attempt { log, phase: InitPhase::Init, spent: Phases::default() });
        while let Some(this) = attempt.take() {
            attempt = self.attempt(this).await;
        }
        engine.gone(self.id);
    }

    /// Makes the instance, and lives its life if it comes up. Returns the next attempt where there is one.
    async fn attempt(&mut self, attempt: Attempt) -> Option<Attempt> {
        let world = self.engine.world().clone();
        let began = world.moment();
        match self.create().await {
            Ok(started) => self.bring_up(started, attempt, began).await,
            Err(failure) => {
                let Attempt { mut log, spent, .. } = attempt;
                let sandbox_us = spent.sandbox_us + micros(world.moment() - began);
                self.fail_start(&failure, Phases { sandbox_us, ..spent }, Usage::default(), &mut log);
                None
            }
        }
    }

    async fn create(&self) -> Result<Started, StartFailure> {
        let world = self.engine.world();
        let refused = |why: String| StartFailure::Refused(Refused::Sandbox(why));
        tokio::select! {
            started = self.engine.start().start(&self.version, &self.tag) => started.map_err(|error| match error {
                StartError::MissingRuntime(why) => StartFailure::Refused(Refused::MissingRuntime(why)),
                StartError::Entrypoint(why) => StartFailure::Failed(Failure::Entrypoint(why)),
                StartError::BadArch(why) => StartFailure::Failed(Failure::BadArch(why)),
                StartError::Sandbox(why) => refused(why),
            }),
            () = world.sleep(INIT_TIMEOUT) => Err(refused("it took longer than the init timeout".into())),
            () = self.engine.stopped() => Err(StartFailure::Refused(Refused::ShuttingDown)),
        }
    }

    async fn bring_up(&mut self, started: Started, attempt: Attempt, began: Moment) -> Option<Attempt> {
        let world = self.engine.world().clone();
        let Attempt { mut log, phase, spent } = attempt;
        let ready_at = world.moment();
        self.origin = started.origin.clone();
        log.platform(&meter::init_start_line(&self.version.runtime.identifier));
        let mut alive = Alive::new(started, log, Box::pin(self.engine.clone().stopped_owned()));
        let outcome = self.init(phase, &mut alive).await;
        let own_us = micros(world.moment() - ready_at);
        let start = Phases {
            sandbox_us: spent.sandbox_us + micros(ready_at - began),
            init_us: spent.init_us + own_us,
            ..Phases::default()
        };
        match outcome {
            Ok(()) => {
                alive.log.close_span();
                alive.note_usage();
                self.origin.imports = alive.imports();
                self.engine.started(self.id);
                if self.version.instance_concurrency > 1 {
                    self.work_together(start, &mut alive).await;
                } else {
                    self.work(start, &mut alive).await;
                }
            }
            Err(Failure::TimedOut(_)) if phase == InitPhase::Init => {
                alive.take_output();
                alive.log.close_span();
                alive.log.platform(&meter::init_report_line(own_us, phase, InitEnd::Timeout));
                return Some(Attempt { log: alive.end().await, phase: InitPhase::Invoke, spent: start });
            }
            Err(failure) => self.init_failed(failure, phase, own_us, start, &mut alive),
        }
        if let Some(why) = alive.drift() {
            let (instance, function) = (&self.tag.instance_id, &self.version.function);
            tracing::warn!(%instance, %function, why, "ended: its limits were not as they had been set");
        }
        alive.end().await;
        None
    }

    /// Waits until the code is loaded: at first for as long as an init gets, then for as long as the function's own
    /// timeout allows.
    async fn init(&self, phase: InitPhase, alive: &mut Alive) -> Result<(), Failure> {
        let limit = match phase {
            InitPhase::Init => INIT_TIMEOUT,
            InitPhase::Invoke => Duration::from_secs(self.version.timeout_s.into()),
        };
        tokio::select! {
            biased;
            heard = alive.hear() => match heard {
                Heard::Said(Event::Ready) => Ok(()),
                Heard::Said(Event::InitError(json)) => Err(Failure::Init(json)),
                other => Err(alive.failure(other)),
            },
            () = self.engine.world().sleep(limit) => Err(Failure::TimedOut(self.version.timeout_s)),
        }
    }

    fn init_failed(
        &mut self,
        failure: Failure,
        phase: InitPhase,
        own_us: u64,
        start: Phases,
        alive: &mut Alive,
    ) {
        alive.take_output();
        alive.log.close_span();
        let kind = failure.error_type();
        let end = match &failure {
            Failure::TimedOut(_) => InitEnd::Timeout,
            _ => InitEnd::Error(&kind),
        };
        alive.log.platform(&meter::init_report_line(own_us, phase, end));
        let usage = alive.usage();
        let failure = if failure == Failure::Stopped {
            StartFailure::Refused(Refused::ShuttingDown)
        } else {
            StartFailure::Failed(failure)
        };
        self.fail_start(&failure, start, usage, &mut alive.log);
    }

    /// Tells those who bear it that the start failed. Each gets the init's lines and its own START to REPORT.
    fn fail_start(&self, failure: &StartFailure, start: Phases, usage: Usage, log: &mut Log) {
        let at_fault = matches!(failure, StartFailure::Failed(_));
        for (job, why) in self.engine.start_failed(self.id, at_fault) {
            let failure = match failure {
                StartFailure::Refused(refused) => {
                    job.reply.refuse(refused.clone());
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
                origin: &self.origin,
                phases: Phases {
                    queue_us: waited_us.saturating_sub(start.sandbox_us + start.init_us),
                    ..start
                },
                usage,
                others: 0,
            };
            let ending = Ending::Failed(failure, Stage::Init);
            conclude(&job.call, job.started, &ending, &facts, log, Some(job.reply));
        }
    }

    /// Serves calls until it is retired, broken or stopped.
    async fn work(&mut self, start: Phases, alive: &mut Alive) {
        loop {
            let job = loop {
                tokio::select! {
                    biased;
                    job = self.jobs.recv() => break job,
                    heard = alive.hear() => {
                        self.report_loss(heard);
                        break None;
                    }
                    () = self.engine.world().sleep(LOOK), if !alive.is_frozen() => alive.quieten(UNASKED_US),
                }
            };
            let Some((job, source)) = job else { return };
            let start = if matches!(source, Source::New(_)) { start } else { Phases::default() };
            match self.serve(job, source, start, alive).await {
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
        self.engine.lost(self.id, None, &mut self.jobs);
    }

    async fn serve(&mut self, mut job: Job, source: Source, start: Phases, alive: &mut Alive) -> Next {
        let world = self.engine.world().clone();
        let cold = matches!(source, Source::New(_));
        let handed = world.moment();
        if handed - alive.used_at > QUIET {
            alive.note_usage();
        }
        let before = if cold { Usage::default() } else { alive.used };
        alive.log.begin(job.call.tail, cold);
        let (ending, next) = match self.run(&job.call, alive).await {
            Ok(end) => end,
            Err(_) if job.tries < TRIES => {
                job.tries += 1;
                alive.log.end();
                self.engine.lost(self.id, Some(job), &mut self.jobs);
                return Next::Retire;
            }
            Err(heard) => (Ending::Failed(alive.failure(heard), Stage::Handler), Next::Retire),
        };
        let handler_us = micros(world.moment() - handed);
        let Job { call, arrived, started, reply, line: _line, .. } = job;
        // The instance counts as free from here on; a call that it is given meanwhile waits in the mailbox.
        self.engine.freed(self.id, matches!(next, Next::Reuse));
        let waiting = reply.answered(|| ending.answer(&call.request_id));
        if waiting.is_none() {
            let_others_run().await;
        }
        alive.take_output();
        alive.log.close_span();
        alive.note_usage();
        let waited_us = micros(handed - arrived);
        let queue_us = waited_us.saturating_sub(start.sandbox_us + start.init_us);
        let facts = Facts {
            version: &self.version,
            tag: &self.tag,
            source,
            origin: &self.origin,
            phases: Phases { queue_us, handler_us, ..start },
            usage: spent(before, alive.used),
            others: 0,
        };
        conclude(&call, started, &ending, &facts, &mut alive.log, waiting);
        alive.log.is_over(call.request_id);
        next
    }

    /// Hands the call over and waits for its end, within the function's timeout. `Err`: the instance ended before
    /// it took the call, which can go to another.
    async fn run(&self, call: &Call, alive: &mut Alive) -> Result<(Ending, Next), Heard> {
        let world = self.engine.world();
        let timeout = Duration::from_secs(self.version.timeout_s.into());
        let begun = world.now();
        let deadline_ms = begun.millis() + u64::from(self.version.timeout_s) * 1000;
        let answered = async {
            let sent = alive.hand_over(&[(call, deadline_ms)]).await;
            // The handler runs already; its output is read later, so this line still comes first.
            alive.log.owe(begun, meter::start_line(&call.request_id, &self.version.version));
            let heard = match sent {
                Ok(()) => alive.hear().await,
                Err((_, Heard::Stop)) => Heard::Stop,
                Err((_, other)) => return Err(other),
            };
            let over = matches!(heard, Heard::Ended(_) | Heard::Broke(_));
            if over && !alive.has_taken() { Err(heard) } else { Ok(alive.judge(call, heard)) }
        };
        tokio::select! {
            biased;
            end = answered => end,
            () = world.sleep(timeout) => {
                Ok((Ending::Failed(Failure::TimedOut(self.version.timeout_s), Stage::Handler), Next::Retire))
            }
        }
    }
}

/// Lets those run who are ready now: above all the one who was just given the answer. Unlike tokio's `yield_now`, it
/// comes back before new events are looked for, so that none of them finds the call's record missing.
pub(crate) async fn let_others_run() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

pub(crate) fn spent(before: Usage, after: Usage) -> Usage {
    Usage {
        user_us: after.user_us.saturating_sub(before.user_us),
        system_us: after.system_us.saturating_sub(before.system_us),
        peak_bytes: after.peak_bytes,
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
