//! Several calls at once in one instance, for functions that ask for it.
//!
//! * What one call raises is its own. One that runs past its timeout is answered, the instance gets no more calls, and
//!   it is ended once the others are done: nothing else stops a handler that does not stop.
//! * The end of the process ends all its calls.
//! * Processor time is the instance's. What it uses between two changes of who is being served is divided equally
//!   among those who are, and the record says so.

use crate::alive::{Alive, Heard, Next};
use crate::failure::{Failure, Stage};
use crate::fleet::Source;
use crate::instance::{Owner, TRIES, let_others_run, micros, spent};
use crate::job::{Ending, Facts, Job, conclude};
use model::{Phases, Usage};
use runtimes::Event;
use std::time::Duration;
use world::Moment;

/// A call that the instance works on.
struct Running {
    job: Job,
    source: Source,
    start: Phases,
    handed: Moment,
    deadline: Moment,
    /// Its share until now.
    usage: Usage,
    /// The most others there were at the same time.
    others: u32,
}

/// All that the instance works on.
#[derive(Default)]
struct Crowd {
    running: Vec<Running>,
    /// Calls that were answered as timed out, and may still be answered by the instance.
    given_up: Vec<String>,
    /// It gets no more calls.
    closing: bool,
}

impl Crowd {
    /// Divides what was used since the last time among those who were there.
    fn account(&mut self, alive: &mut Alive) {
        let before = alive.used;
        alive.note_usage();
        let used = spent(before, alive.used);
        let among = self.running.len() as u64;
        for (place, running) in self.running.iter_mut().enumerate() {
            let share = |whole: u64| whole / among + u64::from((place as u64) < whole % among);
            running.usage.user_us += share(used.user_us);
            running.usage.system_us += share(used.system_us);
            running.usage.peak_bytes = used.peak_bytes;
        }
    }

    fn deadline(&self) -> Option<Moment> {
        self.running.iter().map(|running| running.deadline).min()
    }

    fn take(&mut self, id: &str) -> Option<Running> {
        let index = self.running.iter().position(|running| running.job.call.request_id == id)?;
        Some(self.running.remove(index))
    }
}

impl Owner {
    /// Serves calls, several at once, until it is retired, broken or stopped.
    pub(crate) async fn work_together(&mut self, start: Phases, alive: &mut Alive) {
        let world = self.engine.world().clone();
        let mut crowd = Crowd::default();
        let mut retired = false;
        loop {
            let idle = crowd.running.is_empty();
            if idle && (retired || crowd.closing && self.jobs.is_empty()) {
                return;
            }
            let left = crowd.deadline().map_or(Duration::MAX, |deadline| deadline - world.moment());
            tokio::select! {
                biased;
                job = self.jobs.recv(), if !retired => match job {
                    Some((job, source)) => self.admit(job, source, start, &mut crowd, alive).await,
                    None => retired = true,
                },
                heard = alive.hear() => {
                    if self.answer(heard, &mut crowd, alive).await {
                        return;
                    }
                }
                () = world.sleep(left), if !idle => self.expire(&mut crowd, alive).await,
            }
        }
    }

    /// Hands one more call over, or back where the instance takes no more.
    async fn admit(&self, mut job: Job, source: Source, start: Phases, crowd: &mut Crowd, alive: &mut Alive) {
        let world = self.engine.world().clone();
        crowd.account(alive);
        let cold = matches!(source, Source::New(_));
        let timeout = Duration::from_secs(self.version.timeout_s.into());
        let (handed, begun) = (world.moment(), world.now());
        let deadline_ms = begun.millis() + u64::from(self.version.timeout_s) * 1000;
        let sent = tokio::select! {
            biased;
            sent = alive.hand_over(&job.call, deadline_ms) => Some(sent),
            () = world.sleep(timeout) => None,
        };
        let refused = matches!(&sent, Some(Err(heard)) if !matches!(heard, Heard::Stop));
        if refused && job.tries < TRIES {
            job.tries += 1;
            crowd.closing = true;
            self.engine.hand_back(self.id, job);
            return;
        }
        let id = job.call.request_id.clone();
        alive.log.begin_among(&id, job.call.tail, cold);
        alive.log.platform_at(begun, &meter::start_line(&id, &self.version.version));
        let usage = if cold { alive.used } else { Usage::default() };
        let start = if cold { start } else { Phases::default() };
        let deadline = handed + timeout;
        crowd.running.push(Running { job, source, start, handed, deadline, usage, others: 0 });
        let others = u32::try_from(crowd.running.len() - 1).unwrap_or(u32::MAX);
        crowd.running.iter_mut().for_each(|running| running.others = running.others.max(others));
        match sent {
            Some(Ok(())) => {}
            Some(Err(heard)) => {
                let failure = alive.failure(heard);
                self.give_up(&id, failure, crowd, alive).await;
            }
            // Half a call is on its way: the instance can be told nothing more.
            None => self.give_up(&id, Failure::TimedOut(self.version.timeout_s), crowd, alive).await,
        }
    }

