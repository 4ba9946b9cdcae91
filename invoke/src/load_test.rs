//! The fleet under load, in simulated time: security checks 128 to 140, as far as the fleet decides them.

use crate::admission::Bounds;
use crate::answer::Refused;
use crate::fleet::{Action, Fleet, Source};
use crate::pool::{InstanceId, RequestId, version};
use model::Version;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use world::Moment;

const BOUNDS: Bounds = Bounds {
    memory_mb: 1280,
    account_concurrency: 1000,
    queue_length: 1000,
    queue_wait: Duration::from_secs(30),
    idle_timeout: Duration::from_secs(300),
    starts_at_once: 8,
    starts_in_all: 8,
    instance_age: Duration::from_secs(43_200),
    patience: Duration::from_secs(1),
};

/// How a function behaves.
#[derive(Debug, Clone, Copy)]
struct Manner {
    /// From start to ready; 0: its init fails after 5 ms.
    start_us: u64,
    call_us: u64,
}

const QUICK: Manner = Manner { start_us: 20_000, call_us: 1_000 };
const SLEEPER: Manner = Manner { start_us: 20_000, call_us: 30_000_000 };
const CRASHER: Manner = Manner { start_us: 0, call_us: 0 };
const FAILING_US: u64 = 5_000;

#[derive(Debug, Clone, Copy)]
enum Next {
    Started(InstanceId),
    StartFailed(InstanceId),
    Freed(InstanceId),
    Gone(InstanceId),
}

/// A call's way, in microseconds of simulated time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Served { waited_us: u64 },
    Failed,
    Refused(Refused),
}

/// Plays functions of given manners against the fleet.
struct Scene {
    fleet: Fleet,
    now: Moment,
    manners: HashMap<String, Manner>,
    due: BTreeMap<(u64, u64), Next>,
    drawn: u64,
    calls: BTreeMap<RequestId, (String, Moment)>,
    fates: BTreeMap<String, Vec<Fate>>,
    starts: HashMap<String, u32>,
    starting: u32,
    most_starting: u32,
    instances: HashMap<InstanceId, Arc<Version>>,
}

impl Scene {
    fn new(bounds: Bounds) -> Self {
        Self {
            fleet: Fleet::new(bounds),
            now: Moment(0),
            manners: HashMap::new(),
            due: BTreeMap::new(),
            drawn: 0,
            calls: BTreeMap::new(),
            fates: BTreeMap::new(),
            starts: HashMap::new(),
            starting: 0,
            most_starting: 0,
            instances: HashMap::new(),
        }
    }

    fn call(&mut self, version: &Arc<Version>, manner: Manner) {
        let name = version.function.to_string();
        self.manners.insert(name.clone(), manner);
        match self.fleet.request(version, self.now) {
            Ok((request, actions)) => {
                self.calls.insert(request, (name, self.now));
                self.obey(actions);
            }
            Err(refused) => self.fates.entry(name).or_default().push(Fate::Refused(refused)),
        }
    }

    fn end(&mut self, request: RequestId, fate: impl FnOnce(u64) -> Fate) {
        let (name, since) = self.calls.remove(&request).expect("each call ends once");
        let waited_us = u64::try_from((self.now - since).as_micros()).unwrap();
        self.fates.entry(name).or_default().push(fate(waited_us));
    }

    fn later(&mut self, us: u64, next: Next) {
        self.drawn += 1;
        self.due.insert((self.now.0 + us, self.drawn), next);
    }

