//! The fleet under every order of events that chance finds: what must hold, holds after each.

use crate::admission::Bounds;
use crate::answer::{InstanceState, Refused};
use crate::fleet::{Action, Fleet, Source};
use crate::pool::{InstanceId, RequestId, Waiting, version};
use model::Version;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use world::Moment;

const BOUNDS: Bounds = Bounds {
    memory_mb: 1000,
    account_concurrency: 24,
    queue_length: 10,
    queue_wait: Duration::from_secs(30),
    idle_timeout: Duration::from_secs(300),
    starts_at_once: 4,
    starts_in_all: 8,
    instance_age: Duration::from_secs(7200),
    patience: Duration::from_secs(1),
};

/// What an instance of the simulated world does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Life {
    Starting,
    Idle,
    /// Never none.
    Serving(Vec<RequestId>),
    Ending,
}

/// Stands for callers and instances, and checks every action against what they know.
struct Simulation {
    fleet: Fleet,
    now: Moment,
    waiting: BTreeMap<RequestId, Arc<Version>>,
    arrived: BTreeMap<RequestId, Moment>,
    instances: BTreeMap<InstanceId, (Arc<Version>, Life)>,
    /// Those that take no more calls, whatever the fleet thinks.
    broken: BTreeSet<InstanceId>,
    accepted: usize,
    ended: usize,
}

#[derive(Debug, Clone)]
enum Op {
    Request { function: u8, revision: u8 },
    Withdraw(usize),
    Started(usize),
    StartFailed(usize),
    Freed(usize, bool),
    Lost(usize),
    HandedBack(usize),
    Gone(usize),
    Tick(u64),
    Retire { function: u8, keep: Option<u8> },
    Promise(u8, u8, usize),
}

/// Four functions; the second is large, the third has a concurrency of two, instances of the fourth serve three calls.
fn shape(function: u8, revision: u8) -> Arc<Version> {
    let (name, memory_mb) =
        [("small", 128), ("large", 700), ("few", 200), ("shared", 150)][usize::from(function % 4)];
    let mut made = Version::clone(&version(name, &revision.to_string(), memory_mb));
    made.concurrency = (name == "few").then_some(2);
    made.instance_concurrency = if name == "shared" { 3 } else { 1 };
    Arc::new(made)
}

impl Simulation {
    fn new() -> Self {
        Self {
            fleet: Fleet::new(BOUNDS),
            now: Moment(0),
            waiting: BTreeMap::new(),
            arrived: BTreeMap::new(),
            instances: BTreeMap::new(),
            broken: BTreeSet::new(),
            accepted: 0,
            ended: 0,
        }
    }

    fn request(&mut self, version: &Arc<Version>) -> Option<RequestId> {
        match self.fleet.request(version, self.now) {
            Ok((request, actions)) => {
                self.accepted += 1;
                self.waiting.insert(request, version.clone());
                self.arrived.insert(request, self.now);
                self.obey(actions);
                Some(request)
            }
            Err(Refused::Throttled { .. }) => None,
            Err(other) => panic!("{other}"),
        }
    }

    fn act(&mut self, event: impl FnOnce(&mut Fleet, Moment) -> Vec<Action>) {
        let actions = event(&mut self.fleet, self.now);
        self.obey(actions);
    }

