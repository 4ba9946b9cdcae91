//! The inner moves of the fleet: which call gets which instance, and how instances change hands. Pure.

use crate::answer::InstanceState;
use crate::fleet::{Action, Fleet, Member, REPLACED, Source, TOO_OLD};
use crate::pool::{InstanceId, PoolId, Waiting};
use model::{FunctionName, Version};
use std::collections::HashMap;
use std::time::Duration;
use world::Moment;

/// A function without instances is forgotten after this.
const MEMORY_OF_FUNCTIONS: Duration = Duration::from_secs(3600);

impl Fleet {
    /// Gives a call an instance that has room or its place in the queue: a new one the last, one that comes back the
    /// old one. An instance that serves already is filled first, so that as few as possible are used.
    pub(crate) fn place(&mut self, id: PoolId, call: Waiting, now: Moment, actions: &mut Vec<Action>) {
        self.end_old(id, now, actions);
        let pool = self.pools.get_mut(&id).expect("calls are placed in existing pools");
        if let Some(instance) = pool.roomy.iter().max_by_key(|i| self.members[*i].calls.len()).copied() {
            self.assign(instance, call, Source::Shared, now, actions);
        } else if let Some(instance) = pool.idle.back().copied() {
            self.unidle(id, instance);
            let source = match &self.members[&instance] {
                Member { provisioned: true, .. } => Source::Provisioned,
                Member { served: 0, .. } => Source::Spare,
                _ => Source::Idle,
            };
            self.assign(instance, call, source, now, actions);
        } else {
            let place = pool.waiting.partition_point(|earlier| earlier.request < call.request);
            pool.waiting.insert(place, call);
            self.note_hunger(id);
            self.settle(now, actions);
        }
    }

    /// Takes instances that are too old for another call out of those that have room.
    fn end_old(&mut self, id: PoolId, now: Moment, actions: &mut Vec<Action>) {
        while let Some(old) = self.pools[&id].idle.back().copied().filter(|back| self.is_old(*back, now)) {
            self.retire_idle(old, TOO_OLD, now, actions);
        }
        while let Some(old) = self.pools[&id].roomy.iter().copied().find(|roomy| self.is_old(*roomy, now)) {
            self.close_member(old, TOO_OLD);
        }
    }

