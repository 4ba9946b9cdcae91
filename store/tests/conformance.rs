//! One suite over every engine.

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::future::Future;
use store::{DataDir, Expect, Key, Revision, Scan, Store, StoreError, Write};
use tempfile::TempDir;
use world::World;

/// A store under test; `reopen` closes and opens it where the engine remembers.
struct Subject {
    name: &'static str,
    store: Option<Store>,
    dir: Option<TempDir>,
}

impl Subject {
    fn all() -> Vec<Self> {
        let memory = Self { name: "memory", store: Some(Store::memory()), dir: None };
        let mut fjall =
            Self { name: "fjall", store: None, dir: Some(TempDir::new().expect("a temporary directory")) };
        fjall.reopen();
        vec![memory, fjall]
    }

    fn reopen(&mut self) {
        if let Some(dir) = &self.dir {
            self.store = None;
            let dir = DataDir::open(dir.path()).expect("the directory opens");
            self.store = Some(Store::fjall(&dir, World::real()).expect("the store opens"));
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open")
    }
}

fn check<F: Future<Output = ()>>(case: impl Fn(&'static str, Store) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for subject in Subject::all() {
        runtime.block_on(case(subject.name, subject.store().clone()));
    }
}

fn key(text: &str) -> Key {
    text.as_bytes().to_vec()
}

fn put(name: &str, value: &str) -> Write {
    Write::Put(key(name), Bytes::copy_from_slice(value.as_bytes()))
}

async fn value(store: &Store, name: &str) -> Option<(String, Revision)> {
    let found = store.get(&[key(name)]).await.expect("readable").remove(0);
    found.map(|(value, revision)| (String::from_utf8(value.to_vec()).expect("text"), revision))
}

async fn names(store: &Store, from: &str, to: &str, options: Scan) -> Vec<String> {
    let rows = store.scan(key(from)..key(to), options).await.expect("readable");
    rows.into_iter().map(|(key, _, _)| String::from_utf8(key).expect("text")).collect()
}

#[test]
fn rows_are_put_replaced_and_deleted() {
    check(|name, store| async move {
        assert_eq!(value(&store, "a").await, None, "{name}");
        let first = store.commit(vec![], vec![put("a", "1"), put("", "empty key")]).await.expect("committed");
        assert_eq!(value(&store, "a").await, Some(("1".into(), first)), "{name}");
        assert_eq!(value(&store, "").await, Some(("empty key".into(), first)), "{name}");
        let second = store.commit(vec![], vec![put("a", "2")]).await.expect("committed");
        assert!(second > first, "{name}");
        assert_eq!(value(&store, "a").await, Some(("2".into(), second)), "{name}");
        let gone = vec![Write::Delete(key("a")), Write::Delete(key("never"))];
        store.commit(vec![], gone).await.expect("committed");
        assert_eq!(value(&store, "a").await, None, "{name}");
        let both = store.get(&[key("a"), key("")]).await.expect("readable");
        assert!(both[0].is_none() && both[1].is_some(), "{name}");
    });
}

#[test]
fn the_last_write_of_a_key_in_a_commit_wins() {
    check(|name, store| async move {
        store
            .commit(vec![], vec![put("a", "1"), Write::Delete(key("a")), put("a", "3")])
            .await
            .expect("committed");
        assert_eq!(value(&store, "a").await.map(|row| row.0), Some("3".into()), "{name}");
        store.commit(vec![], vec![put("a", "4"), Write::Delete(key("a"))]).await.expect("committed");
        assert_eq!(value(&store, "a").await, None, "{name}");
    });
}

#[test]
fn checks_hold_or_nothing_is_written() {
    check(|name, store| async move {
        let at = store.commit(vec![], vec![put("there", "1")]).await.expect("committed");
        let cases = [
            ("there", Expect::Any, true),
            ("there", Expect::At(at), true),
            ("there", Expect::At(at + 1), false),
            ("there", Expect::At(0), false),
            ("there", Expect::Absent, false),
            ("gone", Expect::Absent, true),
            ("gone", Expect::Any, false),
            ("gone", Expect::At(at), false),
        ];
        for (index, (row, expect, holds)) in cases.into_iter().enumerate() {
            let witness = format!("witness/{index}");
            let checks = vec![(key("there"), Expect::Any), (key(row), expect)];
            let answer = store.commit(checks, vec![put(&witness, "x")]).await;
            let context = format!("{name}: {row} {expect:?}");
            assert_eq!(answer.is_ok(), holds, "{context}");
            assert_eq!(value(&store, &witness).await.is_some(), holds, "{context}");
            if !holds {
                assert_eq!(answer, Err(StoreError::Conflict { key: key(row) }), "{context}");
            }
        }
    });
}

#[test]
fn a_row_made_anew_is_not_the_old_one() {
    check(|name, store| async move {
        let old = store.commit(vec![], vec![put("a", "old")]).await.expect("committed");
        store.commit(vec![], vec![Write::Delete(key("a"))]).await.expect("committed");
        store.commit(vec![], vec![put("a", "new")]).await.expect("committed");
        let answer = store.commit(vec![(key("a"), Expect::At(old))], vec![put("a", "late")]).await;
        assert!(matches!(answer, Err(StoreError::Conflict { .. })), "{name}");
    });
}

#[test]
fn scans_are_ordered_bounded_and_reversible() {
    check(|name, store| async move {
        let rows = ["a", "a/1", "a/10", "a/2", "b", "b/1"];
        store.commit(vec![], rows.iter().map(|row| put(row, row)).collect()).await.expect("committed");
        let forward = |limit| Scan { limit, reverse: false };
        let backward = |limit| Scan { limit, reverse: true };
        let cases: &[(&str, &str, Scan, &[&str])] = &[
            ("a/", "a0", forward(10), &["a/1", "a/10", "a/2"]),
            ("a/", "a0", forward(2), &["a/1", "a/10"]),
            ("a/", "a0", backward(10), &["a/2", "a/10", "a/1"]),
            ("a/", "a0", backward(1), &["a/2"]),
            ("a", "b", forward(10), &["a", "a/1", "a/10", "a/2"]),
            ("", "c", backward(2), &["b/1", "b"]),
            ("b", "b", forward(10), &[]),
            ("c", "a", forward(10), &[]),
            ("a", "z", forward(0), &[]),
        ];
        for (from, to, options, expected) in cases {
            assert_eq!(
                names(&store, from, to, *options).await,
                *expected,
                "{name}: {from}..{to} {options:?}"
            );
        }
    });
}

#[test]
fn what_is_too_large_is_refused_by_name() {
    check(|name, store| async move {
        let mib = Bytes::from(vec![0; 1024 * 1024]);
        let cases = [
            ("key", vec![Write::Delete(vec![0; 4097])]),
            ("value", vec![Write::Put(key("a"), Bytes::from(vec![0; 1024 * 1024 + 1]))]),
            ("commit", (0..9).map(|n| Write::Put(vec![n], mib.clone())).collect()),
        ];
        for (what, writes) in cases {
            let answer = store.commit(vec![], writes).await;
            assert!(
                matches!(answer, Err(StoreError::TooLarge { what: w, .. }) if w == what),
                "{name}: {what}"
            );
        }
        let largest = vec![Write::Put(vec![0; 4096], mib)];
        store.commit(vec![], largest).await.expect(name);
    });
}

#[test]
fn counters_survive_a_crowd() {
    check(|name, store| async move {
        let add = |store: Store| async move {
            for _ in 0..10 {
                loop {
                    let found = value(&store, "counter").await;
                    let (count, expect) = match found {
                        Some((text, at)) => (text.parse::<u64>().expect("a number"), Expect::At(at)),
                        None => (0, Expect::Absent),
                    };
                    let next = vec![put("counter", &(count + 1).to_string())];
                    match store.commit(vec![(key("counter"), expect)], next).await {
                        Ok(_) => break,
                        Err(StoreError::Conflict { .. }) => tokio::task::yield_now().await,
                        Err(other) => panic!("{name}: {other}"),
                    }
                }
            }
        };
        let crowd: Vec<_> = (0..16).map(|_| tokio::spawn(add(store.clone()))).collect();
        for task in crowd {
            task.await.expect("it ends");
        }
        assert_eq!(value(&store, "counter").await.map(|row| row.0), Some("160".into()), "{name}");
    });
}

#[test]
fn one_creator_wins() {
    check(|name, store| async move {
        let create = |n: u32| {
            let store = store.clone();
            let writes = vec![put("name", &n.to_string())];
            tokio::spawn(async move { store.commit(vec![(key("name"), Expect::Absent)], writes).await })
        };
        let tasks: Vec<_> = (0..64).map(create).collect();
        let mut won = 0;
        for task in tasks {
            won += u32::from(task.await.expect("it ends").is_ok());
        }
        assert_eq!(won, 1, "{name}");
    });
}

#[test]
fn readers_never_see_half_a_commit() {
    check(|name, store| async move {
        store.commit(vec![], vec![put("left", "0"), put("right", "0")]).await.expect("committed");
        let writer = tokio::spawn({
            let store = store.clone();
            async move {
                for n in 1..200 {
                    let n = n.to_string();
                    store.commit(vec![], vec![put("left", &n), put("right", &n)]).await.expect("committed");
                }
            }
        });
        while !writer.is_finished() {
            let both = store.get(&[key("left"), key("right")]).await.expect("readable");
            assert_eq!(both[0], both[1], "{name}");
            let rows =
                store.scan(key("left")..key("s"), Scan { limit: 2, reverse: false }).await.expect("readable");
            assert_eq!(rows[0].1, rows[1].1, "{name}");
            tokio::task::yield_now().await;
        }
        writer.await.expect("it ends");
    });
}

#[test]
fn hints_come_for_their_prefix() {
    check(|name, store| async move {
        let (hint, other) = (store.changed(b"q/"), store.changed(b"t/"));
        store.commit(vec![], vec![put("q/1", "x")]).await.expect("committed");
        let soon = std::time::Duration::from_secs(20);
        tokio::time::timeout(soon, hint.wait()).await.expect(name);
        let never = std::time::Duration::from_millis(20);
        tokio::time::timeout(never, other.wait()).await.expect_err(name);
    });
}

#[test]
fn the_last_clone_may_go_in_the_middle_of_work() {
    check(|name, store| async move {
        let tasks: Vec<_> = (0..50)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.commit(vec![], vec![put(&n.to_string(), "x")]).await })
            })
            .collect();
        drop(store);
        for task in tasks {
            assert!(task.await.expect("it ends").is_ok(), "{name}");
        }
    });
}