    fn obey(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start { instance, version, .. } => {
                    assert!(self.instances.insert(instance, (version, Life::Starting)).is_none());
                }
                Action::Assign { instance, request, source } => {
                    let wanted = self.waiting.remove(&request).expect("only waiting calls are assigned");
                    let (version, life) = self.instances.get_mut(&instance).expect("it exists");
                    assert_eq!(wanted.function, version.function, "calls stay in their function");
                    assert_eq!(wanted.revision, version.revision, "and in their revision");
                    assert!(!self.broken.contains(&instance), "it takes no more calls");
                    let slots = version.instance_concurrency as usize;
                    let right = match (source, &mut *life) {
                        (Source::New(_), Life::Starting) => true,
                        (Source::Idle | Source::Spare | Source::Freed | Source::Provisioned, Life::Idle) => {
                            true
                        }
                        (Source::Shared | Source::Freed, Life::Serving(calls)) => calls.len() < slots,
                        _ => false,
                    };
                    assert!(right, "{source:?} {life:?}");
                    match life {
                        Life::Serving(calls) => calls.push(request),
                        life => *life = Life::Serving(vec![request]),
                    }
                }
                Action::Retire { instance } => {
                    let life = &mut self.instances.get_mut(&instance).expect("it exists").1;
                    assert!(matches!(life, Life::Idle | Life::Starting), "{life:?} is not retired");
                    *life = Life::Ending;
                }
                Action::Refuse { request, .. } | Action::Fail { request } => {
                    self.waiting.remove(&request).expect("only waiting calls are refused or failed");
                    self.ended += 1;
                }
            }
        }
    }

    fn pick(&self, index: usize, wanted: impl Fn(&Life) -> bool) -> Option<InstanceId> {
        let found: Vec<_> =
            self.instances.iter().filter(|(_, (_, life))| wanted(life)).map(|(id, _)| *id).collect();
        (!found.is_empty()).then(|| found[index % found.len()])
    }

    /// Takes the oldest call off an instance.
    fn finish(&mut self, id: InstanceId, reusable: bool) -> RequestId {
        let Life::Serving(mut calls) = self.instances[&id].1.clone() else { panic!("it serves") };
        let request = calls.remove(0);
        if !reusable {
            self.broken.insert(id);
        }
        let life = match (calls.is_empty(), reusable) {
            (true, true) => Life::Idle,
            (true, false) => Life::Ending,
            (false, _) => Life::Serving(calls),
        };
        self.set(id, life);
        request
    }

    fn set(&mut self, id: InstanceId, life: Life) {
        self.instances.get_mut(&id).expect("it was picked").1 = life;
    }

    /// What instances do.
    fn live(&mut self, op: &Op) {
        let now = self.now;
        match *op {
            Op::Started(index) => {
                let Some(id) = self.pick(index, |life| *life == Life::Starting) else { return };
                let actions = self.fleet.started(id, now);
                self.obey(actions);
                if self.instances[&id].1 == Life::Starting {
                    self.set(id, Life::Idle);
                }
            }
            Op::StartFailed(index) => {
                let Some(id) = self.pick(index, |life| *life == Life::Starting) else { return };
                self.set(id, Life::Ending);
                self.act(|fleet, now| fleet.start_failed(id, true, now));
            }
            Op::Freed(index, reusable) => {
                let Some(id) = self.pick(index, |life| matches!(life, Life::Serving(_))) else { return };
                self.ended += 1;
                self.finish(id, reusable);
                self.act(|fleet, now| fleet.freed(id, reusable, now));
            }
            Op::Lost(index) => {
                let Some(id) = self.pick(index, |life| matches!(life, Life::Idle | Life::Serving(_))) else {
                    return;
                };
                let mut untaken = Vec::new();
                if let (version, Life::Serving(calls)) = self.instances[&id].clone() {
                    for request in calls {
                        self.waiting.insert(request, version.clone());
                        untaken.push(Waiting { request, since: self.arrived[&request] });
                    }
                }
                self.set(id, Life::Ending);
                self.act(|fleet, now| fleet.lost(id, &untaken, now));
            }
            Op::HandedBack(index) => {
                let Some(id) = self.pick(index, |life| matches!(life, Life::Serving(_))) else { return };
                let version = self.instances[&id].0.clone();
                let request = self.finish(id, false);
                self.waiting.insert(request, version);
                let call = Waiting { request, since: self.arrived[&request] };
                self.act(|fleet, now| fleet.handed_back(id, call, now));
            }
            Op::Gone(index) => {
                let Some(id) = self.pick(index, |life| *life == Life::Ending) else { return };
                self.instances.remove(&id);
                self.act(|fleet, now| fleet.gone(id, now));
            }
            _ => {}
        }
    }

    fn step(&mut self, op: &Op) {
        self.now = self.now + Duration::from_millis(1);
        let now = self.now;
        match *op {
            Op::Request { function, revision } => {
                self.request(&shape(function, revision));
            }
            Op::Withdraw(index) => {
                let Some(request) = self.waiting.keys().nth(index % self.waiting.len().max(1)).copied()
                else {
                    return;
                };
                self.waiting.remove(&request);
                self.ended += 1;
                self.act(|fleet, now| fleet.withdraw(request, now));
            }
            Op::Tick(ms) => {
                self.now = now + Duration::from_millis(ms);
                self.act(Fleet::tick);
            }
            Op::Retire { function, keep } => {
                let keep = keep.map(|keep| keep.to_string());
                self.act(|fleet, now| fleet.retire(&shape(function, 0).name(), keep.as_deref(), now));
            }
            Op::Promise(function, revision, count) => {
                self.act(|fleet, now| fleet.promise(&shape(function, revision), count, now));
            }
            _ => self.live(op),
        }
        self.check();
    }

    fn check(&self) {
        let count = |of: fn(&Life) -> usize| self.instances.values().map(|(_, life)| of(life)).sum::<usize>();
        let running = count(|life| if let Life::Serving(calls) = life { calls.len() } else { 0 });
        assert_eq!(self.accepted, self.ended + running + self.waiting.len(), "no call is lost or doubled");
        let live: u64 = self.instances.values().map(|(version, _)| u64::from(version.memory_mb)).sum();
        assert_eq!(self.fleet.ledger.live, live);
        assert!(live <= BOUNDS.memory_mb, "{live} MB");
        assert!(self.fleet.tenants.in_flight() <= BOUNDS.account_concurrency);
        let reserved = self.fleet.functions.get(&shape(2, 0).function).map_or(0, |few| few.in_flight);
        assert_eq!((self.fleet.tenants.in_flight() + reserved) as usize, running + self.waiting.len());
        for (id, (_, life)) in &self.instances {
            let state = self.fleet.members[id].state;
            let same = match life {
                Life::Starting => InstanceState::Starting,
                Life::Idle => InstanceState::Idle,
                Life::Serving(_) => InstanceState::Busy,
                Life::Ending => InstanceState::Ending,
            };
            assert_eq!(state, same);
        }
        let few = self.fleet.functions.get(&shape(2, 0).function);
        assert!(few.is_none_or(|f| f.in_flight <= 2), "reserved concurrency");
        for pool in self.fleet.pools.values() {
            assert!(pool.waiting.is_empty() || pool.idle.is_empty(), "nobody waits beside an idle instance");
            assert!(pool.waiting.is_empty() || pool.roomy.is_empty(), "nor beside one that has room");
            assert!(pool.waiting.is_empty() || pool.waiting.len() <= BOUNDS.queue_length + 1);
            assert!(pool.starting <= BOUNDS.starts_at_once);
            let sorted = pool.waiting.iter().is_sorted_by_key(|w| (w.since, w.request));
            assert!(sorted, "first come, first served");
        }
        let members = self.fleet.members.values().map(|member| (member, &self.fleet.pools[&member.pool]));
        let free = members.clone().filter(|(m, _)| m.state == InstanceState::Idle && !m.provisioned);
        assert_eq!(self.fleet.ledger.idle, free.map(|(_, pool)| pool.memory_mb()).sum::<u64>());
        let kept = members.filter(|(member, _)| member.provisioned).count();
        assert_eq!(kept, self.fleet.pools.values().map(|pool| pool.provisioned).sum::<usize>());
    }

    /// Lets everything that is under way come to its end, fairly, and time pass.
    fn settle(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for op in [Op::Started(0), Op::Freed(0, true), Op::Gone(0), Op::Tick(20)] {
                self.step(&op);
            }
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..4u8, 0..2u8).prop_map(|(function, revision)| Op::Request { function, revision }),
        1 => any::<usize>().prop_map(Op::Withdraw),
        5 => any::<usize>().prop_map(Op::Started),
        1 => any::<usize>().prop_map(Op::StartFailed),
        6 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(i, reusable)| Op::Freed(i, reusable)),
        1 => any::<usize>().prop_map(Op::Lost),
        1 => any::<usize>().prop_map(Op::HandedBack),
        4 => any::<usize>().prop_map(Op::Gone),
        2 => (0..40_000u64).prop_map(Op::Tick),
        1 => (0..4u8, prop::option::of(0..2u8)).prop_map(|(function, keep)| Op::Retire { function, keep }),
        1 => (0..4u8, 0..2u8, 0..3usize).prop_map(|(f, revision, count)| Op::Promise(f, revision, count)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_a_promise(ops in prop::collection::vec(op(), 1..250)) {
        let mut simulation = Simulation::new();
        for op in &ops {
            simulation.step(op);
        }
        (0..4).for_each(|function| simulation.step(&Op::Promise(function, 0, 0)));
        simulation.settle(200);
        prop_assert!(simulation.waiting.is_empty(), "{:?} starve", simulation.waiting.keys());
        prop_assert_eq!(simulation.accepted, simulation.ended);
        simulation.step(&Op::Tick(300_000));
        simulation.settle(40);
        simulation.step(&Op::Tick(3_600_000));
        prop_assert!(simulation.instances.is_empty(), "scaled to zero");
        prop_assert!(simulation.fleet.pools.is_empty() && simulation.fleet.functions.is_empty());
        prop_assert_eq!(simulation.fleet.ledger, crate::admission::Ledger::default());
    }
}

