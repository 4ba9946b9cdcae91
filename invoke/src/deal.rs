//! Who gets the next instance, and whose memory it is made of. Pure.

use crate::admission::{Ledger, Room};
use crate::answer::InstanceState;
use crate::fair::{Claim, Share, may_hold, may_start};
use crate::fleet::{Action, EVICTED, Fleet, Member};
use crate::pool::{InstanceId, Pool, PoolId, Waiting};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;
use world::Moment;

/// A start that has lasted so long waits for something other than the processor.
const YOUTH: Duration = Duration::from_secs(1);

impl Fleet {
    /// Starts instances for waiting calls, the poorest first (see `fair`), as far as memory and the processor go. A
    /// call that finds no memory may be overtaken until its patience ends; then memory is kept for it.
    pub(crate) fn settle(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let grown = self.young.iter().take_while(|(_, since)| now - *since >= YOUTH).count();
        self.young.drain(..grown);
        self.keep_promises(now, actions);
        let pools = &self.pools;
        self.hungry.retain(|id| pools.get(id).is_some_and(|pool| !pool.waiting.is_empty()));
        self.alarm = None;
        if self.hungry.is_empty() {
            return;
        }
        // Where many wait, most of what happens leaves no room for a start: no look at their claims then.
        let room = self.young.len() < self.bounds.starts_in_all;
        let mut claims = if room { self.claims(now) } else { Vec::new() };
        while self.young.len() < self.bounds.starts_in_all
            && let Some((id, claim)) = claims.pop()
        {
            if !self.may_start(id) || !self.may_hold(&claim) {
                continue;
            }
            let patient = now - claim.call.since < self.bounds.patience;
            match self.ledger.room(self.bounds.memory_mb, self.pools[&id].memory_mb()) {
                Room::Free => {
                    self.start(id, None, now, actions);
                    if let Some(next) = self.claim(id, now) {
                        let place = claims.partition_point(|(_, other)| other.order(&next).is_gt());
                        claims.insert(place, (id, next));
                    }
                }
                Room::Evict(mebibytes) if self.evict(mebibytes, id, claim.call, now, actions) => break,
                Room::Evict(_) | Room::Short if patient => {}
                Room::Evict(_) | Room::Coming | Room::Short => break,
            }
        }
        self.set_alarm(now);
    }

    /// Whether the processor has room for one more start, and this function may have it.
    fn may_start(&self, id: PoolId) -> bool {
        let function = &self.pools[&id].version.function;
        let of =
            |(instance, _): &&(_, _)| self.pools[&self.members[instance].pool].version.function == *function;
        let held = self.young.iter().filter(of).count() as u64;
        let free = self.bounds.starts_in_all.saturating_sub(self.young.len()) as u64;
        may_start(held, free, self.functions[function].weight)
    }

    /// Whether the function may have the memory of one more instance, however much of it is free.
    fn may_hold(&self, claim: &Claim) -> bool {
        let Ledger { live, idle, ending } = self.ledger;
        let free = self.bounds.memory_mb.saturating_sub(live - idle - ending);
        may_hold(claim.function.held, free, claim.function.weight)
    }

    /// The claims of all pools that want one more instance, the first one last.
    fn claims(&self, now: Moment) -> Vec<(PoolId, Claim)> {
        let claims = self.hungry.iter().filter_map(|id| Some((*id, self.claim(*id, now)?)));
        let mut claims: Vec<_> = claims.collect();
        claims.sort_unstable_by(|(_, one), (_, other)| other.order(one));
        claims
    }

    /// The pool's claim to one more instance, if it wants one.
    fn claim(&self, id: PoolId, now: Moment) -> Option<Claim> {
        let pool = self.pools.get(&id)?;
        let call = pool.first_uncovered()?;
        let allowed = pool.starting < self.bounds.starts_at_once && pool.breaker.closed_until(now).is_none();
        (allowed && pool.wants_instance(now)).then(|| self.stand(pool, call))
    }

    /// What the pool, its function and its tenant hold.
    fn stand(&self, pool: &Pool, call: Waiting) -> Claim {
        let function = &self.functions[&pool.version.function];
        let tenant = self.tenants.get(function.tenant);
        Claim {
            tenant: Share { held: tenant.held_mb, weight: 1 },
            function: Share { held: function.held_mb, weight: function.weight },
            revision: Share { held: pool.working() as u64 * pool.memory_mb(), weight: 1 },
            call,
        }
    }