#[derive(Debug, Clone)]
enum Op {
    Commit { checks: Vec<(u8, Guess)>, writes: Vec<(u8, Option<Vec<u8>>)> },
    Scan { from: u8, to: u8, limit: usize, reverse: bool },
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum Guess {
    Absent,
    Any,
    Current,
    Old,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let keys = 0u8..12;
    let guess = prop_oneof![1 => Just(Guess::Absent), 1 => Just(Guess::Any), 3 => Just(Guess::Current), 1 => Just(Guess::Old)];
    let contents = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..40));
    let commit = (
        prop::collection::vec((keys.clone(), guess), 0..3),
        prop::collection::vec((keys.clone(), contents), 0..5),
    );
    let op = prop_oneof![
        12 => commit.prop_map(|(checks, writes)| Op::Commit { checks, writes }),
        4 => (keys.clone(), keys, 0usize..8, any::<bool>())
            .prop_map(|(from, to, limit, reverse)| Op::Scan { from, to, limit, reverse }),
        1 => Just(Op::Reopen),
    ];
    prop::collection::vec(op, 1..60)
}

/// What a store must do, in as few words as possible.
#[derive(Default)]
struct Model {
    rows: BTreeMap<Key, (Vec<u8>, Revision)>,
    last: Revision,
}