    /// Acts on what the instance said. Returns whether it is over.
    async fn answer(&mut self, heard: Heard, crowd: &mut Crowd, alive: &mut Alive) -> bool {
        let Heard::Said(Event::Response { id, .. } | Event::Error { id, .. }) = &heard else {
            self.fail_all(heard, crowd, alive).await;
            return true;
        };
        if let Some(late) = crowd.given_up.iter().position(|given_up| given_up == id) {
            crowd.given_up.swap_remove(late);
            return false;
        }
        let id = id.clone();
        crowd.account(alive);
        let Some(running) = crowd.take(&id) else {
            self.fail_all(heard, crowd, alive).await;
            return true;
        };
        let (ending, next) = alive.judge(&running.job.call, heard);
        crowd.closing |= next == Next::Retire;
        self.end(running, ending, next == Next::Reuse, alive).await;
        false
    }

    /// Answers those whose time is over.
    async fn expire(&self, crowd: &mut Crowd, alive: &mut Alive) {
        let now = self.engine.world().moment();
        let over = crowd.running.iter().filter(|running| running.deadline <= now);
        let over: Vec<_> = over.map(|running| running.job.call.request_id.clone()).collect();
        for id in over {
            self.give_up(&id, Failure::TimedOut(self.version.timeout_s), crowd, alive).await;
        }
    }

    /// Answers a call in the instance's place, which gets no other.
    async fn give_up(&self, id: &str, failure: Failure, crowd: &mut Crowd, alive: &mut Alive) {
        crowd.account(alive);
        crowd.closing = true;
        if let Some(running) = crowd.take(id) {
            crowd.given_up.push(id.to_owned());
            self.end(running, Ending::Failed(failure, Stage::Handler), false, alive).await;
        }
    }

    /// The instance is over, and so are its calls. Those that it has not been given go elsewhere.
    async fn fail_all(&mut self, heard: Heard, crowd: &mut Crowd, alive: &mut Alive) {
        if let (Heard::Broke(what), true) = (&heard, crowd.running.is_empty()) {
            tracing::warn!(instance = %self.tag.instance_id, function = %self.version.function, "{what}");
        }
        crowd.account(alive);
        let failure = alive.failure(heard);
        for running in std::mem::take(&mut crowd.running) {
            self.end(running, Ending::Failed(failure.clone(), Stage::Handler), false, alive).await;
        }
        self.engine.lost(self.id, None, &mut self.jobs);
    }

    /// Tells how a call ended: the caller first, then the log and the record.
    async fn end(&self, running: Running, ending: Ending, reusable: bool, alive: &mut Alive) {
        let Running { job, source, start, handed, usage, others, .. } = running;
        let Job { call, arrived, started, reply, .. } = job;
        let handler_us = micros(self.engine.world().moment() - handed);
        self.engine.freed(self.id, reusable);
        let waiting = reply.answered(|| ending.answer(&call.request_id));
        if waiting.is_none() {
            let_others_run().await;
        }
        alive.take_output();
        let queue_us = micros(handed - arrived).saturating_sub(start.sandbox_us + start.init_us);
        let phases = Phases { queue_us, handler_us, ..start };
        let (version, tag, origin) = (&self.version, &self.tag, &self.origin);
        let facts = Facts { version, tag, source, origin, phases, usage, others };
        let done = conclude(&call, started, ending, &facts, &mut alive.log);
        if let Some(waiting) = waiting {
            waiting.done(done);
        }
    }
}