    fn obey(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start { instance, version, .. } => {
                    let name = version.function.to_string();
                    let manner = self.manners[&name];
                    *self.starts.entry(name).or_default() += 1;
                    self.starting += 1;
                    self.most_starting = self.most_starting.max(self.starting);
                    self.instances.insert(instance, version);
                    match manner.start_us {
                        0 => self.later(FAILING_US, Next::StartFailed(instance)),
                        us => self.later(us, Next::Started(instance)),
                    }
                }
                Action::Assign { instance, request, source } => {
                    let manner = self.manners[self.instances[&instance].function.as_str()];
                    assert!(
                        !matches!(source, Source::Shared)
                            || self.instances[&instance].instance_concurrency > 1
                    );
                    self.end(request, |waited_us| Fate::Served { waited_us });
                    self.later(manner.call_us, Next::Freed(instance));
                }
                Action::Retire { instance } => self.later(1_000, Next::Gone(instance)),
                Action::Refuse { request, refused } => self.end(request, |_| Fate::Refused(refused)),
                Action::Fail { request } => self.end(request, |_| Fate::Failed),
            }
        }
    }

    /// Lets everything happen that is due until then, ticks and alarms included.
    fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            let tick = (self.now.0 / 1_000_000 + 1) * 1_000_000;
            let alarm = self.fleet.alarm.map_or(u64::MAX, |alarm| alarm.0.max(self.now.0));
            let next = self.due.first_key_value().map_or(u64::MAX, |((at, _), _)| *at);
            let at = next.min(alarm).min(tick);
            if at > until.0 {
                self.now = until;
                return;
            }
            self.now = Moment(at);
            let actions = if next == at {
                let (_, next) = self.due.pop_first().expect("it is the first");
                self.happen(next)
            } else if alarm == at {
                self.fleet.look_again(self.now)
            } else {
                self.fleet.tick(self.now)
            };
            self.obey(actions);
        }
    }

    fn happen(&mut self, next: Next) -> Vec<Action> {
        match next {
            Next::Started(instance) => {
                self.starting -= 1;
                self.fleet.started(instance, self.now)
            }
            Next::StartFailed(instance) => {
                self.starting -= 1;
                self.later(1_000, Next::Gone(instance));
                self.fleet.start_failed(instance, true, self.now)
            }
            Next::Freed(instance) => self.fleet.freed(instance, true, self.now),
            Next::Gone(instance) => self.fleet.gone(instance, self.now),
        }
    }

    fn waits_us(&self, name: &str) -> Vec<u64> {
        let served = |fate: &Fate| match fate {
            Fate::Served { waited_us } => Some(*waited_us),
            _ => None,
        };
        self.fates.get(name).into_iter().flatten().filter_map(served).collect()
    }

    fn refusals(&self, name: &str) -> Vec<(&'static str, &'static str, u32)> {
        let refused = |fate: &Fate| match fate {
            Fate::Refused(Refused::Throttled { reason, limit, retry_after_s, .. }) => {
                Some((*reason, *limit, *retry_after_s))
            }
            _ => None,
        };
        self.fates.get(name).into_iter().flatten().filter_map(refused).collect()
    }
}

fn small(name: &str) -> Arc<Version> {
    version(name, "1", 128)
}

/// Ten times as much as ten instances can serve: they are kept busy, the rest is told to come back, and all is well
/// again when it is over.
#[test]
fn check_128_ten_times_the_load() {
    let mut scene = Scene::new(Bounds { queue_length: 100, ..BOUNDS });
    let (one, manner) = (small("one"), Manner { start_us: 20_000, call_us: 100_000 });
    // Nine instances (the tenth is for others) of 100 ms each serve 90 calls a second; 1,000 a second come for ten.
    for _ in 0..10_000 {
        scene.call(&one, manner);
        scene.pass(Duration::from_millis(1));
    }
    let served = scene.waits_us("one").len();
    assert!(served >= 860, "{served} of the 900 that could be served");
    let refusals = scene.refusals("one");
    assert!(refusals.iter().all(|r| *r == ("ConcurrentInvocationLimitExceeded", "queue-length", 1)));
    assert!(scene.waits_us("one").iter().all(|us| *us <= 1_200_000), "the queue is short");
    scene.pass(Duration::from_secs(5));
    scene.fates.clear();
    scene.call(&one, manner);
    assert_eq!(scene.waits_us("one"), [0], "normal again");
}