impl Model {
    fn expectation(&self, key: &Key, guess: Guess) -> Expect {
        let current = self.rows.get(key).map(|row| row.1);
        match guess {
            Guess::Absent => Expect::Absent,
            Guess::Any => Expect::Any,
            Guess::Current => current.map_or(Expect::Absent, Expect::At),
            Guess::Old => Expect::At(current.unwrap_or(self.last).saturating_sub(1)),
        }
    }

    fn commit(
        &mut self,
        checks: &[(Key, Expect)],
        writes: &[(Key, Option<Vec<u8>>)],
    ) -> Result<Revision, Key> {
        for (key, expect) in checks {
            let current = self.rows.get(key).map(|row| row.1);
            let holds = match expect {
                Expect::Absent => current.is_none(),
                Expect::Any => current.is_some(),
                Expect::At(revision) => current == Some(*revision),
            };
            if !holds {
                return Err(key.clone());
            }
        }
        self.last += u64::from(!writes.is_empty());
        for (key, value) in writes {
            match value {
                Some(value) => self.rows.insert(key.clone(), (value.clone(), self.last)),
                None => self.rows.remove(key),
            };
        }
        Ok(self.last)
    }
}

fn short_key(n: u8) -> Key {
    // Lengths from 0 to 2, so that some keys are prefixes of others.
    match n {
        0 => vec![],
        1..=5 => vec![n * 50],
        _ => vec![(n - 5) * 40, n],
    }
}

