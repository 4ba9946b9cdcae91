//! All pools of the machine: what happens on every event. Pure: events come in, actions go out.

use crate::admission::{Bounds, Ledger, Load, admit};
use crate::answer::{InstanceState, Refused};
use crate::pool::{InstanceId, Pool, PoolId, RequestId, Waiting};
use model::{FunctionName, Version};
use std::collections::HashMap;
use std::sync::Arc;
use world::Moment;

/// Why instances end, as the record of the next call's start tells it.
pub(crate) const EVICTED: &str = "evicted for memory";
pub(crate) const TOO_OLD: &str = "the last instance was too old";

/// What the engine has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make an instance.
    Start { instance: InstanceId, version: Arc<Version> },
    /// Hand the call to the instance.
    Assign { instance: InstanceId, request: RequestId, source: Source },
    /// End the instance, which serves nothing.
    Retire { instance: InstanceId },
    /// Tell the caller no.
    Refuse { request: RequestId, refused: Refused },
    /// Tell the caller how the start failed that it would have waited for.
    Fail { request: RequestId },
}

/// Where the instance of a call came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// It had served and was idle.
    Idle,
    /// It had come up while no call waited.
    Spare,
    /// The call waited and an instance became free.
    Freed,
    /// The call waited and a new instance came up, which was started for this reason.
    New(&'static str),
}

/// An instance as the fleet sees it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) pool: PoolId,
    pub(crate) state: InstanceState,
    pub(crate) since: Moment,
    pub(crate) born: Moment,
    pub(crate) served: u64,
    pub(crate) why: &'static str,
    pub(crate) request: Option<Waiting>,
}

/// What is remembered of a function while it has instances, and for an hour after.
#[derive(Debug, Default)]
pub(crate) struct Function {
    /// Calls waiting and running.
    pub(crate) in_flight: u32,
    /// Pools that take calls.
    pub(crate) open: Vec<PoolId>,
    /// Why its last instance ended.
    pub(crate) last_end: Option<&'static str>,
    pub(crate) last_revision: Option<String>,
    pub(crate) last_use: Option<Moment>,
}

/// All pools.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) bounds: Bounds,
    pub(crate) functions: HashMap<FunctionName, Function>,
    pub(crate) pools: HashMap<PoolId, Pool>,
    pub(crate) members: HashMap<InstanceId, Member>,
    pub(crate) ledger: Ledger,
    /// Calls of all functions, waiting and running.
    pub(crate) in_flight: u32,
    /// Pools whose queue is not empty.
    pub(crate) hungry: Vec<PoolId>,
    pub(crate) closing: bool,
    pub(crate) next_id: u64,
}

