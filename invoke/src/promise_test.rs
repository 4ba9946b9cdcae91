//! Promised instances and reserved calls, as the fleet keeps them.

use crate::admission::Bounds;
use crate::answer::{InstanceState, Refused};
use crate::fleet::{Action, Fleet, Source};
use crate::pool::{InstanceId, version};
use crate::promise::{Provision, ProvisionState};
use model::Version;
use std::sync::Arc;
use world::Moment;

const fn at(seconds: u64) -> Moment {
    Moment(seconds * 1_000_000)
}

fn fleet(memory_mb: u64) -> Fleet {
    Fleet::new(Bounds { memory_mb, account_concurrency: 20, starts_in_all: 16, ..Bounds::default() })
}

fn started(actions: &[Action]) -> Vec<InstanceId> {
    let start = |action: &Action| match action {
        Action::Start { instance, provisioned: true, .. } => Some(*instance),
        _ => None,
    };
    actions.iter().filter_map(start).collect()
}

fn kept(fleet: &Fleet, version: &Version, now: Moment) -> (u32, u32, ProvisionState) {
    let Provision { allocated, available, state } = fleet.provision(&version.name(), now).expect("promised");
    (allocated, available, state)
}

/// A fleet with a promise of two instances that are up.
fn promised(memory_mb: u64, of: &Arc<Version>) -> (Fleet, Vec<InstanceId>) {
    let mut fleet = fleet(memory_mb);
    let up = started(&fleet.promise(of, 2, at(0)));
    assert_eq!(up.len(), 2);
    up.iter().for_each(|instance| drop(fleet.started(*instance, at(1))));
    assert_eq!(kept(&fleet, of, at(1)), (2, 2, ProvisionState::Ready));
    (fleet, up)
}

#[test]
fn promised_instances_stay_however_long_nobody_calls() {
    let f = version("f", "1", 128);
    let (mut fleet, up) = promised(1280, &f);
    assert_eq!(fleet.tick(at(10_000)), []);
    let (_, actions) = fleet.request(&f, at(10_000)).expect("let in");
    let [Action::Assign { instance, source: Source::Provisioned, .. }] = actions[..] else {
        panic!("{actions:?}");
    };
    assert!(up.contains(&instance));
    fleet.freed(instance, true, at(10_001));
    assert_eq!(fleet.tick(at(20_000)), []);
}

#[test]
fn calls_beyond_them_start_ordinary_instances_which_end_for_want_of_use() {
    let f = version("f", "1", 128);
    let (mut fleet, up) = promised(1280, &f);
    let calls: Vec<_> = (0..3).flat_map(|_| fleet.request(&f, at(2)).expect("let in").1).collect();
    let [.., Action::Start { instance: third, provisioned: false, .. }] = calls[..] else {
        panic!("{calls:?}")
    };
    fleet.started(third, at(3));
    for instance in [third, up[0], up[1]] {
        fleet.freed(instance, true, at(4));
    }
    let (_, actions) = fleet.request(&f, at(5)).expect("let in");
    assert!(matches!(actions[..], [Action::Assign { source: Source::Provisioned, .. }]), "{actions:?}");
    assert_eq!(fleet.tick(at(400)), [Action::Retire { instance: third }]);
}

#[test]
fn one_that_ends_is_replaced_and_one_that_keeps_failing_is_tried_ever_more_rarely() {
    let f = version("f", "1", 128);
    let (mut fleet, up) = promised(1280, &f);
    let next = started(&fleet.lost(up[0], &[], at(100)));
    assert_eq!((next.len(), kept(&fleet, &f, at(100))), (1, (2, 1, ProvisionState::InProgress)));
    fleet.gone(up[0], at(100));
    let (mut starts, mut failing) = (0, next);
    for tenth in 1000..1600 {
        let now = Moment(tenth * 100_000);
        let mut actions = fleet.tick(now);
        for instance in std::mem::take(&mut failing) {
            actions.extend(fleet.start_failed(instance, false, now));
            actions.extend(fleet.gone(instance, now));
        }
        failing = started(&actions);
        starts += failing.len();
    }
    assert!((5..20).contains(&starts), "{starts} starts in a minute");
    assert!(matches!(kept(&fleet, &f, at(159)), (_, 1, ProvisionState::Failed(_))));
}

#[test]
fn a_new_revision_is_there_before_the_old_one_retires() {
    let (old, new) = (version("f", "1", 128), version("f", "2", 128));
    let (mut fleet, up) = promised(1280, &old);
    let next = started(&fleet.promise(&new, 2, at(5)));
    assert_eq!((next.len(), kept(&fleet, &new, at(5))), (2, (2, 0, ProvisionState::InProgress)));
    let (_, actions) = fleet.request(&old, at(6)).expect("let in");
    let [Action::Assign { instance, source: Source::Provisioned, .. }] = actions[..] else {
        panic!("{actions:?}");
    };
    fleet.freed(instance, true, at(6));
    next.iter().for_each(|instance| drop(fleet.started(*instance, at(7))));
    let retired = fleet.retire(&old.name(), Some("2"), at(8));
    assert!(
        up.iter().all(|instance| retired.contains(&Action::Retire { instance: *instance })),
        "{retired:?}"
    );
    assert_eq!(kept(&fleet, &new, at(8)), (2, 2, ProvisionState::Ready));
    // All of a function may be retired: what was promised comes back.
    assert_eq!(started(&fleet.retire(&new.name(), None, at(9))).len(), 2);
}