    /// Calls that were left to busy instances, to a later try or to a grown start are looked at again in time.
    fn set_alarm(&mut self, now: Moment) {
        let mut alarm: Option<Moment> = None;
        for pool in self.hungry.iter().filter_map(|id| self.pools.get(id)) {
            let next = match pool.breaker.closed_until(now) {
                _ if pool.uncovered() == 0 => continue,
                Some(until) => until,
                None if !pool.wants_instance(now) => now + pool.pace.recheck(),
                None => match self.young.front() {
                    Some((_, since)) => *since + YOUTH,
                    None => continue,
                },
            };
            alarm = Some(alarm.map_or(next, |alarm| alarm.min(next)));
        }
        self.alarm = alarm;
    }

    /// `promised`: it is one of those that were promised, for this reason.
    pub(crate) fn start(
        &mut self,
        id: PoolId,
        promised: Option<&'static str>,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let instance = self.draw_instance();
        let (why, provisioned) = (promised.unwrap_or_else(|| self.why_start(id)), promised.is_some());
        let pool = self.pools.get_mut(&id).expect("candidates exist");
        pool.starting += 1;
        pool.provisioned += usize::from(provisioned);
        let memory_mb = pool.memory_mb();
        self.ledger.live += memory_mb;
        let version = pool.version.clone();
        let (state, calls) = (InstanceState::Starting, VecDeque::new());
        let (since, born, served, closing) = (now, now, 0, None);
        let member = Member { pool: id, state, since, born, served, why, calls, provisioned, closing };
        self.members.insert(instance, member);
        self.young.push_back((instance, now));
        let function = self.functions.get_mut(&version.function).expect("functions with pools are kept");
        function.held_mb += memory_mb;
        self.tenants.get_mut(function.tenant).held_mb += memory_mb;
        function.note_start(&version);
        actions.push(Action::Start { instance, version, provisioned });
    }

    fn why_start(&self, id: PoolId) -> &'static str {
        let pool = &self.pools[&id];
        let function = &self.functions[&pool.version.function];
        if pool.working() > 0 { "all instances busy" } else { function.why_none(&pool.version) }
    }

    /// Ends the longest-idle instances of any function until `mebibytes` are on their way back, but for those that a
    /// poorer one than the claimant has used within the patience. Returns whether it found any.
    fn evict(
        &mut self,
        mebibytes: u64,
        claimant: PoolId,
        call: Waiting,
        now: Moment,
        actions: &mut Vec<Action>,
    ) -> bool {
        let mut freed = 0;
        while freed < mebibytes {
            let claim = self.stand(&self.pools[&claimant], call);
            let spared = |instance: &&InstanceId| {
                let Member { pool, since, .. } = &self.members[*instance];
                let owner = self.stand(&self.pools[pool], call);
                now - *since < self.bounds.patience && owner.poverty(&claim) == Ordering::Less
            };
            let fronts = self.pools.values().filter_map(|pool| pool.idle.front());
            let fronts = fronts.filter(|instance| !self.members[*instance].provisioned);
            let longest = fronts.filter(|instance| !spared(instance));
            let longest = longest.copied().min_by_key(|instance| (self.members[instance].since, *instance));
            let Some(instance) = longest else { break };
            freed += self.pools[&self.members[&instance].pool].memory_mb();
            self.retire_idle(instance, EVICTED, now, actions);
        }
        freed > 0
    }

    /// Whether the pool must give a freed instance's memory to a poorer one, whose call has waited past the patience
    /// and cannot be helped by idle instances.
    pub(crate) fn owes_memory(&self, id: PoolId, now: Moment) -> bool {
        if self.hungry.is_empty() {
            return false;
        }
        let pool = &self.pools[&id];
        let others = self.hungry.iter().filter(|other| **other != id);
        let starved = others.filter_map(|other| Some((&self.pools[other], self.claim(*other, now)?)));
        let poorest = starved.min_by(|(_, one), (_, other)| one.order(other));
        poorest.is_some_and(|(other, claim)| {
            now - claim.call.since >= self.bounds.patience
                && claim.poverty(&self.stand(pool, claim.call)) == Ordering::Less
                && self.ledger.room(self.bounds.memory_mb, other.memory_mb()) == Room::Short
        })
    }
}
