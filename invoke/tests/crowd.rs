//! Several calls at once in one instance, over fake instances in simulated time.

#[allow(dead_code, reason = "shared with the other test programs")]
mod book;
#[allow(dead_code, reason = "shared with the other test programs")]
mod fake;

use fake::{BOUNDS, Stage, call, version};
use futures_util::future::join_all;
use invoke::{Answer, Bounds, Done, InstanceState, Refused};
use model::{Outcome, Rung, Version};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn text(done: &Done) -> String {
    let (Answer::Returned(bytes) | Answer::Failed(bytes)) = &done.outcome;
    String::from_utf8_lossy(bytes).into_owned()
}

fn shared(most: u32) -> Arc<Version> {
    Arc::new(Version { instance_concurrency: most, ..version("f", "1") })
}

/// Calls an instance that is up with all scripts at once; the ids are `0`, `1`, …
async fn together(stage: &Stage, version: &Arc<Version>, scripts: &[&str]) -> Vec<Done> {
    let warm = stage.play(stage.engine.invoke(version, call("warm", "answer:up"))).await.unwrap();
    assert_eq!(warm.record.rung, Rung::Spawn);
    let calls = scripts.iter().enumerate();
    let calls = calls.map(|(n, script)| stage.engine.invoke(version, call(n.to_string(), script)));
    let done: Result<Vec<_>, Refused> = stage.play(join_all(calls)).await.into_iter().collect();
    done.unwrap()
}

fn made(stage: &Stage) -> usize {
    stage.nursery.made.load(Ordering::SeqCst)
}

#[tokio::test]
async fn one_instance_serves_them_at_the_same_time() {
    let stage = Stage::new(1, BOUNDS);
    let began = stage.world.moment();
    let done =
        together(&stage, &shared(4), &["sleep:100 answer:a", "sleep:100 answer:b", "sleep:50 answer:c"])
            .await;
    assert!(stage.world.moment() - began < Duration::from_millis(130));
    assert_eq!(done.iter().map(text).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(made(&stage), 1);
    let records: Vec<_> = done.iter().map(|done| &done.record).collect();
    assert_eq!(records[0].reason, "idle instance, its processor time divided among up to 3 calls");
    assert_eq!(records[1].reason, "shared instance, its processor time divided among up to 3 calls");
    assert!(records.iter().all(|r| r.phases.init_us == 0 && r.phases.queue_us < 1000));
    assert!((50_000..60_000).contains(&records[2].phases.handler_us));
    let mine: u64 = stage.book.records.lock().unwrap().iter().map(|r| r.usage.user_us).sum();
    let used = stage.nursery.used.load(Ordering::SeqCst);
    assert!(records.iter().all(|r| r.usage.user_us > 0));
    assert!(mine <= used && mine + 300 > used, "{mine} of {used} are put down to calls");
    stage.end().await;
}

#[tokio::test]
async fn the_next_one_waits_or_gets_an_instance_of_its_own() {
    let stage = Stage::new(1, Bounds { memory_mb: 128, ..BOUNDS });
    let done = together(&stage, &shared(2), &["sleep:100 answer:a"; 5]).await;
    assert_eq!((made(&stage), done.len()), (1, 5), "memory for one instance only");
    assert!(done[4].record.phases.queue_us >= 190_000, "{:?}", done[4].record);
    stage.end().await;
    let stage = Stage::new(1, BOUNDS);
    together(&stage, &shared(2), &["sleep:1000 answer:a"; 5]).await;
    assert_eq!(made(&stage), 3);
    stage.end().await;
}

#[tokio::test]
async fn an_error_of_one_is_its_own() {
    let stage = Stage::new(1, BOUNDS);
    let version = shared(3);
    let done = together(&stage, &version, &["sleep:20 answer:a", "sleep:10 raise:E", "sleep:5 big"]).await;
    let outcomes: Vec<_> = done.iter().map(|done| done.record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Success, Outcome::Error, Outcome::Error]);
    let next = stage.play(stage.engine.invoke(&version, call("next", "answer:fine"))).await.unwrap();
    assert_eq!((text(&next).as_str(), made(&stage)), ("fine", 1), "the instance stays");
    stage.end().await;
}