#[test]
fn check_129_a_cold_herd() {
    let mut scene = Scene::new(Bounds { account_concurrency: 5000, memory_mb: 1 << 20, ..BOUNDS });
    let one = small("one");
    for _ in 0..1000 {
        scene.call(&one, QUICK);
    }
    scene.pass(Duration::from_secs(2));
    assert_eq!((scene.waits_us("one").len(), scene.refusals("one").len()), (1000, 0));
    assert!(scene.most_starting <= 4, "one function takes half of the starts");
    assert!((2..=64).contains(&scene.starts["one"]), "{:?} instances for 1,000 calls", scene.starts);

    let mut scene = Scene::new(Bounds { account_concurrency: 5000, memory_mb: 1 << 20, ..BOUNDS });
    let many: Vec<_> = (0..500).map(|n| small(&format!("f{n}"))).collect();
    many.iter().for_each(|version| scene.call(version, QUICK));
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.most_starting, 8, "two cores do not start 500 at once");
    assert!(many.iter().all(|version| scene.waits_us(version.function.as_str()).len() == 1));
}

#[test]
fn check_130_a_herd_whose_init_fails() {
    let mut scene = Scene::new(BOUNDS);
    let (bad, good) = (small("bad"), small("good"));
    for ms in 0..10_000 {
        scene.call(&bad, CRASHER);
        if ms % 50 == 0 {
            scene.call(&good, QUICK);
        }
        scene.pass(Duration::from_millis(1));
    }
    scene.pass(Duration::from_secs(1));
    let starts = scene.starts["bad"];
    assert!(starts <= 12, "{starts} starts for 10,000 calls");
    let refusals = scene.refusals("bad");
    assert!(refusals.len() > 9_000, "{}", refusals.len());
    assert!(refusals.iter().all(|(reason, limit, wait)| {
        (*reason, *limit) == ("FunctionInvocationRateLimitExceeded", "failed-starts")
            && (1..=8).contains(wait)
    }));
    assert!(scene.fates["bad"].contains(&Fate::Failed), "the others hear how it failed");
    assert!(scene.calls.is_empty(), "nobody is left waiting");
    let waits = scene.waits_us("good");
    assert_eq!(waits.len(), 200);
    assert!(
        waits.iter().all(|us| *us <= 30_000),
        "a bystander waits for its own start only: {:?}",
        waits.iter().max()
    );
}

/// A start that hangs takes no room from others for longer than a second.
#[test]
fn check_130_inits_that_hang() {
    let mut scene = Scene::new(Bounds { memory_mb: 1 << 20, ..BOUNDS });
    let hanging = Manner { start_us: 60_000_000, call_us: 1_000 };
    let hangers: Vec<_> = (0..20).map(|n| small(&format!("h{n}"))).collect();
    for version in &hangers {
        (0..10).for_each(|_| scene.call(version, hanging));
    }
    scene.call(&small("good"), QUICK);
    scene.pass(Duration::from_secs(4));
    let waits = scene.waits_us("good");
    assert!(waits.len() == 1 && waits[0] < 3_100_000, "{waits:?}");
}

#[test]
fn check_131_a_function_full_of_sleepers() {
    let mut scene = Scene::new(BOUNDS);
    let (sleeper, good) = (small("sleeper"), small("good"));
    scene.call(&good, QUICK);
    scene.pass(Duration::from_millis(100));
    // More than its nine instances can serve before the end of time.
    (0..900).for_each(|_| scene.call(&sleeper, SLEEPER));
    for _ in 0..400 {
        scene.pass(Duration::from_millis(50));
        scene.call(&good, QUICK);
    }
    scene.pass(Duration::from_secs(1));
    let waits = scene.waits_us("good");
    assert_eq!((waits.len(), scene.refusals("good").len()), (401, 0));
    assert!(waits[1..].iter().all(|us| *us <= 20_000), "{:?}", waits.iter().max());
    // One that comes only now finds room in the account, and memory when the first sleeper ends.
    scene.call(&small("late"), QUICK);
    scene.pass(Duration::from_secs(12));
    assert_eq!(scene.waits_us("late").len(), 1, "{:?}", scene.fates.get("late"));
}

