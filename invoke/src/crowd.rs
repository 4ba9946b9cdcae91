//! Several calls at once in one instance, for functions that ask for it.
//!
//! * What one call raises is its own. One that runs past its timeout is answered, the instance gets no more calls, and
//!   it is ended once the others are done: nothing else stops a handler that does not stop. Where each call has a process
//!   of its own (Python), only that process ends, and the instance goes on.
//! * The end of the process ends all its calls.
//! * What is there at the same moment is dealt with together: calls that wait are handed over in one write, and answers
//!   that have come are given to their callers before anything is written about them.
//! * Processor time is the instance's. What it uses between two looks at it is divided equally among those who are
//!   served then, and the record says so. It is looked at whenever calls end, and before others begin unless that was
//!   done a moment ago.

use crate::alive::{Alive, Heard, Next};
use crate::failure::{Failure, Stage};
use crate::fleet::Source;
use crate::instance::{LOOK, Owner, QUIET, TRIES, UNASKED_US, let_others_run, micros, spent};
use crate::job::{Ending, Facts, Job, Reply, conclude};
use model::{Call, Language, Phases, Usage};
use runtimes::Event;
use std::collections::VecDeque;
use std::time::Duration;
use world::{Moment, Stamp};

/// What was used within such a time is not worth another look before a call begins.
const MOMENT: Duration = Duration::from_millis(1);

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

/// A call that has its end and not yet its record.
struct Ended {
    call: Call,
    source: Source,
    phases: Phases,
    started: Stamp,
    usage: Usage,
    others: u32,
    ending: Ending,
    /// Who waits for more than the answer.
    waiting: Option<Reply>,
}

/// All that the instance works on.
#[derive(Default)]
struct Crowd {
    /// The first to be handed over first, who mostly ends first too.
    running: VecDeque<Running>,
    ended: Vec<Ended>,
    /// Calls that were answered as timed out, and may still be answered by the instance.
    given_up: Vec<String>,
    /// Calls that were answered as timed out, whose processes the instance was asked to end, and until when it may take.
    ending: Vec<(String, Moment)>,
    /// It gets no more calls.
    closing: bool,
}

/// What an instance gets to end the process of one call.
const CANCEL_PATIENCE: Duration = Duration::from_secs(2);

impl Crowd {
    /// Divides what was used since the last time among those who were there.
    fn account(&mut self, alive: &mut Alive) {
        let before = alive.used;
        alive.note_usage();
        let used = spent(before, alive.used);
        let among = (self.running.len() + self.ended.len()) as u64;
        let running = self.running.iter_mut().map(|running| &mut running.usage);
        let usages = self.ended.iter_mut().map(|ended| &mut ended.usage).chain(running);
        for (place, usage) in usages.enumerate() {
            let share = |whole: u64| whole / among + u64::from((place as u64) < whole % among);
            usage.user_us += share(used.user_us);
            usage.system_us += share(used.system_us);
            usage.peak_bytes = used.peak_bytes;
        }
    }

    /// The same before others come, unless that was done a moment ago.
    fn account_before_others(&mut self, alive: &mut Alive, now: Moment) {
        let moment = if self.running.is_empty() { QUIET } else { MOMENT };
        if now - alive.used_at > moment {
            self.account(alive);
        }
    }

    fn deadline(&self) -> Option<Moment> {
        let ending = self.ending.iter().map(|(_, patience)| *patience);
        self.running.iter().map(|running| running.deadline).chain(ending).min()
    }

    fn take(&mut self, id: &str) -> Option<Running> {
        let index = self.running.iter().position(|running| running.job.call.request_id == id)?;
        self.running.remove(index)
    }
}

impl Owner {
    /// Serves calls, several at once, until it is retired, broken or stopped.
    pub(crate) async fn work_together(&mut self, start: Phases, alive: &mut Alive) {
        let world = self.engine.world().clone();
        let most = usize::try_from(self.version.instance_concurrency).unwrap_or(usize::MAX);
        let (mut crowd, mut jobs) = (Crowd::default(), Vec::new());
        let mut retired = false;
        loop {
            let idle = crowd.running.is_empty() && crowd.ending.is_empty();
            if idle && (retired || crowd.closing && self.jobs.is_empty()) {
                return;
            }
            let left = crowd.deadline().map_or(Duration::MAX, |deadline| deadline - world.moment());
            tokio::select! {
                biased;
                count = self.jobs.recv_many(&mut jobs, most), if !retired => match count {
                    0 => retired = true,
                    _ => self.admit(std::mem::take(&mut jobs), start, &mut crowd, alive).await,
                },
                heard = alive.hear() => {
                    if self.answer(heard, &mut crowd, alive).await {
                        return;
                    }
                }
                () = world.sleep(LOOK), if idle && !alive.is_frozen() => alive.quieten(UNASKED_US),
                () = world.sleep(left), if !idle => self.expire(&mut crowd, alive).await,
            }
        }
    }