#[tokio::test]
async fn a_timeout_of_one_lets_the_others_finish_and_ends_the_instance() {
    let stage = Stage::new(1, BOUNDS);
    let version = shared(4);
    let warm = stage.engine.invoke(&version, call("warm", "answer:up"));
    stage.play(warm).await.unwrap();
    let stuck = stage.engine.invoke(&version, call("stuck", "sleep:3500 answer:late"));
    let (engine, world) = (&stage.engine, &stage.world);
    let later = |after: u64, id: &'static str| {
        let version = version.clone();
        async move {
            world.sleep(Duration::from_millis(after)).await;
            engine.invoke(&version, call(id, "sleep:2000 answer:fine")).await
        }
    };
    let (stuck, beside, after) =
        stage.play(async { tokio::join!(stuck, later(2000, "beside"), later(3100, "after")) }).await;
    let (stuck, beside, after) = (stuck.unwrap(), beside.unwrap(), after.unwrap());
    assert_eq!(stuck.record.outcome, Outcome::Timeout);
    assert!(text(&stuck).contains("RequestId: stuck Error: Task timed out after 3.00 seconds"));
    assert_eq!((text(&beside).as_str(), &beside.record.instance), ("fine", &stuck.record.instance));
    assert_eq!(text(&after), "fine");
    assert_ne!(after.record.instance, stuck.record.instance, "it got no more calls");
    stage.pass(Duration::from_millis(10)).await;
    assert_eq!(stage.nursery.alive.load(Ordering::SeqCst), 1, "and is gone");
    stage.end().await;
}

#[tokio::test]
async fn the_end_of_the_process_ends_all_its_calls() {
    for (script, kind) in [
        ("exit:1", "Runtime.ExitError"),
        ("garbage", "Runtime.ProtocolError"),
        ("ready", "Runtime.ProtocolError"),
        ("answer-as:7", "Runtime.ProtocolError"),
    ] {
        let stage = Stage::new(1, BOUNDS);
        let version = shared(3);
        let breaks = format!("sleep:10 {script}");
        let done = together(&stage, &version, &["sleep:100 answer:a", &breaks, "hang"]).await;
        for (n, done) in done.iter().enumerate() {
            assert_eq!(done.record.outcome, Outcome::Crash, "{script}");
            assert!(
                text(done).contains(kind) && text(done).contains(&format!("RequestId: {n} ")),
                "{}",
                text(done)
            );
        }
        let next = stage.play(stage.engine.invoke(&version, call("next", "answer:fine"))).await.unwrap();
        assert_eq!((text(&next).as_str(), made(&stage)), ("fine", 2), "{script}");
        assert_eq!(stage.book.records.lock().unwrap().len(), 5, "one record each");
        stage.end().await;
    }
}

/// Check 136: whoever leaves keeps the place until the call has ended.
#[tokio::test]
async fn check_136_callers_that_leave_free_nothing_early() {
    let stage = Stage::new(1, Bounds { memory_mb: 128, ..BOUNDS });
    let version = shared(2);
    stage.play(stage.engine.invoke(&version, call("warm", "answer:up"))).await.unwrap();
    let both = join_all(["a", "b"].map(|id| stage.engine.invoke(&version, call(id, "sleep:500 answer:x"))));
    let left = async {
        tokio::select! {
            _ = both => false,
            () = stage.world.sleep(Duration::from_millis(50)) => true,
        }
    };
    assert!(stage.play(left).await);
    assert_eq!(stage.engine.instances()[0].state, InstanceState::Busy, "they run on");
    let next = stage.play(stage.engine.invoke(&version, call("next", "answer:fine"))).await.unwrap();
    assert!(next.record.phases.queue_us > 440_000, "{:?}", next.record);
    assert_eq!(stage.book.records.lock().unwrap().len(), 4, "each left its record");
    stage.end().await;
}

