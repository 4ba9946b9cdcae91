//! Who shares the machine: tenants, each an account with its own concurrency, and their functions. Pure.

use crate::pool::{Pool, PoolId};
use model::{FunctionName, Version};
use std::collections::HashMap;
use std::time::Duration;
use world::Moment;

/// Who has called within this time is taken to call again.
const PRESENCE: Duration = Duration::from_secs(60);

/// A tenant inside the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TenantId(usize);

/// What one account has at this moment.
#[derive(Debug, Default)]
pub(crate) struct Tenant {
    account: String,
    /// Calls waiting and running, of functions that have none reserved.
    pub(crate) in_flight: u32,
    /// Calls that are reserved for functions, whether they are made or not.
    pub(crate) reserved: u32,
    /// Mebibytes of its instances, but for those being ended.
    pub(crate) held_mb: u64,
    /// The function that asked last, let in or not, and when.
    last: Option<(FunctionName, Moment)>,
    /// When any other asked last.
    others: Option<Moment>,
}

impl Tenant {
    /// A function asks to be called. Says whether it is alone: no other asked lately, nor has one calls in flight
    /// beside its own `held`.
    pub(crate) fn ask(&mut self, function: &FunctionName, held: u32, now: Moment) -> bool {
        match &mut self.last {
            Some((last, at)) if last == function => *at = now,
            last => {
                self.others = last.replace((function.clone(), now)).map(|(_, at)| at);
            }
        }
        self.in_flight == held && self.others.is_none_or(|others| now - others >= PRESENCE)
    }
}

/// All tenants that ever called. An account is a few words, and who makes accounts is the owner of the machine.
#[derive(Debug, Default)]
pub(crate) struct Tenants(Vec<Tenant>);

impl Tenant {
    /// Calls that functions without reservation cannot make any more.
    pub(crate) fn taken(&self) -> u32 {
        self.in_flight.saturating_add(self.reserved)
    }
}

impl Tenants {
    /// The tenant whose function it is.
    pub(crate) fn of(&mut self, version: &Version) -> TenantId {
        let account = version.arn.split(':').nth(4).unwrap_or_default();
        let known = self.0.iter().position(|tenant| tenant.account == account);
        TenantId(known.unwrap_or_else(|| {
            self.0.push(Tenant { account: account.into(), ..Tenant::default() });
            self.0.len() - 1
        }))
    }

    pub(crate) fn get(&self, id: TenantId) -> &Tenant {
        &self.0[id.0]
    }

    pub(crate) fn get_mut(&mut self, id: TenantId) -> &mut Tenant {
        &mut self.0[id.0]
    }

    /// Calls of all tenants, waiting and running.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> u32 {
        self.0.iter().map(|tenant| tenant.in_flight).sum()
    }
}

/// What is remembered of a version's last instance.
#[derive(Debug)]
struct Last {
    version: String,
    revision: String,
    /// Why and when the last one that ended did.
    end: Option<(&'static str, Moment)>,
}

/// What is remembered of a function while it has instances, and for an hour after.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) tenant: TenantId,
    /// What it counts for when there is not enough for all.
    pub(crate) weight: u32,
    /// Calls waiting and running.
    pub(crate) in_flight: u32,
    /// Whether its calls count as those that are reserved for it.
    pub(crate) reserved: bool,
    /// Mebibytes of its instances, but for those being ended.
    pub(crate) held_mb: u64,
    /// Pools that take calls.
    pub(crate) open: Vec<PoolId>,
    /// The last instance of each version that had one.
    last: Vec<Last>,
    pub(crate) last_use: Option<Moment>,
}

impl Function {
    pub(crate) fn new(tenant: TenantId, version: &Version) -> Self {
        Self {
            tenant,
            weight: version.weight,
            in_flight: 0,
            reserved: version.concurrency.is_some(),
            held_mb: 0,
            open: Vec::new(),
            last: Vec::new(),
            last_use: None,
        }
    }

    /// An instance of the version begins to start.
    pub(crate) fn note_start(&mut self, version: &Version) {
        match self.last.iter_mut().find(|last| last.version == version.version) {
            Some(last) => last.revision.clone_from(&version.revision),
            None => {
                let (version, revision) = (version.version.clone(), version.revision.clone());
                // There is seldom another.
                self.last.reserve_exact(1);
                self.last.push(Last { version, revision, end: None });
            }
        }
    }

    /// An instance of the version ends.
    pub(crate) fn note_end(&mut self, version: &Version, end: &'static str, now: Moment) {
        if let Some(last) = self.last.iter_mut().find(|last| last.version == version.version) {
            last.end = Some((end, now));
        }
    }

    /// Forgets the versions that are not to be kept, going by when an instance of theirs ended last.
    pub(crate) fn keep_versions(&mut self, keep: impl Fn(&str, Option<Moment>) -> bool) {
        self.last.retain(|last| keep(&last.version, last.end.map(|(_, at)| at)));
    }

    /// Why there is no instance of the version.
    pub(crate) fn why_none(&self, version: &Version) -> &'static str {
        match self.last.iter().find(|last| last.version == version.version) {
            Some(last) if last.revision != version.revision => "new revision",
            Some(Last { end: Some((end, _)), .. }) => end,
            _ => "first instance",
        }
    }

    /// The pool that takes calls of this revision.
    pub(crate) fn pool_of(&self, pools: &HashMap<PoolId, Pool>, revision: &str) -> Option<PoolId> {
        self.open.iter().copied().find(|id| pools[id].version.revision == revision)
    }
}
