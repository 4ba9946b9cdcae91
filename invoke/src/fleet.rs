//! All pools of the machine: what happens on every event. Pure: events come in, actions go out.

use crate::admission::{Bounds, Ledger, Load, admit, broken};
use crate::answer::{InstanceState, Refused};
use crate::ladder;
use crate::pool::{InstanceId, Pool, PoolId, RequestId, Waiting};
use crate::promise::Promise;
use crate::tenants::{Function, Tenants};
use model::{FunctionName, Version, VersionName};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use world::Moment;

/// Why instances end, as the record of the next call's start tells it.
pub(crate) const EVICTED: &str = "evicted for memory";
pub(crate) const REPLACED: &str = "replaced or retired";
pub(crate) const TOO_OLD: &str = "the last instance was too old";

/// What the engine has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make an instance.
    Start { instance: InstanceId, version: Arc<Version>, provisioned: bool },
    /// Hand the call to the instance.
    Assign { instance: InstanceId, request: RequestId, source: Source },
    /// End the instance, which serves nothing and will not.
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
    /// It is one of those that were promised.
    Provisioned,
    /// The call waited and an instance became free.
    Freed,
    /// An instance that serves other calls took it beside them.
    Shared,
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
    /// When it was given the calls that it serves. Which of them ends first is taken to be the oldest.
    pub(crate) calls: VecDeque<Moment>,
    /// It is kept, because it was promised.
    pub(crate) provisioned: bool,
    /// It serves what it has and gets no more, for this reason.
    pub(crate) closing: Option<&'static str>,
}

/// All pools.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) bounds: Bounds,
    pub(crate) functions: HashMap<FunctionName, Function>,
    pub(crate) pools: HashMap<PoolId, Pool>,
    pub(crate) members: HashMap<InstanceId, Member>,
    pub(crate) ledger: Ledger,
    pub(crate) tenants: Tenants,
    pub(crate) promises: BTreeMap<VersionName, Promise>,
    /// Starts in progress that are no older than a second: those that take processor time.
    pub(crate) young: VecDeque<(InstanceId, Moment)>,
    /// When to look again at calls that wait, although nothing may happen until then.
    pub(crate) alarm: Option<Moment>,
    /// Pools whose queue is not empty.
    pub(crate) hungry: Vec<PoolId>,
    pub(crate) closing: bool,
    pub(crate) next_id: u64,
    forget_at: Moment,
}

/// It takes a look at every function that was called in the last hour.
const BETWEEN_FORGETTING: Duration = Duration::from_secs(60);