#[test]
fn check_131_one_stuck_call_does_not_hold_its_own_function() {
    let mut scene = Scene::new(BOUNDS);
    let one = small("one");
    (0..100).for_each(|_| {
        scene.call(&one, QUICK);
        scene.pass(Duration::from_millis(30));
    });
    assert_eq!(scene.starts["one"], 1);
    scene.call(&one, SLEEPER);
    for _ in 0..5 {
        scene.call(&one, QUICK);
    }
    scene.pass(Duration::from_millis(100));
    assert_eq!(scene.waits_us("one").len(), 106, "another was started for those behind it");
}

#[test]
fn check_132_what_is_short_is_shared_by_weight() {
    let mut scene = Scene::new(BOUNDS);
    let slow = Manner { start_us: 20_000, call_us: 200_000 };
    let heavy = Arc::new(Version { weight: 4, ..Version::clone(&small("heavy")) });
    let names = ["a", "b", "heavy"];
    let versions = [small("a"), small("b"), heavy];
    for round in 0..3000 {
        for version in &versions {
            if scene.calls.values().filter(|(name, _)| *name == version.function.as_str()).count() < 30 {
                scene.call(version, slow);
            }
        }
        scene.pass(Duration::from_millis(10));
        if round == 1000 {
            scene.fates.clear();
        }
    }
    let served = names.map(|name| scene.waits_us(name).len());
    let [a, b, heavy] = served.map(|n| n as f64);
    assert!((0.5..2.0).contains(&(a / b)), "{served:?}");
    assert!(heavy > 1.5 * a && heavy > 1.5 * b, "{served:?}");
}

/// Behind a queue that is as full as one may be, another function's first call waits as long as when all is quiet.
#[test]
fn check_133_a_backlog() {
    let waits_behind = |backlog: usize| {
        let mut scene = Scene::new(Bounds { account_concurrency: 5000, ..BOUNDS });
        let (a, b) = (small("a"), small("b"));
        (0..backlog).for_each(|_| scene.call(&a, Manner { start_us: 20_000, call_us: 200_000 }));
        scene.pass(Duration::from_millis(500));
        let waiting: usize = scene.fleet.pools.values().map(|pool| pool.waiting.len()).sum();
        scene.call(&b, QUICK);
        scene.pass(Duration::from_secs(1));
        (waiting, scene.waits_us("b"))
    };
    let (_, quiet) = waits_behind(0);
    let (waiting, behind) = waits_behind(2 * BOUNDS.queue_length);
    assert!(waiting > 900, "{waiting} calls wait");
    assert!(quiet.len() == 1 && behind.len() == 1 && behind[0] <= 2 * quiet[0], "{quiet:?} {behind:?}");
}

#[test]
fn check_138_a_flood_leaves_room_in_the_account() {
    let mut scene = Scene::new(BOUNDS);
    let (flood, good) = (small("flood"), small("good"));
    for ms in 0..5_000 {
        (0..5).for_each(|_| scene.call(&flood, Manner { start_us: 20_000, call_us: 500_000 }));
        if ms % 100 == 0 {
            scene.call(&good, QUICK);
        }
        scene.pass(Duration::from_millis(1));
    }
    scene.pass(Duration::from_secs(1));
    let refusals = scene.refusals("flood");
    assert!(refusals.iter().all(|r| *r == ("ConcurrentInvocationLimitExceeded", "account-concurrency", 1)));
    assert!(refusals.len() > 20_000, "{}", refusals.len());
    assert_eq!((scene.refusals("good").len(), scene.waits_us("good").len()), (0, 50));
}