/// Runs `ops` and tells every source of an assignment and every start, in order.
fn told(simulation: &mut Simulation, actions: Vec<Action>) -> Vec<String> {
    let tell = |action: &Action| match action {
        Action::Start { instance, .. } => format!("start {}", simulation.fleet.members[instance].why),
        Action::Assign { source, .. } => format!("assign {source:?}"),
        Action::Retire { .. } => "retire".into(),
        Action::Refuse { .. } => "refuse".into(),
        Action::Fail { .. } => "fail".into(),
    };
    let told = actions.iter().map(tell).collect();
    simulation.obey(actions);
    told
}

#[test]
fn a_waiting_call_takes_whichever_comes_first() {
    let mut s = Simulation::new();
    let one = shape(0, 0);
    s.request(&one);
    s.step(&Op::Started(0));
    s.request(&one);
    let busy = s.pick(0, |life| matches!(life, Life::Serving(_))).unwrap();
    let starting = s.pick(0, |life| *life == Life::Starting).unwrap();
    s.set(busy, Life::Idle);
    s.ended += 1;
    let actions = s.fleet.freed(busy, true, s.now);
    assert_eq!(told(&mut s, actions), ["assign Freed"]);
    let actions = s.fleet.started(starting, s.now);
    assert_eq!(told(&mut s, actions), [""; 0]);
    s.set(starting, Life::Idle);
    let (_, actions) = s.fleet.request(&one, s.now).unwrap();
    assert!(matches!(actions[..], [Action::Assign { source: Source::Spare, .. }]), "{actions:?}");
}

