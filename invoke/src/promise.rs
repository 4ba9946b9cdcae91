//! Provisioned instances: so many are promised, and kept whatever happens to each of them. Pure.
//!
//! They are started before anybody calls, never ended for want of use or for others' memory, and replaced when they end.
//! Calls take them first; those beyond them start instances as ever. A promise is of one revision; those of the revision
//! before it serve until they are retired.

use crate::admission::Room;
use crate::answer::InstanceState;
use crate::fleet::{Action, Fleet, TOO_OLD};
use crate::pace::Breaker;
use crate::pool::{InstanceId, PoolId};
use crate::tenants::Function;
use model::{Version, VersionName};
use std::sync::Arc;
use std::time::Duration;
use world::Moment;

/// One that ends by itself so soon after its start counts as a start that failed.
const SHORT_LIFE: Duration = Duration::from_secs(10);

/// What the record of a call says that waited for one.
const WHY: &str = "provisioned";

/// AWS's reason where the function's own code keeps instances from coming up.
const NO_INIT: &str = "FUNCTION_ERROR_INIT_FAILURE";
const NO_MEMORY: &str =
    "the machine has no memory for more (limit machine-memory; what lifts it: dayfly up --memory-percent)";

/// What a version was promised.
#[derive(Debug)]
pub(crate) struct Promise {
    version: Arc<Version>,
    count: usize,
    /// Those that failed to come up or to stay.
    breaker: Breaker,
    short_of_memory: bool,
}

/// How a promise is kept at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provision {
    /// The revision's instances that are on their way up or there.
    pub allocated: u32,
    /// Those that have loaded their code.
    pub available: u32,
    /// What comes of it.
    pub state: ProvisionState,
}

/// What comes of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvisionState {
    /// Instances are being made.
    InProgress,
    /// All are there.
    Ready,
    /// Some cannot be made, for this reason; it is tried again.
    Failed(&'static str),
}

impl Fleet {
    /// From now on, `count` instances of this version are kept; with 0, it has no promise any more.
    pub(crate) fn promise(&mut self, version: &Arc<Version>, count: usize, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        let name = version.name();
        if count == 0 {
            self.promises.remove(&name);
        } else {
            let promise = self.promises.entry(name).or_insert_with(|| Promise {
                version: Arc::clone(version),
                count,
                breaker: Breaker::default(),
                short_of_memory: false,
            });
            if promise.version.revision != version.revision {
                promise.breaker = Breaker::default();
            }
            (promise.version, promise.count) = (Arc::clone(version), count);
        }
        self.release_surplus(version, count);
        self.settle(now, &mut actions);
        actions
    }

    /// How the promise to a version is kept.
    pub(crate) fn provision(&self, name: &VersionName, now: Moment) -> Option<Provision> {
        let promise = self.promises.get(name)?;
        let function = self.functions.get(&name.function);
        let pool = function.and_then(|f| f.pool_of(&self.pools, &promise.version.revision));
        let mine = self.members.values().filter(|member| Some(member.pool) == pool && member.provisioned);
        let (mut allocated, mut available) = (0, 0);
        for member in mine {
            allocated += 1;
            available += u32::from(member.state != InstanceState::Starting);
        }
        let tripped = pool.is_some_and(|id| self.pools[&id].breaker.is_tripped())
            || promise.breaker.is_tripped() && promise.breaker.remembers(now);
        let state = if available as usize >= promise.count {
            ProvisionState::Ready
        } else if tripped {
            ProvisionState::Failed(NO_INIT)
        } else if promise.short_of_memory && allocated == available {
            ProvisionState::Failed(NO_MEMORY)
        } else {
            ProvisionState::InProgress
        };
        Some(Provision { allocated, available, state })
    }

    /// Starts what promises lack, as far as memory and the processor go.
    pub(crate) fn keep_promises(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if self.promises.is_empty() || self.closing {
            return;
        }
        let promises = self.promises.values();
        let promises: Vec<_> =
            promises.map(|promise| (Arc::clone(&promise.version), promise.count)).collect();
        for (version, count) in promises {
            let id = self.pool_for(&version, now);
            while self.pools[&id].provisioned < count && self.may_provision(id, now) {
                let room = self.ledger.room(self.bounds.memory_mb, self.pools[&id].memory_mb());
                if let Room::Evict(mebibytes) = room {
                    self.evict_for_promise(mebibytes, now, actions);
                }
                let promise = self.promises.get_mut(&version.name()).expect("it was listed");
                promise.short_of_memory = room == Room::Short;
                if room != Room::Free {
                    break;
                }
                self.start(id, Some(WHY), now, actions);
            }
        }
    }