    /// Hands more calls over, or back where the instance takes no more.
    async fn admit(&self, jobs: Vec<(Job, Source)>, start: Phases, crowd: &mut Crowd, alive: &mut Alive) {
        let world = self.engine.world().clone();
        let timeout = Duration::from_secs(self.version.timeout_s.into());
        let (handed, begun) = (world.moment(), world.now());
        crowd.account_before_others(alive, handed);
        let deadline_ms = begun.millis() + u64::from(self.version.timeout_s) * 1000;
        let calls: Vec<_> = jobs.iter().map(|(job, _)| (&job.call, deadline_ms)).collect();
        let sent = tokio::select! {
            biased;
            sent = alive.hand_over(&calls) => sent,
            // Half a call may be on its way: the instance can be told nothing more.
            () = world.sleep(timeout) => Err((jobs.len(), Heard::Broke("it did not take the call".into()))),
        };
        let (taken, heard) = sent.map_or_else(|(taken, heard)| (taken, Some(heard)), |()| (jobs.len(), None));
        let stopped = matches!(heard, Some(Heard::Stop));
        let mut lost = Vec::new();
        for (place, (mut job, source)) in jobs.into_iter().enumerate() {
            if place >= taken && !stopped && job.tries < TRIES {
                job.tries += 1;
                crowd.closing = true;
                self.engine.hand_back(self.id, job);
                continue;
            }
            if place >= taken {
                lost.push(job.call.request_id.clone());
            }
            let cold = matches!(source, Source::New(_));
            let id = &job.call.request_id;
            alive.log.begin_among(id, job.call.tail, cold);
            alive.log.platform_at(begun, &meter::start_line(id, &self.version.version));
            let usage = if cold { alive.used } else { Usage::default() };
            let start = if cold { start } else { Phases::default() };
            let deadline = handed + timeout;
            crowd.running.push_back(Running { job, source, start, handed, deadline, usage, others: 0 });
        }
        let others = u32::try_from(crowd.running.len().saturating_sub(1)).unwrap_or(u32::MAX);
        crowd.running.iter_mut().for_each(|running| running.others = running.others.max(others));
        if let Some(heard) = heard.filter(|_| !lost.is_empty()) {
            let failure = alive.failure(heard);
            lost.iter().for_each(|id| self.give_up(id, failure.clone(), crowd));
            self.tell(crowd, alive).await;
        }
    }

    /// Acts on what the instance said, and on all else that it has said by now. Returns whether it is over.
    async fn answer(&mut self, heard: Heard, crowd: &mut Crowd, alive: &mut Alive) -> bool {
        let mut next = Some(heard);
        while let Some(heard) = next {
            if let Err(heard) = self.answer_one(heard, crowd, alive) {
                self.tell(crowd, alive).await;
                self.fail_all(heard, crowd, alive).await;
                return true;
            }
            next = alive.heard();
        }
        self.tell(crowd, alive).await;
        false
    }

    /// Gives the answer of one call to its caller. Gives back what is none.
    fn answer_one(&self, heard: Heard, crowd: &mut Crowd, alive: &Alive) -> Result<(), Heard> {
        let Heard::Said(Event::Response { id, .. } | Event::Error { id, .. } | Event::Dropped { id }) =
            &heard
        else {
            return Err(heard);
        };
        if let Some(ended) = crowd.ending.iter().position(|(ending, _)| ending == id) {
            crowd.ending.swap_remove(ended);
            self.engine.freed(self.id, true);
            return Ok(());
        }
        if let Some(late) = crowd.given_up.iter().position(|given_up| given_up == id) {
            crowd.given_up.swap_remove(late);
            return Ok(());
        }
        let Some(running) = crowd.take(id) else { return Err(heard) };
        let (ending, next) = alive.judge(&running.job.call, heard);
        crowd.closing |= next == Next::Retire;
        self.end(running, ending, next == Next::Reuse, crowd);
        Ok(())
    }