#[test]
fn every_start_says_why() {
    let mut s = Simulation::new();
    let start = |s: &mut Simulation, function, revision| {
        let version = shape(function, revision);
        let (request, actions) = s.fleet.request(&version, s.now).unwrap();
        s.waiting.insert(request, version);
        s.accepted += 1;
        told(s, actions)
    };
    assert_eq!(start(&mut s, 0, 0), ["start first instance"]);
    assert_eq!(start(&mut s, 0, 0), ["start all instances busy"]);
    assert_eq!(start(&mut s, 0, 1), ["start new revision"]);
    s.settle(10);
    s.step(&Op::Tick(300_000));
    s.settle(10);
    assert_eq!(start(&mut s, 0, 1), ["start unused for the idle timeout"]);
    s.step(&Op::Started(0));
    s.step(&Op::Freed(0, false));
    s.step(&Op::Gone(0));
    assert_eq!(start(&mut s, 0, 1), ["start the last instance failed"]);
    s.settle(5);
    s.step(&Op::Retire { function: 0, keep: None });
    assert_eq!(start(&mut s, 0, 1), ["start replaced or retired"]);
}

#[test]
fn memory_comes_from_the_longest_idle_of_any_function() {
    let mut s = Simulation::new();
    for _ in 0..3 {
        s.request(&shape(0, 0));
    }
    s.settle(5);
    s.request(&shape(2, 0));
    s.settle(2);
    let before: Vec<_> = s.instances.keys().copied().collect();
    assert_eq!(before.len(), 4, "584 MB are held by idle instances");
    s.request(&shape(1, 0));
    let ending: Vec<_> =
        s.instances.iter().filter(|(_, (_, l))| *l == Life::Ending).map(|(id, _)| *id).collect();
    assert_eq!(ending, before[..3], "384 MB make room for 700: the three longest idle, and no more");
    s.settle(5);
    assert!(s.waiting.is_empty());
}