    /// Late binding: an instance that can serve takes the oldest waiting calls, else it becomes or stays idle.
    pub(crate) fn offer(
        &mut self,
        instance: InstanceId,
        mut source: Source,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let id = self.members[&instance].pool;
        let slots = self.pools[&id].slots();
        while self.members[&instance].calls.len() < slots
            && let Some(call) = self.pools.get_mut(&id).and_then(|pool| pool.waiting.pop_front())
        {
            self.assign(instance, call, source, now, actions);
            source = Source::Shared;
        }
        if self.members[&instance].calls.is_empty() {
            let pool = self.pools.get_mut(&id).expect("pools outlive their instances");
            if pool.closed {
                self.ending(instance, REPLACED, now);
                actions.push(Action::Retire { instance });
            } else {
                let kept = self.members[&instance].provisioned;
                let ordinary = |idle: &InstanceId| !self.members[idle].provisioned;
                let behind = if kept {
                    pool.idle.len()
                } else {
                    pool.idle.iter().filter(|idle| ordinary(idle)).count()
                };
                pool.idle.insert(behind, instance);
                self.ledger.idle += if kept { 0 } else { pool.memory_mb() };
                self.enter(instance, InstanceState::Idle, now);
            }
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
        let member = self.members.get_mut(&instance).expect("instances are assigned while they exist");
        let pool = self.pools.get_mut(&member.pool).expect("pools outlive their instances");
        member.calls.push_back(now);
        pool.running += 1;
        pool.given_us += u128::from(now.0);
        let (held, slots) = (member.calls.len(), pool.slots());
        if held == 1 {
            pool.busy += 1;
            (member.state, member.since) = (InstanceState::Busy, now);
        }
        if slots > 1 {
            let listed = pool.roomy.iter().position(|roomy| *roomy == instance);
            match listed {
                Some(index) if held == slots => drop(pool.roomy.swap_remove(index)),
                None if held < slots && member.closing.is_none() => pool.roomy.push(instance),
                _ => {}
            }
        }
        actions.push(Action::Assign { instance, request: call.request, source });
    }

    /// One call of the instance is no longer its own. Returns the pool.
    pub(crate) fn release(&mut self, instance: InstanceId, now: Moment) -> PoolId {
        let member = self.members.get_mut(&instance).expect("instances report while they exist");
        debug_assert_eq!(member.state, InstanceState::Busy);
        let id = member.pool;
        let pool = self.pools.get_mut(&id).expect("pools outlive their instances");
        let given = member.calls.pop_front().expect("busy instances have calls");
        pool.running -= 1;
        pool.given_us -= u128::from(given.0);
        pool.pace.note_call(now - given);
        let slots = pool.slots();
        if member.calls.is_empty() {
            pool.busy -= 1;
            pool.closing -= usize::from(member.closing.is_some());
            pool.roomy.retain(|roomy| *roomy != instance);
        } else if member.closing.is_none() && member.calls.len() + 1 == slots {
            pool.roomy.push(instance);
        }
        id
    }

    /// A busy instance serves what it has and gets no more.
    pub(crate) fn close_member(&mut self, instance: InstanceId, end: &'static str) {
        self.release_promised(instance);
        let member = self.members.get_mut(&instance).expect("instances are closed while they exist");
        let pool = self.pools.get_mut(&member.pool).expect("pools outlive their instances");
        if member.closing.replace(end).is_none() {
            pool.closing += 1;
        }
        pool.roomy.retain(|roomy| *roomy != instance);
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
        match pool.idle.back() {
            Some(back) if *back == instance => drop(pool.idle.pop_back()),
            _ => pool.idle.retain(|idle| *idle != instance),
        }
        self.ledger.idle -= if self.members[&instance].provisioned { 0 } else { pool.memory_mb() };
    }

    /// Marks an instance that serves nothing as on its way down, and remembers why.
    pub(crate) fn ending(&mut self, instance: InstanceId, end: &'static str, now: Moment) {
        let id = self.enter(instance, InstanceState::Ending, now).pool;
        self.release_promised(instance);
        let pool = self.pools.get_mut(&id).expect("pools outlive their instances");
        pool.ending += 1;
        let memory_mb = pool.memory_mb();
        self.ledger.ending += memory_mb;
        let function = self.functions.get_mut(&pool.version.function).expect("functions in use are kept");
        function.note_end(&pool.version, end, now);
        function.held_mb -= memory_mb;
        self.tenants.get_mut(function.tenant).held_mb -= memory_mb;
    }

    fn enter(&mut self, instance: InstanceId, state: InstanceState, now: Moment) -> &mut Member {
        let member = self.members.get_mut(&instance).expect("instances report while they exist");
        member.state = state;
        member.since = now;
        member
    }

    /// One call of the pool's function is over.
    pub(crate) fn leave(&mut self, id: PoolId) {
        let name = &self.pools[&id].version.function;
        let function = self.functions.get_mut(name).expect("functions in use are kept");
        function.in_flight -= 1;
        self.tenants.get_mut(function.tenant).in_flight -= u32::from(!function.reserved);
    }

    pub(crate) fn note_hunger(&mut self, id: PoolId) {
        if !self.hungry.contains(&id) {
            self.hungry.push(id);
        }
    }

    pub(crate) fn close_pool(&mut self, id: PoolId, now: Moment, actions: &mut Vec<Action>) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        pool.closed = true;
        for instance in std::mem::take(&mut pool.roomy) {
            self.close_member(instance, REPLACED);
        }
        for instance in self.pools[&id].idle.clone() {
            self.retire_idle(instance, REPLACED, now, actions);
        }
        self.sweep(id, now);
    }

    /// Drops a pool in which nothing is left, unless its starts failed a moment ago.
    pub(crate) fn sweep(&mut self, id: PoolId, now: Moment) {
        if let Some(pool) = self.pools.get(&id)
            && pool.is_empty()
            && (pool.closed || !pool.breaker.remembers(now))
        {
            if let Some(function) = self.functions.get_mut(&pool.version.function) {
                function.open.retain(|open| *open != id);
            }
            self.pools.remove(&id);
        }
    }

    /// Drops functions and versions that have had nothing for long, and pools that never got an instance.
    pub(crate) fn forget(&mut self, now: Moment) {
        for id in self.pools.keys().copied().collect::<Vec<_>>() {
            self.sweep(id, now);
        }
        let mut used: HashMap<&FunctionName, Vec<&str>> = HashMap::new();
        for Version { function, version, .. } in self.pools.values().map(|pool| &*pool.version) {
            used.entry(function).or_default().push(version);
        }
        let is_fresh = |last: Option<Moment>| last.is_some_and(|last| now - last < MEMORY_OF_FUNCTIONS);
        self.functions.retain(|name, function| {
            let versions = used.get(name).map(Vec::as_slice).unwrap_or_default();
            function.keep_versions(|version, ended| versions.contains(&version) || is_fresh(ended));
            function.in_flight > 0 || !versions.is_empty() || is_fresh(function.last_use)
        });
    }
}