impl Fleet {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            functions: HashMap::new(),
            pools: HashMap::new(),
            members: HashMap::new(),
            ledger: Ledger::default(),
            in_flight: 0,
            hungry: Vec::new(),
            closing: false,
            next_id: 0,
        }
    }

    /// A call arrives.
    pub(crate) fn request(
        &mut self,
        version: &Arc<Version>,
        now: Moment,
    ) -> Result<(RequestId, Vec<Action>), Refused> {
        if self.closing {
            return Err(Refused::ShuttingDown);
        }
        let known = self.functions.get(&version.function);
        let open = known.and_then(|f| self.pool_of(f, &version.revision));
        let load = Load {
            function: known.map_or(0, |f| f.in_flight),
            account: self.in_flight,
            waiting: open.map_or(0, |id| self.pools[&id].waiting.len()),
        };
        admit(&self.bounds, load, version.concurrency, version.memory_mb)?;
        let pool = open.unwrap_or_else(|| self.open_pool(version));
        let function = self.functions.get_mut(&version.function).expect("open_pool made it");
        function.in_flight += 1;
        function.last_use = Some(now);
        self.in_flight += 1;
        let call = Waiting { request: RequestId(self.draw_id()), since: now };
        let mut actions = Vec::with_capacity(1);
        self.place(pool, call, now, &mut actions);
        Ok((call.request, actions))
    }

    /// The caller left before the call had an instance. A call that has one runs on.
    pub(crate) fn withdraw(&mut self, request: RequestId, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        for id in self.hungry.clone() {
            let Some(pool) = self.pools.get_mut(&id) else { continue };
            if let Some(index) = pool.waiting.iter().position(|w| w.request == request) {
                pool.waiting.remove(index);
                self.leave(id);
                self.settle(now, &mut actions);
                break;
            }
        }
        actions
    }

    /// An instance came up.
    pub(crate) fn started(&mut self, instance: InstanceId, now: Moment) -> Vec<Action> {
        let member = self.members.get_mut(&instance).expect("instances report while they exist");
        debug_assert_eq!(member.state, InstanceState::Starting);
        let (id, why) = (member.pool, member.why);
        let pool = self.pools.get_mut(&id).expect("pools outlive their instances");
        pool.starting -= 1;
        pool.proven = true;
        let mut actions = Vec::new();
        self.offer(instance, Source::New(why), now, &mut actions);
        actions
    }

    /// An instance did not come up; it is being ended.
    pub(crate) fn start_failed(&mut self, instance: InstanceId, now: Moment) -> Vec<Action> {
        let id = self.members[&instance].pool;
        let pool = self.pools.get_mut(&id).expect("pools outlive their instances");
        pool.starting -= 1;
        let bearers = pool.bearers();
        let failed: Vec<_> = pool.waiting.drain(..bearers).collect();
        self.ending(instance, "the last start failed", now);
        let mut actions: Vec<_> = failed.iter().map(|w| Action::Fail { request: w.request }).collect();
        failed.iter().for_each(|_| self.leave(id));
        self.settle(now, &mut actions);
        actions
    }

    /// An instance has ended its call. `reusable`: it is clean and may serve again.
    pub(crate) fn freed(&mut self, instance: InstanceId, reusable: bool, now: Moment) -> Vec<Action> {
        let member = self.members.get_mut(&instance).expect("instances report while they exist");
        debug_assert_eq!(member.state, InstanceState::Busy);
        member.served += 1;
        member.request = None;
        let id = member.pool;
        self.pools.get_mut(&id).expect("pools outlive their instances").busy -= 1;
        self.leave(id);
        let mut actions = Vec::with_capacity(1);
        if !reusable {
            self.ending(instance, "the last instance failed", now);
            self.settle(now, &mut actions);
        } else if self.is_old(instance, now) || self.owes_memory(id, now) {
            let end = if self.is_old(instance, now) { TOO_OLD } else { EVICTED };
            self.ending(instance, end, now);
            actions.push(Action::Retire { instance });
            self.settle(now, &mut actions);
        } else {
            self.offer(instance, Source::Freed, now, &mut actions);
        }
        actions
    }

    /// An instance ended by itself while it served nothing. A call that was assigned to it at that moment, and
    /// was not handed over, goes back to the head of its queue.
    pub(crate) fn lost(&mut self, instance: InstanceId, now: Moment) -> Vec<Action> {
        let member = self.members.get_mut(&instance).expect("instances report while they exist");
        let (id, call, state) = (member.pool, member.request.take(), member.state);
        let mut actions = Vec::new();
        let pool = self.pools.get_mut(&id).expect("pools outlive their instances");
        match state {
            InstanceState::Idle => self.unidle(id, instance),
            InstanceState::Busy => pool.busy -= 1,
            InstanceState::Starting | InstanceState::Ending => return actions,
        }
        self.ending(instance, "the last instance ended by itself", now);
        if let Some(call) = call {
            self.place(id, call, now, &mut actions);
        }
        self.settle(now, &mut actions);
        actions
    }

    /// Nothing is left of an instance.
    pub(crate) fn gone(&mut self, instance: InstanceId, now: Moment) -> Vec<Action> {
        let member = self.members.remove(&instance).expect("instances report while they exist");
        debug_assert_eq!(member.state, InstanceState::Ending);
        let pool = self.pools.get_mut(&member.pool).expect("pools outlive their instances");
        pool.ending -= 1;
        let memory = pool.memory_mb();
        self.ledger.live -= memory;
        self.ledger.ending -= memory;
        self.sweep(member.pool);
        let mut actions = Vec::new();
        self.settle(now, &mut actions);
        actions
    }

    /// Time passes: idle instances end, calls that waited too long are refused.
    pub(crate) fn tick(&mut self, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        let Bounds { idle_timeout, queue_wait, .. } = self.bounds;
        let idle = self.members.iter().filter(|(_, member)| member.state == InstanceState::Idle);
        let unused = idle.filter(|(_, member)| now - member.since >= idle_timeout).map(|(id, _)| *id);
        for instance in unused.collect::<Vec<_>>() {
            self.retire_idle(instance, "unused for the idle timeout", now, &mut actions);
        }
        for id in self.hungry.clone() {
            let before =
                Moment(now.0.saturating_sub(u64::try_from(queue_wait.as_micros()).unwrap_or(u64::MAX)));
            let expired = self.pools.get_mut(&id).map(|pool| pool.expire(before)).unwrap_or_default();
            for request in expired {
                self.leave(id);
                actions.push(Action::Refuse { request, refused: crate::admission::WAITED });
            }
        }
        self.forget(now);
        self.settle(now, &mut actions);
        actions
    }

    /// Ends the instances of a function, except those of revision `keep`: idle ones now, busy ones after their
    /// call. Calls that already wait are served by what they waited for.
    pub(crate) fn retire(&mut self, name: &FunctionName, keep: Option<&str>, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        let Some(function) = self.functions.get_mut(name) else { return actions };
        let pools = &self.pools;
        let (stay, go) =
            function.open.iter().partition(|id| Some(pools[id].version.revision.as_str()) == keep);
        function.open = stay;
        for id in go {
            self.close_pool(id, now, &mut actions);
        }
        self.settle(now, &mut actions);
        actions
    }

    /// No new calls from now on; instances end when nothing waits for them.
    pub(crate) fn close(&mut self, now: Moment) -> Vec<Action> {
        self.closing = true;
        let mut actions = Vec::new();
        for id in self.pools.keys().copied().collect::<Vec<_>>() {
            self.close_pool(id, now, &mut actions);
        }
        actions
    }

    /// Refuses every call that still waits.
    pub(crate) fn abandon(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for id in std::mem::take(&mut self.hungry) {
            let Some(pool) = self.pools.get_mut(&id) else { continue };
            let waiting = std::mem::take(&mut pool.waiting);
            for call in waiting {
                self.leave(id);
                actions.push(Action::Refuse { request: call.request, refused: Refused::ShuttingDown });
            }
        }
        actions
    }

    fn draw_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn draw_instance(&mut self) -> InstanceId {
        InstanceId(self.draw_id())
    }

    fn pool_of(&self, function: &Function, revision: &str) -> Option<PoolId> {
        function.open.iter().copied().find(|id| self.pools[id].version.revision == revision)
    }

    fn open_pool(&mut self, version: &Arc<Version>) -> PoolId {
        let id = PoolId(self.draw_id());
        self.pools.insert(id, Pool::new(version.clone()));
        self.functions.entry(version.function.clone()).or_default().open.push(id);
        id
    }
}
