//! The inner moves of the fleet: who takes which instance, and who gets memory next. Pure.

use crate::admission::Room;
use crate::answer::InstanceState;
use crate::fleet::{Action, EVICTED, Fleet, Member, Source, TOO_OLD};
use crate::pool::{InstanceId, PoolId, Waiting};
use std::time::Duration;
use world::Moment;

/// A function without instances is forgotten after this.
const MEMORY_OF_FUNCTIONS: Duration = Duration::from_secs(3600);

impl Fleet {
    /// Gives a call an idle instance or its place in the queue: a new one the last, one that comes back the old one.
    pub(crate) fn place(&mut self, id: PoolId, call: Waiting, now: Moment, actions: &mut Vec<Action>) {
        while let Some(old) = self.pools[&id].idle.back().copied().filter(|back| self.is_old(*back, now)) {
            self.retire_idle(old, TOO_OLD, now, actions);
        }
        let pool = self.pools.get_mut(&id).expect("calls are placed in existing pools");
        if let Some(instance) = pool.idle.pop_back() {
            self.ledger.idle -= pool.memory_mb();
            let spare = self.members[&instance].served == 0;
            self.assign(instance, call, if spare { Source::Spare } else { Source::Idle }, now, actions);
        } else {
            let place = pool.waiting.partition_point(|earlier| earlier.request < call.request);
            pool.waiting.insert(place, call);
            self.note_hunger(id);
            self.settle(now, actions);
        }
    }

    /// Late binding: an instance that can serve takes the oldest waiting call, else it becomes idle.
    pub(crate) fn offer(
        &mut self,
        instance: InstanceId,
        source: Source,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let id = self.members[&instance].pool;
        let pool = self.pools.get_mut(&id).expect("pools outlive their instances");
        if let Some(call) = pool.waiting.pop_front() {
            self.assign(instance, call, source, now, actions);
        } else if pool.closed {
            self.ending(instance, "replaced or retired", now);
            actions.push(Action::Retire { instance });
        } else {
            pool.idle.push_back(instance);
            self.ledger.idle += pool.memory_mb();
            self.enter(instance, InstanceState::Idle, now);
        }
        if !self.hungry.is_empty() {
            self.settle(now, actions);
        }
    }

    pub(crate) fn is_old(&self, instance: InstanceId, now: Moment) -> bool {
        now - self.members[&instance].born >= self.bounds.instance_age
    }

    fn assign(
        &mut self,
        instance: InstanceId,
        call: Waiting,
        source: Source,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let member = self.enter(instance, InstanceState::Busy, now);
        debug_assert!(member.request.is_none(), "one call per instance");
        member.request = Some(call);
        let id = member.pool;
        self.pools.get_mut(&id).expect("pools outlive their instances").busy += 1;
        actions.push(Action::Assign { instance, request: call.request, source });
    }

    /// Starts instances for waiting calls, oldest first, as far as memory goes. A call that finds no room may be
    /// overtaken until its patience ends; then memory is kept for it, so it cannot starve.
    pub(crate) fn settle(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let pools = &self.pools;
        self.hungry.retain(|id| pools.get(id).is_some_and(|pool| !pool.waiting.is_empty()));
        let mut skip = 0;
        while let Some((id, since)) = self.candidates().get(skip).copied() {
            let need = self.pools[&id].memory_mb();
            match self.ledger.room(self.bounds.memory_mb, need) {
                Room::Free => self.start(id, now, actions),
                Room::Short if now - since < self.bounds.patience => skip += 1,
                Room::Evict(mebibytes) => {
                    self.evict(mebibytes, now, actions);
                    break;
                }
                Room::Coming | Room::Short => break,
            }
        }
    }

    /// The pools that want one more instance, by the age of the call that wants it.
    fn candidates(&self) -> Vec<(PoolId, Moment)> {
        let wants = |id: &PoolId| {
            let pool = self.pools.get(id)?;
            let call = pool.first_uncovered().filter(|_| pool.starting < self.bounds.starts_at_once)?;
            Some((*id, call))
        };
        let mut wanting: Vec<_> = self.hungry.iter().filter_map(wants).collect();
        wanting.sort_by_key(|(_, call)| (call.since, call.request));
        wanting.into_iter().map(|(id, call)| (id, call.since)).collect()
    }

    fn start(&mut self, id: PoolId, now: Moment, actions: &mut Vec<Action>) {
        let instance = self.draw_instance();
        let why = self.why_start(id);
        let pool = self.pools.get_mut(&id).expect("candidates exist");
        pool.starting += 1;
        self.ledger.live += pool.memory_mb();
        let version = pool.version.clone();
        let state = InstanceState::Starting;
        let member = Member { pool: id, state, since: now, born: now, served: 0, why, request: None };
        self.members.insert(instance, member);
        let function = self.functions.get_mut(&version.function).expect("functions with pools are kept");
        function.last_revision = Some(version.revision.clone());
        actions.push(Action::Start { instance, version });
    }