    fn may_provision(&self, id: PoolId, now: Moment) -> bool {
        let pool = &self.pools[&id];
        let breakers = [pool.breaker, self.promises[&pool.version.name()].breaker];
        let trusted = |breaker: &Breaker| {
            breaker.closed_until(now).is_none() && !(breaker.is_tripped() && pool.starting > 0)
        };
        pool.starting < self.bounds.starts_at_once
            // Half of the starts are for those who wait.
            && self.young.len() < self.bounds.starts_in_all.div_ceil(2)
            && breakers.iter().all(trusted)
    }

    /// The pool that takes calls of the version, which may have none yet.
    fn pool_for(&mut self, version: &Arc<Version>, now: Moment) -> PoolId {
        let tenant = self.tenants.of(version);
        let known = self.functions.entry(version.function.clone());
        let function = known.or_insert_with(|| Function::new(tenant, version));
        function.last_use = Some(now);
        let open = function.pool_of(&self.pools, &version.revision);
        open.unwrap_or_else(|| self.open_pool(version))
    }

    /// Instances that are kept beyond what is promised become ordinary ones: idle ones first.
    fn release_surplus(&mut self, version: &Version, count: usize) {
        let Some(function) = self.functions.get(&version.function) else { return };
        let open = function.open.iter().copied();
        let mine = open.filter(|id| self.pools[id].version.version == version.version);
        for id in mine.collect::<Vec<_>>() {
            let of_revision = self.pools[&id].version.revision == version.revision;
            let kept = if of_revision || count == 0 { count } else { usize::MAX };
            let mine = self.members.iter().filter(|(_, member)| member.pool == id && member.provisioned);
            let mut mine: Vec<_> = mine.map(|(instance, member)| (member.state, *instance)).collect();
            mine.sort_by_key(|(state, instance)| (*state != InstanceState::Idle, *instance));
            let surplus = mine.len().saturating_sub(kept);
            mine.into_iter().take(surplus).for_each(|(_, instance)| self.release_promised(instance));
        }
    }

    /// A provisioned instance is an ordinary one from now on.
    pub(crate) fn release_promised(&mut self, instance: InstanceId) {
        let member = self.members.get_mut(&instance).expect("instances are released while they exist");
        if !std::mem::replace(&mut member.provisioned, false) {
            return;
        }
        let pool = self.pools.get_mut(&member.pool).expect("pools outlive their instances");
        pool.provisioned -= 1;
        if member.state == InstanceState::Idle {
            self.ledger.idle += pool.memory_mb();
            // Ordinary ones stand before those that are kept.
            pool.idle.retain(|idle| *idle != instance);
            pool.idle.push_front(instance);
        }
    }

    /// One that was promised did not come up, or ended by itself: after a few, others are made ever more rarely.
    pub(crate) fn note_broken(&mut self, instance: InstanceId, now: Moment) {
        let member = &self.members[&instance];
        if !member.provisioned || now - member.born >= SHORT_LIFE {
            return;
        }
        let version = &self.pools[&member.pool].version;
        let promise = self.promises.get_mut(&version.name());
        if let Some(promise) = promise.filter(|promise| promise.version.revision == version.revision) {
            if !promise.breaker.remembers(now) {
                promise.breaker.started();
            }
            promise.breaker.failed(now);
        }
    }

    /// Ends those that are too old for another call, one at a time; others take their place.
    pub(crate) fn renew_promised(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let idle = self.members.iter().filter(|(_, member)| member.state == InstanceState::Idle);
        let old = idle.filter(|(id, member)| member.provisioned && self.is_old(**id, now));
        if let Some(instance) = old.map(|(id, _)| *id).min() {
            self.retire_idle(instance, TOO_OLD, now, actions);
        }
    }

    /// Ends the longest-idle ordinary instances until `mebibytes` are on their way back.
    fn evict_for_promise(&mut self, mebibytes: u64, now: Moment, actions: &mut Vec<Action>) {
        let mut freed = 0;
        while freed < mebibytes {
            let fronts = self.pools.values().filter_map(|pool| pool.idle.front());
            let ordinary = fronts.filter(|instance| !self.members[instance].provisioned);
            let longest = ordinary.min_by_key(|instance| (self.members[instance].since, **instance));
            let Some(instance) = longest.copied() else { return };
            freed += self.pools[&self.members[&instance].pool].memory_mb();
            self.retire_idle(instance, crate::fleet::EVICTED, now, actions);
        }
    }
}