impl Fleet {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            functions: HashMap::new(),
            pools: HashMap::new(),
            members: HashMap::new(),
            ledger: Ledger::default(),
            tenants: Tenants::default(),
            promises: BTreeMap::new(),
            young: VecDeque::new(),
            alarm: None,
            hungry: Vec::new(),
            closing: false,
            next_id: 0,
            forget_at: Moment::default(),
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
        self.note_reservation(version);
        let known = self.functions.get(&version.function);
        let open = known.and_then(|function| function.pool_of(&self.pools, &version.revision));
        let tenant = known.map_or_else(|| self.tenants.of(version), |function| function.tenant);
        let held = known.map_or(0, |function| function.in_flight);
        let alone = self.tenants.get_mut(tenant).ask(&version.function, held, now);
        let load = Load {
            function: held,
            account: self.tenants.get(tenant).taken(),
            waiting: open.map_or(0, |id| self.pools[&id].waiting.len()),
            alone,
        };
        admit(&self.bounds, load, version)?;
        if let Some(pool) = open.map(|id| &self.pools[&id])
            && pool.working() == 0
            && let Some(until) = pool.breaker.closed_until(now)
        {
            return Err(broken(until, now));
        }
        let known = self.functions.entry(version.function.clone());
        let function = known.or_insert_with(|| Function::new(tenant, version));
        function.weight = version.weight;
        function.in_flight += 1;
        function.last_use = Some(now);
        self.tenants.get_mut(tenant).in_flight += u32::from(!function.reserved);
        let pool = open.unwrap_or_else(|| self.open_pool(version));
        let call = Waiting { request: RequestId(self.draw_id()), since: now };
        let mut actions = Vec::with_capacity(1);
        self.place(pool, call, now, &mut actions);
        Ok((call.request, actions))
    }

    /// So many calls are reserved for functions of this version's tenant, in all.
    pub(crate) fn reserve(&mut self, version: &Version, calls: u32) {
        let tenant = self.tenants.of(version);
        self.tenants.get_mut(tenant).reserved = calls;
    }

    /// Counts the calls of a function as reserved or as the account's, whichever its owner last chose.
    fn note_reservation(&mut self, version: &Version) {
        let reserved = version.concurrency.is_some();
        if let Some(function) = self.functions.get_mut(&version.function)
            && function.reserved != reserved
        {
            function.reserved = reserved;
            let tenant = self.tenants.get_mut(function.tenant);
            match reserved {
                true => tenant.in_flight -= function.in_flight,
                false => tenant.in_flight += function.in_flight,
            }
        }
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
        self.young.retain(|(young, _)| *young != instance);
        let member = self.members.get_mut(&instance).expect("instances report while they exist");
        debug_assert_eq!(member.state, InstanceState::Starting);
        let (id, why, took) = (member.pool, member.why, now - member.born);
        let pool = self.pools.get_mut(&id).expect("pools outlive their instances");
        pool.starting -= 1;
        pool.proven = true;
        pool.pace.note_start(took);
        pool.breaker.started();
        let mut actions = Vec::new();
        self.offer(instance, Source::New(why), now, &mut actions);
        actions
    }

    /// An instance did not come up; it is being ended. `at_fault`: the function's own code is to blame.
    pub(crate) fn start_failed(&mut self, instance: InstanceId, at_fault: bool, now: Moment) -> Vec<Action> {
        self.young.retain(|(young, _)| *young != instance);
        let id = self.members[&instance].pool;
        let pool = self.pools.get_mut(&id).expect("pools outlive their instances");
        pool.starting -= 1;
        if at_fault {
            pool.breaker.failed(now);
        }
        let bearers = pool.bearers(now);
        let failed: Vec<_> = pool.waiting.drain(..bearers).collect();
        self.note_broken(instance, now);
        self.ending(instance, "the last start failed", now);
        let mut actions: Vec<_> = failed.iter().map(|w| Action::Fail { request: w.request }).collect();
        failed.iter().for_each(|_| self.leave(id));
        self.settle(now, &mut actions);
        actions
    }

    /// An instance has ended one of its calls. `reusable`: it is clean and may serve again. Otherwise it serves what
    /// else it has, and is ended by its owner after the last.
    pub(crate) fn freed(&mut self, instance: InstanceId, reusable: bool, now: Moment) -> Vec<Action> {
        let id = self.release(instance, now);
        self.leave(id);
        let member = self.members.get_mut(&instance).expect("instances report while they exist");
        member.served += 1;
        let empty = member.calls.is_empty();
        let mut actions = Vec::with_capacity(1);
        let broken = (!reusable).then_some("the last instance failed");
        let Some(end) = broken.or_else(|| self.end_of(instance, id, now)) else {
            self.offer(instance, Source::Freed, now, &mut actions);
            return actions;
        };
        if !empty {
            self.close_member(instance, end);
        } else {
            self.ending(instance, end, now);
            if reusable {
                actions.push(Action::Retire { instance });
            }
        }
        self.settle(now, &mut actions);
        actions
    }

    /// Why an instance that has ended a call gets no other, if so.
    fn end_of(&self, instance: InstanceId, id: PoolId, now: Moment) -> Option<&'static str> {
        let old = || self.is_old(instance, now).then_some(TOO_OLD);
        self.members[&instance].closing.or_else(old).or_else(|| self.owes_memory(id, now).then_some(EVICTED))
    }

    /// An instance ended by itself. The calls `untaken`, which were assigned to it and not handed over, go back to
    /// their places in the queue; every other call of it was reported before as freed.
    pub(crate) fn lost(&mut self, instance: InstanceId, untaken: &[Waiting], now: Moment) -> Vec<Action> {
        let member = &self.members[&instance];
        let (id, state) = (member.pool, member.state);
        debug_assert_eq!(member.calls.len(), untaken.len(), "every call is accounted for");
        let mut actions = Vec::new();
        match state {
            InstanceState::Idle => self.unidle(id, instance),
            InstanceState::Busy => untaken.iter().for_each(|_| {
                self.release(instance, now);
            }),
            InstanceState::Starting | InstanceState::Ending => return actions,
        }
        self.note_broken(instance, now);
        self.ending(instance, "the last instance ended by itself", now);
        for call in untaken {
            self.place(id, *call, now, &mut actions);
        }
        self.settle(now, &mut actions);
        actions
    }

    /// An instance gave a call back that it was assigned; it serves what else it has and gets no more. Its owner ends
    /// it after the last.
    pub(crate) fn handed_back(&mut self, instance: InstanceId, call: Waiting, now: Moment) -> Vec<Action> {
        const END: &str = "the last instance took no more calls";
        let mut actions = Vec::new();
        self.close_member(instance, END);
        let id = self.release(instance, now);
        if self.members[&instance].calls.is_empty() {
            self.ending(instance, END, now);
        }
        self.place(id, call, now, &mut actions);
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
        self.sweep(member.pool, now);
        let mut actions = Vec::new();
        self.settle(now, &mut actions);
        actions
    }

    /// Time passes: idle instances end, calls that waited too long are refused.
    pub(crate) fn tick(&mut self, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        let Bounds { idle_timeout, queue_wait, .. } = self.bounds;
        let idle = self.members.iter().filter(|(_, member)| member.state == InstanceState::Idle);
        let idle = idle.filter(|(_, member)| !member.provisioned);
        let keep = |member: &Member| ladder::idle_for(self.pools[&member.pool].pace.start(), idle_timeout);
        let unused = idle.filter(|(_, member)| now - member.since >= keep(member)).map(|(id, _)| *id);
        for instance in unused.collect::<Vec<_>>() {
            self.retire_idle(instance, "unused for the idle timeout", now, &mut actions);
        }
        self.renew_promised(now, &mut actions);
        for id in self.hungry.clone() {
            let before =
                Moment(now.0.saturating_sub(u64::try_from(queue_wait.as_micros()).unwrap_or(u64::MAX)));
            let expired = self.pools.get_mut(&id).map(|pool| pool.expire(before)).unwrap_or_default();
            for request in expired {
                self.leave(id);
                actions.push(Action::Refuse { request, refused: crate::admission::WAITED });
            }
        }
        if now >= self.forget_at {
            self.forget_at = now + BETWEEN_FORGETTING;
            self.forget(now);
        }
        self.settle(now, &mut actions);
        actions
    }

    /// The alarm went off: calls that were left to others may want instances now.
    pub(crate) fn look_again(&mut self, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        self.settle(now, &mut actions);
        actions
    }

    /// Ends the instances of a version, except those of revision `keep`: idle ones now, busy ones after their
    /// call. Calls that already wait are served by what they waited for.
    pub(crate) fn retire(&mut self, name: &VersionName, keep: Option<&str>, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        let Some(function) = self.functions.get_mut(&name.function) else { return actions };
        let pools = &self.pools;
        let (stay, go) = function.open.iter().partition(|id| {
            let version = &pools[id].version;
            version.version != name.version || Some(version.revision.as_str()) == keep
        });
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
        self.promises.clear();
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

    pub(crate) fn open_pool(&mut self, version: &Arc<Version>) -> PoolId {
        let id = PoolId(self.draw_id());
        self.pools.insert(id, Pool::new(version.clone()));
        self.functions.get_mut(&version.function).expect("request made it").open.push(id);
        id
    }
}