#[test]
fn a_large_function_is_not_starved_by_a_busy_small_one() {
    let mut s = Simulation::new();
    for _ in 0..7 {
        s.request(&shape(0, 0));
    }
    for _ in 0..7 {
        s.step(&Op::Started(0));
    }
    let large = s.request(&shape(1, 0)).expect("it is let in");
    let mut rounds = 0;
    while s.waiting.contains_key(&large) {
        s.request(&shape(0, 0));
        s.step(&Op::Freed(rounds, true));
        s.step(&Op::Started(0));
        s.step(&Op::Gone(0));
        s.step(&Op::Tick(50));
        rounds += 1;
        assert!(rounds < 200, "it waits for ever");
    }
    assert!(s.now.0 > 1_000_000, "the small one keeps its instances for the patience");
}

#[test]
fn code_that_cannot_be_loaded_fails_a_thousand_calls_with_few_starts() {
    let mut fleet =
        Fleet::new(Bounds { account_concurrency: 5000, queue_length: 5000, memory_mb: 100_000, ..BOUNDS });
    let one = shape(0, 0);
    let mut starts = Vec::new();
    for _ in 0..1000 {
        let (_, actions) = fleet.request(&one, Moment(0)).unwrap();
        starts.extend(actions);
    }
    assert_eq!(starts.len(), 4, "starts are bounded");
    let Action::Start { instance, .. } = starts[0] else { panic!("{:?}", starts[0]) };
    let actions = fleet.start_failed(instance, true, Moment(1));
    let failed = actions.iter().filter(|a| matches!(a, Action::Fail { .. })).count();
    assert_eq!((failed, actions.len()), (997, 997), "all but those that the other three starts will answer");
}

#[test]
fn closing_serves_what_waits_and_takes_nothing_new() {
    let mut s = Simulation::new();
    for function in [0, 0, 2] {
        s.request(&shape(function, 0));
    }
    s.step(&Op::Started(0));
    let actions = s.fleet.close(s.now);
    s.obey(actions);
    assert_eq!(s.fleet.request(&shape(0, 0), s.now).unwrap_err(), Refused::ShuttingDown);
    s.settle(10);
    assert_eq!((s.accepted, s.ended, s.instances.len()), (3, 3, 0));
    let mut s = Simulation::new();
    s.request(&shape(0, 0));
    s.fleet.close(s.now);
    let actions = s.fleet.abandon();
    assert!(matches!(actions[..], [Action::Refuse { refused: Refused::ShuttingDown, .. }]), "{actions:?}");
}

#[test]
fn an_old_instance_gets_no_more_calls() {
    let mut s = Simulation::new();
    s.request(&shape(0, 0));
    s.settle(2);
    for _ in 0..29 {
        s.now = s.now + Duration::from_secs(240);
        s.request(&shape(0, 0));
        s.settle(2);
        assert_eq!(s.instances.len(), 1, "it is kept busy enough to be kept");
    }
    let old = *s.instances.keys().next().unwrap();
    s.now = s.now + Duration::from_secs(240);
    let young = s.request(&shape(0, 0)).unwrap();
    assert_eq!(s.instances[&old].1, Life::Ending);
    assert!(s.waiting.contains_key(&young));
    s.settle(3);
    assert!(s.waiting.is_empty() && !s.instances.contains_key(&old));
}
