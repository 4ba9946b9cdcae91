//! Plays a trace of calls against the engine's own rules, without a process. Pure.

use crate::admission::Bounds;
use crate::fleet::{Action, Fleet, Source};
use crate::pool::{InstanceId, RequestId};
use model::{FunctionName, Version};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use world::Moment;

/// One call of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// When it comes.
    pub at: Moment,
    /// Which of the functions it calls.
    pub function: usize,
    /// How long its handler runs.
    pub lasts: Duration,
}

/// What became of a trace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rehearsed {
    /// How long each call waited that no instance was there for, start and all.
    pub started: Vec<Duration>,
    /// Calls that an instance was there for.
    pub warm: usize,
    /// Calls that were not let in, or whose time was over.
    pub refused: usize,
    /// For each function, how long its instances existed together.
    pub instance_time: Vec<Duration>,
}

/// Ending an instance takes about so long.
const ENDING: Duration = Duration::from_millis(1);
const TICK: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Started(InstanceId),
    Freed(InstanceId),
    Gone(InstanceId),
}

/// Plays `visits` (in order) of `functions` until `end`. A start takes what `start` says.
pub fn rehearse(
    bounds: Bounds,
    functions: &[Arc<Version>],
    visits: &[Visit],
    end: Moment,
    start: impl FnMut() -> Duration,
) -> Rehearsed {
    let numbers = functions.iter().enumerate().map(|(number, version)| (&version.function, number)).collect();
    let mut stage = Stage {
        fleet: Fleet::new(bounds),
        numbers,
        start,
        due: BinaryHeap::new(),
        calls: HashMap::new(),
        instances: HashMap::new(),
        done: Rehearsed { instance_time: vec![Duration::ZERO; functions.len()], ..Rehearsed::default() },
    };
    let (mut visits, mut tick) = (visits.iter().peekable(), Moment(0) + TICK);
    loop {
        let visit = visits.peek().map(|visit| visit.at);
        let event = stage.due.peek().map(|Reverse((at, _))| *at);
        let first = [visit, event, stage.fleet.alarm, Some(tick)].into_iter().flatten().min();
        let now = first.expect("there is a next tick").min(end);
        if now == end {
            break;
        }
        if event == Some(now) {
            stage.happen(now);
        } else if visit == Some(now) {
            let visit = *visits.next().expect("it was looked at");
            stage.call(&functions[visit.function], visit);
        } else if stage.fleet.alarm == Some(now) {
            let actions = stage.fleet.look_again(now);
            stage.obey(actions, now);
        } else {
            tick = now + TICK;
            let actions = stage.fleet.tick(now);
            stage.obey(actions, now);
        }
    }
    let left: Vec<InstanceId> = stage.instances.keys().copied().collect();
    left.into_iter().for_each(|instance| stage.end(instance, end));
    stage.done
}

struct Stage<'a, S> {
    fleet: Fleet,
    /// The functions by name.
    numbers: HashMap<&'a FunctionName, usize>,
    start: S,
    due: BinaryHeap<Reverse<(Moment, Next)>>,
    /// Calls that wait for an instance.
    calls: HashMap<RequestId, Visit>,
    /// Whose instances exist, and since when.
    instances: HashMap<InstanceId, (usize, Moment)>,
    done: Rehearsed,
}

impl<S: FnMut() -> Duration> Stage<'_, S> {
    fn call(&mut self, version: &Arc<Version>, visit: Visit) {
        match self.fleet.request(version, visit.at) {
            Ok((request, actions)) => {
                self.calls.insert(request, visit);
                self.obey(actions, visit.at);
            }
            Err(_) => self.done.refused += 1,
        }
    }

    fn happen(&mut self, now: Moment) {
        let Some(Reverse((_, next))) = self.due.pop() else { return };
        let actions = match next {
            Next::Started(instance) => self.fleet.started(instance, now),
            Next::Freed(instance) => self.fleet.freed(instance, true, now),
            Next::Gone(instance) => {
                self.end(instance, now);
                self.fleet.gone(instance, now)
            }
        };
        self.obey(actions, now);
    }

    fn obey(&mut self, actions: Vec<Action>, now: Moment) {
        for action in actions {
            match action {
                Action::Start { instance, version, .. } => {
                    let function = self.numbers[&version.function];
                    self.instances.insert(instance, (function, now));
                    let ready = now + (self.start)();
                    self.due.push(Reverse((ready, Next::Started(instance))));
                }
                Action::Assign { instance, request, source } => {
                    let visit = self.calls.remove(&request).expect("assigned calls wait");
                    match source {
                        Source::New(_) => self.done.started.push(now - visit.at),
                        _ => self.done.warm += 1,
                    }
                    self.due.push(Reverse((now + visit.lasts, Next::Freed(instance))));
                }
                Action::Retire { instance } => {
                    self.due.push(Reverse((now + ENDING, Next::Gone(instance))));
                }
                Action::Refuse { request, .. } | Action::Fail { request } => {
                    self.calls.remove(&request);
                    self.done.refused += 1;
                }
            }
        }
    }

    fn end(&mut self, instance: InstanceId, now: Moment) {
        if let Some((function, since)) = self.instances.remove(&instance) {
            self.done.instance_time[function] += now - since;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::version;

    /// Seconds at which one function is called for a second each; a start takes `start_ms`.
    fn check(at: &[u64], start_ms: u64, starts: usize, lived_s: u64) {
        let second = |s: u64| Moment(s * 1_000_000);
        let lasts = Duration::from_secs(1);
        let visits: Vec<_> = at.iter().map(|at| Visit { at: second(*at), function: 0, lasts }).collect();
        let start = Duration::from_millis(start_ms);
        let done = rehearse(Bounds::default(), &[version("f", "1", 128)], &visits, second(1000), || start);
        assert_eq!(done.started, vec![start; starts], "{at:?}");
        assert_eq!((done.warm, done.refused), (at.len() - starts, 0), "{at:?}");
        assert_eq!(done.instance_time[0].as_secs(), lived_s, "{at:?} with {start_ms} ms");
    }

    #[test]
    fn instances_live_as_the_rules_say() {
        check(&[], 4, 0, 0);
        // A start of 4 ms is worth no more than the five seconds that any is, one of 50 ms fifty; ticks come once a second.
        check(&[10], 4, 1, 7);
        check(&[10, 14], 4, 1, 10);
        check(&[10, 30], 4, 2, 14);
        check(&[10, 30], 50, 1, 71);
        check(&[10, 10], 4, 2, 14);
        check(&[995], 4, 1, 5);
    }
}