    /// Answers those whose time is over.
    async fn expire(&self, crowd: &mut Crowd, alive: &mut Alive) {
        let now = self.engine.world().moment();
        let over = crowd.running.iter().filter(|running| running.deadline <= now);
        let over: Vec<_> = over.map(|running| running.job.call.request_id.clone()).collect();
        for id in over {
            self.time_out(&id, now, crowd, alive).await;
        }
        for (id, _) in crowd.ending.extract_if(.., |(_, patience)| *patience <= now) {
            crowd.closing = true;
            crowd.given_up.push(id);
            self.engine.freed(self.id, false);
        }
        self.tell(crowd, alive).await;
    }

    /// Answers one whose time is over, and ends it alone where that can be.
    async fn time_out(&self, id: &str, now: Moment, crowd: &mut Crowd, alive: &mut Alive) {
        let failure = Failure::TimedOut(self.version.timeout_s);
        let has_process = self.version.runtime.language == Language::Python;
        if !has_process || !alive.cancel(id, CANCEL_PATIENCE).await {
            return self.give_up(id, failure, crowd);
        }
        if let Some(running) = crowd.take(id) {
            crowd.ending.push((id.to_owned(), now + CANCEL_PATIENCE));
            self.close(running, Ending::Failed(failure, Stage::Handler), crowd);
        }
    }

    /// Answers a call in the instance's place, which gets no other.
    fn give_up(&self, id: &str, failure: Failure, crowd: &mut Crowd) {
        crowd.closing = true;
        if let Some(running) = crowd.take(id) {
            crowd.given_up.push(id.to_owned());
            self.end(running, Ending::Failed(failure, Stage::Handler), false, crowd);
        }
    }

    /// The instance is over, and so are its calls. Those that it has not been given go elsewhere.
    async fn fail_all(&mut self, heard: Heard, crowd: &mut Crowd, alive: &mut Alive) {
        if let (Heard::Broke(what), true) = (&heard, crowd.running.is_empty()) {
            tracing::warn!(instance = %self.tag.instance_id, function = %self.version.function, "{what}");
        }
        let failure = alive.failure(heard);
        for running in std::mem::take(&mut crowd.running) {
            self.end(running, Ending::Failed(failure.clone(), Stage::Handler), false, crowd);
        }
        self.tell(crowd, alive).await;
        std::mem::take(&mut crowd.ending).iter().for_each(|_| self.engine.freed(self.id, false));
        self.engine.lost(self.id, None, &mut self.jobs);
    }

    /// A call has left the instance.
    fn end(&self, running: Running, ending: Ending, reusable: bool, crowd: &mut Crowd) {
        self.engine.freed(self.id, reusable);
        self.close(running, ending, crowd);
    }

    /// Tells the caller how a call ended. What else is to be told of it comes with [`Owner::tell`].
    fn close(&self, running: Running, ending: Ending, crowd: &mut Crowd) {
        let Running { job, source, start, handed, usage, others, .. } = running;
        let Job { call, arrived, started, reply, .. } = job;
        let handler_us = micros(self.engine.world().moment() - handed);
        let waiting = reply.answered(|| ending.answer(&call.request_id));
        let queue_us = micros(handed - arrived).saturating_sub(start.sandbox_us + start.init_us);
        let phases = Phases { queue_us, handler_us, ..start };
        crowd.ended.push(Ended { call, source, phases, started, usage, others, ending, waiting });
    }

    /// Writes the log and the records of the calls that have ended.
    async fn tell(&self, crowd: &mut Crowd, alive: &mut Alive) {
        if crowd.ended.iter().any(|ended| ended.waiting.is_none()) {
            let_others_run().await;
        }
        if !crowd.ended.is_empty() {
            alive.take_output();
            crowd.account(alive);
        }
        let mut last = None;
        for ended in crowd.ended.drain(..) {
            let Ended { call, source, phases, started, usage, others, ending, waiting } = ended;
            let (version, tag, origin) = (&self.version, &self.tag, &self.origin);
            let facts = Facts { version, tag, source, origin, phases, usage, others };
            conclude(&call, started, &ending, &facts, &mut alive.log, waiting);
            last = Some(call.request_id);
        }
        if let Some(id) = last.filter(|_| crowd.running.is_empty()) {
            alive.log.is_over(id);
        }
    }
}