#[test]
fn versions_of_a_function_are_kept_beside_each_other() {
    let numbered = |number: &str, revision: &str| {
        let mut one = Version::clone(&version("f", revision, 128));
        one.version = number.into();
        Arc::new(one)
    };
    let (latest, first) = (version("f", "1", 128), numbered("1", "2"));
    let (mut fleet, up) = promised(1280, &latest);
    let more = started(&fleet.promise(&first, 1, at(5)));
    assert_eq!((more.len(), kept(&fleet, &latest, at(5)).1), (1, 2), "one more, and those before stay");
    fleet.started(more[0], at(6));
    let (_, actions) = fleet.request(&first, at(6)).expect("let in");
    let [Action::Assign { instance, .. }] = actions[..] else { panic!("{actions:?}") };
    assert_eq!(instance, more[0]);
    assert_eq!(fleet.functions[&first.function].in_flight, 1, "the function's limit is for all of them");
    fleet.freed(instance, true, at(7));
    assert_eq!(fleet.retire(&latest.name(), Some("1"), at(8)), []);
    fleet.promises.remove(&first.name());
    assert_eq!(fleet.retire(&first.name(), None, at(9)), [Action::Retire { instance }]);
    assert_eq!(kept(&fleet, &latest, at(9)), (2, 2, ProvisionState::Ready), "{up:?}");
    let why = |fleet: &Fleet, version: &Version| fleet.functions[&version.function].why_none(version);
    assert_eq!(why(&fleet, &first), crate::fleet::REPLACED);
    assert_eq!(why(&fleet, &numbered("1", "3")), "new revision");
    assert_eq!(why(&fleet, &numbered("2", "4")), "first instance");
    fleet.gone(instance, at(10));
    for (now, expected) in [(3_600, crate::fleet::REPLACED), (3_700, "first instance")] {
        fleet.forget(at(now));
        assert_eq!(
            why(&fleet, &first),
            expected,
            "what is gone for an hour is forgotten, though others stay"
        );
    }
}

#[test]
fn promised_memory_is_not_taken_and_what_is_not_there_is_told() {
    let (f, other) = (version("f", "1", 128), version("g", "1", 128));
    let (mut fleet, _) = promised(256, &f);
    let (_, actions) = fleet.request(&other, at(3)).expect("let in");
    assert_eq!(actions, [], "it waits: the memory is promised");
    assert_eq!(fleet.ledger.idle, 0);
    fleet.promise(&f, 3, at(4));
    assert!(
        matches!(kept(&fleet, &f, at(4)), (2, 2, ProvisionState::Failed(why)) if why.contains("machine-memory"))
    );
    let up = fleet.promise(&f, 1, at(5));
    let retired = up.iter().chain(&fleet.tick(at(6))).any(|action| matches!(action, Action::Retire { .. }));
    assert!(retired, "what is promised no more makes room for a call: {up:?}");
}

#[test]
fn a_promise_makes_room_of_idle_instances_and_ends_with_its_removal() {
    let (f, other) = (version("f", "1", 128), version("g", "1", 256));
    let mut fleet = fleet(256);
    let (_, actions) = fleet.request(&other, at(0)).expect("let in");
    let [Action::Start { instance, .. }] = actions[..] else { panic!("{actions:?}") };
    fleet.started(instance, at(1));
    fleet.freed(instance, true, at(1));
    assert_eq!(fleet.promise(&f, 2, at(2)), [Action::Retire { instance }]);
    let up = started(&fleet.gone(instance, at(3)));
    assert_eq!(up.len(), 2);
    up.iter().for_each(|instance| drop(fleet.started(*instance, at(4))));
    fleet.promise(&f, 0, at(5));
    assert_eq!((fleet.provision(&f.name(), at(5)), fleet.ledger.idle), (None, 256));
    assert_eq!(fleet.tick(at(1000)).len(), 2, "they are ordinary now");
    assert!(fleet.members.values().all(|member| member.state == InstanceState::Ending));
}

#[test]
fn reserved_calls_are_a_functions_own_and_all_that_it_gets() {
    let mut fleet = fleet(100_000);
    let reserved =
        |calls| Arc::new(Version { concurrency: calls, ..Version::clone(&version("f", "1", 128)) });
    let (own, plain, other) = (reserved(Some(5)), reserved(None), version("g", "1", 128));
    let many = |fleet: &mut Fleet, of: &Arc<Version>| {
        let limit = |refused| match refused {
            Refused::Throttled { limit, .. } => limit,
            other => panic!("{other}"),
        };
        let mut calls = Vec::new();
        loop {
            match fleet.request(of, at(1)) {
                Ok((request, _)) => calls.push(request),
                Err(refused) => return (calls, limit(refused)),
            }
        }
    };
    fleet.reserve(&own, 5);
    let (others, limit) = many(&mut fleet, &other);
    assert_eq!((others.len(), limit), (15, "account-concurrency"), "all that is left");
    let (mine, limit) = many(&mut fleet, &own);
    assert_eq!((mine.len(), limit), (5, "reserved concurrency"));
    assert_eq!(many(&mut fleet, &reserved(Some(0))).0.len(), 0);
    // Without the reservation, its calls count as everybody's again.
    fleet.reserve(&plain, 0);
    let (more, limit) = many(&mut fleet, &plain);
    assert_eq!((more.len(), limit), (0, "account-concurrency"), "all 20 are made");
    let tenant = fleet.functions[&own.function].tenant;
    assert_eq!(fleet.tenants.get(tenant).in_flight, 20);
    for call in others.into_iter().chain(mine).chain(more) {
        fleet.withdraw(call, at(2));
    }
    assert_eq!(fleet.tenants.get(tenant).in_flight, 0);
}