async fn run(subject: &mut Subject, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for op in ops {
        match op {
            Op::Commit { checks, writes } => {
                let checks: Vec<_> = checks
                    .iter()
                    .map(|(n, guess)| (short_key(*n), model.expectation(&short_key(*n), *guess)))
                    .collect();
                let changes: Vec<_> = writes.iter().map(|(n, v)| (short_key(*n), v.clone())).collect();
                let expected = model.commit(&checks, &changes);
                let writes = changes
                    .into_iter()
                    .map(|(key, value)| match value {
                        Some(value) => Write::Put(key, Bytes::from(value)),
                        None => Write::Delete(key),
                    })
                    .collect();
                let got = subject.store().commit(checks, writes).await;
                prop_assert_eq!(
                    got,
                    expected.map_err(|key| StoreError::Conflict { key }),
                    "{}",
                    subject.name
                );
            }
            Op::Scan { from, to, limit, reverse } => {
                let (from, to) = (short_key(*from), short_key(*to));
                let in_range = |key: &Key| from <= *key && *key < to;
                let mut expected: Vec<_> = model.rows.iter().filter(|(key, _)| in_range(key)).collect();
                if *reverse {
                    expected.reverse();
                }
                expected.truncate(*limit);
                let options = Scan { limit: *limit, reverse: *reverse };
                let got = subject.store().scan(from.clone()..to.clone(), options).await.expect("readable");
                let got: Vec<_> = got.iter().map(|(k, v, r)| (k.clone(), (v.to_vec(), *r))).collect();
                let expected: Vec<_> = expected.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect();
                prop_assert_eq!(got, expected, "{}", subject.name);
            }
            Op::Reopen => subject.reopen(),
        }
    }
    let keys: Vec<Key> = (0..12).map(short_key).collect();
    let got = subject.store().get(&keys).await.expect("readable");
    let got: Vec<_> = got.into_iter().map(|row| row.map(|(value, at)| (value.to_vec(), at))).collect();
    let expected: Vec<_> = keys.iter().map(|key| model.rows.get(key).cloned()).collect();
    prop_assert_eq!(got, expected, "{}", subject.name);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_engine_is_the_model(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        for mut subject in Subject::all() {
            runtime.block_on(run(&mut subject, &ops))?;
        }
    }
}