#[tokio::test]
async fn lines_and_tails_name_their_calls() {
    let stage = Stage::new(1, BOUNDS);
    let version = shared(2);
    let asking = |id: &str, script: &str| {
        let mut call = call(id, script);
        call.tail = true;
        call
    };
    let first = stage.engine.invoke(&version, asking("first", "log:one sleep:20 log:three answer:x"));
    let second = stage.engine.invoke(&version, asking("second", "sleep:10 log:two sleep:20 answer:y"));
    let (first, second) = stage.play(async { tokio::join!(first, second) }).await;
    let tail = |done: Result<Done, Refused>| String::from_utf8(done.unwrap().tail.unwrap()).unwrap();
    let (first, second) = (tail(first), tail(second));
    assert!(
        first.contains("first one\n") && first.contains("first three\n") && !first.contains("second"),
        "{first}"
    );
    assert!(second.contains("second two\n") && !second.contains("first"), "{second}");
    for (tail, id) in [(&first, "first"), (&second, "second")] {
        for line in [
            format!("START RequestId: {id} "),
            format!("END RequestId: {id}\n"),
            format!("REPORT RequestId: {id}\t"),
        ] {
            assert_eq!(tail.matches(&line).count(), 1, "{tail}");
        }
    }
    stage.end().await;
}

/// Check 48: what computes although nobody has asked it to stands still, and never while one of several calls runs.
#[tokio::test]
async fn check_48_one_that_computes_unasked_is_frozen_until_its_next_calls() {
    let stage = Stage::new(1, BOUNDS);
    let version = shared(3);
    stage.play(stage.engine.invoke(&version, call("warm", "answer:up"))).await.unwrap();
    let freezes = || stage.nursery.freezes.lock().unwrap().clone();
    stage.pass(Duration::from_secs(2)).await;
    assert!(freezes().is_empty(), "one that waits quietly is left alone");
    stage.nursery.uses.store(50_000, Ordering::SeqCst);
    stage.pass(Duration::from_secs(2)).await;
    assert_eq!(freezes(), [true]);
    let calls = [("long", "sleep:2900 answer:x"), ("short", "answer:y")];
    let both = join_all(calls.map(|(id, script)| stage.engine.invoke(&version, call(id, script))));
    let done: Result<Vec<_>, Refused> = stage.play(both).await.into_iter().collect();
    assert_eq!(done.unwrap().iter().map(text).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!((freezes(), made(&stage)), (vec![true, false], 1), "thawed once, and not frozen in between");
    stage.pass(Duration::from_secs(2)).await;
    assert_eq!(freezes(), [true, false, true]);
    stage.pass(Duration::from_secs(5)).await;
    assert!(stage.engine.instances().is_empty(), "nobody has called it for long");
    assert_eq!(freezes(), [true, false, true], "it is ended as it is");
    stage.end().await;
}

#[tokio::test]
async fn calls_that_a_dying_instance_never_took_go_to_others() {
    let stage = Stage::new(1, BOUNDS);
    let version = shared(3);
    stage.next_birth(fake::Birth::Deaf);
    let calls = (0..3).map(|n| stage.engine.invoke(&version, call(n.to_string(), "answer:x")));
    let done = stage.play(join_all(calls)).await;
    assert!(done.iter().all(|done| done.as_ref().is_ok_and(|done| text(done) == "x")), "{done:?}");
    stage.end().await;
}

#[tokio::test]
async fn a_drain_waits_for_all_of_them() {
    let stage = Stage::new(1, BOUNDS);
    let version = shared(3);
    let calls = ["sleep:200 answer:x", "sleep:300 answer:x", "hang"];
    let calls = calls.map(|script| stage.engine.invoke(&version, call(script, script)));
    let drain = async {
        stage.world.sleep(Duration::from_millis(50)).await;
        stage.engine.drain(Duration::from_secs(1)).await;
    };
    let (done, ()) = stage.play(async { tokio::join!(join_all(calls), drain) }).await;
    let texts: Vec<_> = done.iter().map(|done| text(done.as_ref().unwrap())).collect();
    assert_eq!(texts[..2], ["x", "x"]);
    assert!(texts[2].contains("Sandbox.Failure"), "{texts:?}");
    assert_eq!(stage.nursery.alive.load(Ordering::SeqCst), 0);
}