    fn why_start(&self, id: PoolId) -> &'static str {
        let pool = &self.pools[&id];
        let function = &self.functions[&pool.version.function];
        if pool.working() > 0 {
            "all instances busy"
        } else if function.last_revision.as_ref().is_some_and(|last| *last != pool.version.revision) {
            "new revision"
        } else {
            function.last_end.unwrap_or("first instance")
        }
    }

    /// Ends the longest-idle instances of any function until `mebibytes` are on their way back.
    fn evict(&mut self, mebibytes: u64, now: Moment, actions: &mut Vec<Action>) {
        let mut freed = 0;
        while freed < mebibytes {
            let fronts = self.pools.values().filter_map(|pool| pool.idle.front());
            let longest = fronts.copied().min_by_key(|instance| (self.members[instance].since, *instance));
            let Some(instance) = longest else { break };
            freed += self.pools[&self.members[&instance].pool].memory_mb();
            self.retire_idle(instance, EVICTED, now, actions);
        }
    }

    /// Whether the pool must give a freed instance's memory to an older call of another pool, which has
    /// waited past the patience and cannot be helped by idle instances.
    pub(crate) fn owes_memory(&self, id: PoolId, now: Moment) -> bool {
        if self.hungry.is_empty() {
            return false;
        }
        let Some((starved, since)) = self.candidates().into_iter().find(|(other, _)| *other != id) else {
            return false;
        };
        let mine = self.pools[&id].waiting.front().map(|w| w.since);
        now - since >= self.bounds.patience
            && mine.is_none_or(|mine| since < mine)
            && self.ledger.room(self.bounds.memory_mb, self.pools[&starved].memory_mb()) == Room::Short
    }

    pub(crate) fn retire_idle(
        &mut self,
        instance: InstanceId,
        end: &'static str,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        self.unidle(self.members[&instance].pool, instance);
        self.ending(instance, end, now);
        actions.push(Action::Retire { instance });
    }

    pub(crate) fn unidle(&mut self, id: PoolId, instance: InstanceId) {
        let pool = self.pools.get_mut(&id).expect("pools outlive their instances");
        pool.idle.retain(|idle| *idle != instance);
        self.ledger.idle -= pool.memory_mb();
    }

    /// Marks an instance that serves nothing as on its way down, and remembers why.
    pub(crate) fn ending(&mut self, instance: InstanceId, end: &'static str, now: Moment) {
        let id = self.enter(instance, InstanceState::Ending, now).pool;
        let pool = self.pools.get_mut(&id).expect("pools outlive their instances");
        pool.ending += 1;
        self.ledger.ending += pool.memory_mb();
        if let Some(function) = self.functions.get_mut(&pool.version.function) {
            function.last_end = Some(end);
        }
    }

    fn enter(&mut self, instance: InstanceId, state: InstanceState, now: Moment) -> &mut Member {
        let member = self.members.get_mut(&instance).expect("instances report while they exist");
        member.state = state;
        member.since = now;
        member
    }

    /// One call of the pool's function is over.
    pub(crate) fn leave(&mut self, id: PoolId) {
        self.in_flight -= 1;
        let name = &self.pools[&id].version.function;
        self.functions.get_mut(name).expect("functions in use are kept").in_flight -= 1;
    }

    pub(crate) fn note_hunger(&mut self, id: PoolId) {
        if !self.hungry.contains(&id) {
            self.hungry.push(id);
        }
    }

    pub(crate) fn close_pool(&mut self, id: PoolId, now: Moment, actions: &mut Vec<Action>) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        pool.closed = true;
        for instance in pool.idle.clone() {
            self.retire_idle(instance, "replaced or retired", now, actions);
        }
        self.sweep(id);
    }

    /// Drops a pool in which nothing is left.
    pub(crate) fn sweep(&mut self, id: PoolId) {
        if let Some(pool) = self.pools.get(&id)
            && pool.is_empty()
        {
            if let Some(function) = self.functions.get_mut(&pool.version.function) {
                function.open.retain(|open| *open != id);
            }
            self.pools.remove(&id);
        }
    }

    /// Drops functions that have had nothing for long, and pools that never got an instance.
    pub(crate) fn forget(&mut self, now: Moment) {
        for id in self.pools.keys().copied().collect::<Vec<_>>() {
            self.sweep(id);
        }
        let pools = &self.pools;
        self.functions.retain(|name, function| {
            let used = function.in_flight > 0 || pools.values().any(|pool| pool.version.function == *name);
            used || function.last_use.is_some_and(|last| now - last < MEMORY_OF_FUNCTIONS)
        });
    }
}