#[test]
fn accounts_do_not_share_their_concurrency() {
    let mut scene = Scene::new(Bounds { account_concurrency: 9, ..BOUNDS });
    let other = Version {
        arn: small("b").arn.replace("000000000000", "111111111111"),
        ..Version::clone(&small("b"))
    };
    (0..20).for_each(|_| scene.call(&small("a"), SLEEPER));
    (0..5).for_each(|_| scene.call(&Arc::new(other.clone()), QUICK));
    assert_eq!((scene.refusals("a").len(), scene.refusals("b").len()), (11, 0));
}

/// As on AWS, one function alone has all of the account. Who comes then gets its share as calls end, and in the
/// meantime the account is full for both.
#[test]
fn one_alone_has_all_and_gives_way() {
    let (limit, busy) = (100, Manner { start_us: 1_000, call_us: 1_000_000 });
    let mut scene = Scene::new(Bounds { account_concurrency: limit, memory_mb: 1 << 20, ..BOUNDS });
    let (first, second) = (small("first"), small("second"));
    let held = |scene: &Scene, name: &str| {
        scene.fleet.functions.get(&small(name).function).map_or(0, |f| f.in_flight)
    };
    let mut seen = Vec::new();
    for ms in 0..10_000 {
        (0..3).for_each(|_| scene.call(&first, busy));
        if ms >= 3_000 {
            (0..3).for_each(|_| scene.call(&second, busy));
        }
        scene.pass(Duration::from_millis(1));
        let holds = [held(&scene, "first"), held(&scene, "second")];
        assert!(holds.iter().sum::<u32>() <= limit, "{holds:?} at {ms} ms");
        if [2_999, 3_000, 9_999].contains(&ms) {
            seen.push(holds);
        }
    }
    assert_eq!(seen[0], [limit, 0], "alone it has all");
    assert!(seen[1][0] >= limit - 3, "none of its calls was ended for the other: {seen:?}");
    assert!(seen[2].iter().all(|held| (40..=60).contains(held)), "then each has its half: {seen:?}");
    // An hour later the second one is gone, and the first has all again.
    scene.pass(Duration::from_secs(3600));
    (0..200).for_each(|_| scene.call(&first, busy));
    assert_eq!(held(&scene, "first"), limit);
}

/// Steady load on one that serves many at once: as few instances as it takes, each call with its own end.
#[test]
fn instances_are_filled_before_others_start() {
    let mut scene = Scene::new(BOUNDS);
    let one = Arc::new(Version { instance_concurrency: 16, ..Version::clone(&small("one")) });
    let manner = Manner { start_us: 20_000, call_us: 100_000 };
    for _ in 0..2_000 {
        scene.call(&one, manner);
        scene.pass(Duration::from_millis(5));
    }
    assert_eq!(scene.waits_us("one").len(), 2_000);
    assert!(scene.starts["one"] <= 3, "20 calls at once need two: {:?}", scene.starts);
    let late = scene.waits_us("one").split_off(100);
    assert!(late.iter().all(|us| *us == 0), "{:?}", late.iter().max());
}

#[test]
fn a_full_instance_that_must_go_serves_what_it_has() {
    let mut scene = Scene::new(BOUNDS);
    let one = Arc::new(Version { instance_concurrency: 4, ..Version::clone(&small("one")) });
    let manner = Manner { start_us: 20_000, call_us: 100_000 };
    (0..4).for_each(|_| scene.call(&one, manner));
    scene.pass(Duration::from_millis(50));
    let instance = *scene.instances.keys().next().expect("it is up");
    // One of the four breaks it: no fifth comes in, and it ends with the last of the four.
    scene.due.pop_first();
    let actions = scene.fleet.freed(instance, false, scene.now);
    assert_eq!(actions, []);
    scene.call(&one, manner);
    assert_eq!(scene.starts["one"], 2);
    scene.pass(Duration::from_millis(500));
    assert_eq!(scene.waits_us("one").len(), 5);
    assert_eq!(scene.fleet.members.len(), 1, "the broken one is gone");
}
