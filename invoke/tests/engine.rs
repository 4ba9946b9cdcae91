//! The engine over fake instances in simulated time: every way in which a call can end, and what it leaves.

mod book;
mod fake;

use fake::{BOUNDS, Birth, Stage, call, version};
use invoke::{Answer, Bounds, Done, InstanceState, Refused};
use model::{Outcome, Phases, Rung, Version};
use sandbox::Exit;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn text(done: &Done) -> String {
    let (Answer::Returned(bytes) | Answer::Failed(bytes)) = &done.outcome;
    String::from_utf8_lossy(bytes).into_owned()
}

async fn invoke(stage: &Stage, version: &Arc<Version>, id: &str, script: &str) -> Done {
    stage.play(stage.engine.invoke(version, call(id, script))).await.expect("it runs")
}

/// One way to end: the script, the outcome, the error type, how the answer starts, and whether the instance stays.
struct Case {
    script: &'static str,
    outcome: Outcome,
    error_type: Option<&'static str>,
    answer: &'static str,
    reused: bool,
}

const CASES: &[Case] = &[
    Case { script: "answer:42", outcome: Outcome::Success, error_type: None, answer: "42", reused: true },
    Case {
        script: "raise:ValueError",
        outcome: Outcome::Error,
        error_type: Some("ValueError"),
        answer: r#"{"errorMessage":"m","errorType":"ValueError"}"#,
        reused: true,
    },
    Case {
        script: "hang",
        outcome: Outcome::Timeout,
        error_type: Some("Sandbox.Timedout"),
        answer: r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: bad Error: Task timed out after 3.00 seconds"}"#,
        reused: false,
    },
    Case {
        script: "exit:1",
        outcome: Outcome::Crash,
        error_type: Some("Runtime.ExitError"),
        answer: r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: bad Error: Runtime exited with error: exit status 1"}"#,
        reused: false,
    },
    Case {
        script: "exit:0",
        outcome: Outcome::Crash,
        error_type: Some("Runtime.ExitError"),
        answer: r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: bad Error: Runtime exited without providing a reason"}"#,
        reused: false,
    },
    Case {
        script: "signal:9",
        outcome: Outcome::OutOfMemory,
        error_type: Some("Runtime.OutOfMemory"),
        answer: r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: bad Error: Runtime exited with error: signal: killed"}"#,
        reused: false,
    },
    Case {
        script: "garbage",
        outcome: Outcome::Crash,
        error_type: Some("Runtime.ProtocolError"),
        answer: r#"{"errorType":"Runtime.ProtocolError","errorMessage":"RequestId: bad Error: Runtime broke its protocol: half a frame"}"#,
        reused: false,
    },
    Case {
        script: "answer-as:other",
        outcome: Outcome::Crash,
        error_type: Some("Runtime.ProtocolError"),
        answer: r#"{"errorType":"Runtime.ProtocolError""#,
        reused: false,
    },
    Case {
        script: "ready",
        outcome: Outcome::Crash,
        error_type: Some("Runtime.ProtocolError"),
        answer: r#"{"errorType":"Runtime.ProtocolError""#,
        reused: false,
    },
    Case {
        script: "big",
        outcome: Outcome::Error,
        error_type: Some("Function.ResponseSizeTooLarge"),
        answer: r#"{"errorType":"Function.ResponseSizeTooLarge""#,
        reused: true,
    },
    Case {
        script: "answer:1 answer:2",
        outcome: Outcome::Success,
        error_type: None,
        answer: "1",
        reused: false,
    },
    Case {
        script: "answer:1 exit:0",
        outcome: Outcome::Success,
        error_type: None,
        answer: "1",
        reused: false,
    },
];

#[tokio::test]
async fn every_end_is_told_and_the_next_call_works() {
    for case in CASES {
        let stage = Stage::new(1, BOUNDS);
        let version = Arc::new(version("f", "1"));
        let first = invoke(&stage, &version, "warm-up", "answer:up").await;
        let bad = invoke(&stage, &version, "bad", case.script).await;
        assert_eq!(bad.record.outcome, case.outcome, "{}", case.script);
        assert_eq!(bad.record.error_type.as_deref(), case.error_type, "{}", case.script);
        assert!(text(&bad).starts_with(case.answer), "{}: {}", case.script, text(&bad));
        assert_eq!(matches!(bad.outcome, Answer::Returned(_)), case.outcome == Outcome::Success);
        let next = invoke(&stage, &version, "next", "answer:fine").await;
        assert_eq!(text(&next), "fine", "{}", case.script);
        let same = next.record.instance == first.record.instance;
        assert_eq!(same, case.reused, "{}", case.script);
        assert_eq!(next.record.rung, if case.reused { Rung::Idle } else { Rung::Spawn });
        assert_eq!(stage.book.records.lock().unwrap().len(), 3, "one record each");
        let lines = stage.book.lines_of(&bad.record);
        let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        for start in ["START RequestId: bad ", "END RequestId: bad", "REPORT RequestId: bad\t"] {
            assert_eq!(count(start), 1, "{}: {lines:#?}", case.script);
        }
        stage.end().await;
    }
}

#[tokio::test]
async fn every_failed_start_is_told_and_the_next_call_works() {
    let import = "Runtime.ImportModuleError";
    let table = [
        (Birth::InitError(import), Ok((Outcome::InitError, import))),
        (Birth::ExitInInit(Exit::Code(3)), Ok((Outcome::InitError, "Runtime.ExitError"))),
        (Birth::ExitInInit(Exit::Signal(9)), Ok((Outcome::OutOfMemory, "Runtime.OutOfMemory"))),
        (Birth::Well { sandbox_ms: 1, init_ms: 14_000 }, Ok((Outcome::Timeout, "Sandbox.Timedout"))),
        (Birth::NoSandbox, Err(Refused::Sandbox("no room".into()))),
        (Birth::NoRuntime, Err(Refused::MissingRuntime("python3.12 is missing".into()))),
    ];
    for (birth, expected) in table {
        let stage = Stage::new(1, BOUNDS);
        let version = Arc::new(version("f", "1"));
        stage.next_birth(birth.clone());
        if matches!(birth, Birth::Well { .. }) {
            stage.next_birth(birth.clone());
        }
        let mut request = call("bad", "answer:x");
        request.tail = true;
        let got = stage.play(stage.engine.invoke(&version, request)).await;
        match (&got, expected) {
            (Ok(done), Ok((outcome, error_type))) => {
                assert_eq!(
                    (done.record.outcome, done.record.error_type.as_deref()),
                    (outcome, Some(error_type))
                );
                let tail = String::from_utf8(done.tail.clone().expect("it was asked for")).unwrap();
                assert!(tail.contains("INIT_REPORT") && tail.contains("REPORT RequestId: bad\t"), "{tail}");
            }
            (Err(refused), Err(expected)) => assert_eq!(*refused, expected),
            (got, expected) => panic!("{birth:?}: {got:?}, not {expected:?}"),
        }
        assert_eq!(text(&invoke(&stage, &version, "next", "answer:fine").await), "fine");
        stage.end().await;
    }
}

#[tokio::test]
async fn a_slow_init_is_made_again_within_the_functions_own_timeout() {
    let stage = Stage::new(1, BOUNDS);
    let version = Arc::new(Version { timeout_s: 20, ..version("f", "1") });
    for init_ms in [15_000, 12_000] {
        stage.next_birth(Birth::Well { sandbox_ms: 5, init_ms });
    }
    let done = invoke(&stage, &version, "1", "answer:ok").await;
    assert_eq!(text(&done), "ok");
    let Phases { sandbox_us, init_us, queue_us, .. } = done.record.phases;
    assert!((10_000..12_000).contains(&sandbox_us), "{sandbox_us}");
    assert!((22_000_000..22_100_000).contains(&init_us), "both count: {init_us}");
    assert!(queue_us < 10_000, "{queue_us}");
    let lines = stage.book.lines_of(&done.record);
    let count = |text: &str| lines.iter().filter(|line| line.starts_with(text)).count();
    assert_eq!((count("INIT_START "), count("INIT_REPORT ")), (2, 1), "{lines:#?}");
    assert_eq!(
        count("INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout"),
        1,
        "{lines:#?}"
    );
    assert_eq!(
        stage.nursery.most_alive.load(Ordering::SeqCst),
        1,
        "the first is gone before the second is made"
    );
    for init_ms in [15_000, 25_000] {
        stage.next_birth(Birth::Well { sandbox_ms: 5, init_ms });
    }
    stage.engine.retire(&version.name(), None);
    let done = invoke(&stage, &version, "2", "answer:never").await;
    assert_eq!(done.record.outcome, Outcome::Timeout);
    let lines = stage.book.lines_of(&done.record).join("\n");
    assert!(
        lines.contains("INIT_REPORT Init Duration: 20000.00 ms\tPhase: invoke\tStatus: timeout"),
        "{lines}"
    );
    stage.end().await;
}

#[tokio::test]
async fn a_call_that_was_not_taken_goes_to_another_instance() {
    for (deaf, outcome, answer) in
        [(1, Outcome::Success, "ok"), (3, Outcome::Success, "ok"), (4, Outcome::Crash, "exit status 5")]
    {
        let stage = Stage::new(1, BOUNDS);
        let version = Arc::new(version("f", "1"));
        (0..deaf).for_each(|_| stage.next_birth(Birth::Deaf));
        let done = invoke(&stage, &version, "1", "answer:ok").await;
        assert_eq!(done.record.outcome, outcome, "{deaf}");
        assert!(text(&done).contains(answer), "{deaf}: {}", text(&done));
        assert_eq!(stage.book.records.lock().unwrap().len(), 1);
        assert_eq!(text(&invoke(&stage, &version, "2", "answer:fine").await), "fine");
        stage.end().await;
    }
}

#[tokio::test]
async fn times_and_reasons_are_true() {
    let stage = Stage::new(1, BOUNDS);
    let version = Arc::new(version("f", "1"));
    stage.next_birth(Birth::Well { sandbox_ms: 7, init_ms: 40 });
    let (first, second) = stage
        .play(async {
            let one = stage.engine.invoke(&version, call("1", "sleep:30 answer:a"));
            let two = async {
                stage.world.sleep(Duration::from_millis(60)).await;
                stage.engine.invoke(&version, call("2", "answer:b")).await
            };
            tokio::join!(one, two)
        })
        .await;
    let (first, second) = (first.unwrap().record, second.unwrap().record);
    let near =
        |us: u64, ms: u64| assert!((ms * 1000..=(ms + 2) * 1000).contains(&us), "{us} us, not {ms} ms");
    near(first.phases.sandbox_us, 7);
    near(first.phases.init_us, 40);
    near(first.phases.handler_us, 30);
    near(first.phases.queue_us, 0);
    assert_eq!(first.billed_ms, (first.phases.init_us + first.phases.handler_us).div_ceil(1000));
    assert_eq!((first.rung, first.reason.as_str()), (Rung::Spawn, "first instance"));
    near(second.phases.init_us, 2);
    assert_eq!((second.rung, second.reason.as_str()), (Rung::Spawn, "all instances busy"));
    let third = invoke(&stage, &version, "3", "answer:c").await.record;
    assert_eq!((third.rung, third.phases.queue_us, third.phases.init_us), (Rung::Idle, 0, 0));
    stage.end().await;
}

#[tokio::test]
async fn log_lines_stand_between_their_calls_start_and_end() {
    let stage = Stage::new(1, BOUNDS);
    let version = Arc::new(version("f", "1"));
    let tail = |id: &str, script: &str| {
        let mut call = call(id, script);
        call.tail = true;
        call
    };
    let one = tail("1", "print:hello warn:oh answer:1 print:late");
    let one = stage.play(stage.engine.invoke(&version, one)).await.unwrap();
    stage.pass(Duration::from_millis(5)).await;
    let two = tail("2", "print:again answer:2");
    let two = stage.play(stage.engine.invoke(&version, two)).await.unwrap();
    let heads = |lines: &[String]| -> Vec<String> {
        lines.iter().map(|l| l.split(['\t', ':']).next().unwrap().to_owned()).collect()
    };
    let lines = stage.book.lines_of(&one.record);
    let all = [
        "INIT_START Runtime Version",
        "START RequestId",
        "hello",
        "oh",
        "END RequestId",
        "REPORT RequestId",
        "[dayfly] printed after the end of RequestId",
        "late",
        "START RequestId",
        "again",
        "END RequestId",
        "REPORT RequestId",
    ];
    assert_eq!(heads(&lines), all, "{lines:#?}");
    let tail: Vec<String> = String::from_utf8(two.tail.unwrap()).unwrap().lines().map(Into::into).collect();
    assert_eq!(heads(&tail), all[8..], "another call's late output is not in it");
    stage.end().await;
}

#[tokio::test]
async fn an_early_answer_leaves_nothing_undone_that_its_caller_could_miss() {
    let stage = Stage::new(1, BOUNDS);
    let version = Arc::new(version("f", "1"));
    let (mut client, mut server) = tokio::net::UnixStream::pair().unwrap();
    // As the gateway: a task of its own that writes to a socket what it is answered.
    let serving = tokio::spawn({
        let (engine, version) = (stage.engine.clone(), version.clone());
        async move {
            for id in ["1", "2", "3"] {
                let answer = engine.answer(&version, call(id, &format!("print:hello answer:{id}"))).await;
                assert_eq!(answer.unwrap(), Answer::Returned(id.into()));
                server.write_all(id.as_bytes()).await.unwrap();
            }
        }
    });
    let asking = tokio::spawn({
        let book = stage.book.clone();
        async move {
            for id in ["1", "2", "3"] {
                assert_eq!(client.read_u8().await.unwrap(), id.as_bytes()[0]);
                let records = book.records.lock().unwrap().clone();
                let record = records.iter().find(|record| record.request_id == id).expect("it is written");
                let lines = book.lines_of(record).join("\n");
                let (_, mine) = lines.split_once(&format!("START RequestId: {id} ")).expect("it is written");
                assert!(mine.contains(&format!("\nhello\nEND RequestId: {id}\nREPORT RequestId: {id}\t")));
            }
        }
    });
    let (served, asked) = stage.play(async { tokio::join!(serving, asking) }).await;
    served.and(asked).expect("each was answered, and told in full");
    // The next call may come before the last one is told, and still finds its instance free.
    assert_eq!(stage.nursery.made.load(Ordering::SeqCst), 1);
    stage.end().await;
}

#[tokio::test]
async fn limits_refuse_with_their_names() {
    let check = |bounds: Bounds, concurrency: Option<u32>, calls: usize| async move {
        let stage = Stage::new(1, bounds);
        let mut version = version("f", "1");
        version.concurrency = concurrency;
        let version = Arc::new(version);
        let all =
            (0..calls).map(|n| stage.engine.invoke(&version, call(n.to_string(), "sleep:100 answer:x")));
        let results = stage.play(futures_util::future::join_all(all)).await;
        let refused = results.into_iter().filter_map(Result::err).collect::<Vec<_>>();
        stage.end().await;
        let limits: Vec<_> = refused
            .iter()
            .map(|refused| match refused {
                Refused::Throttled { reason, limit, .. } => (*reason, *limit),
                other => panic!("{other}"),
            })
            .collect();
        limits
    };
    let reserved = ("ReservedFunctionConcurrentInvocationLimitExceeded", "reserved concurrency");
    let account = |limit| ("ConcurrentInvocationLimitExceeded", limit);
    assert_eq!(check(BOUNDS, Some(0), 1).await, [reserved]);
    assert_eq!(check(BOUNDS, Some(2), 3).await, [reserved]);
    let few = Bounds { account_concurrency: 2, ..BOUNDS };
    assert_eq!(check(few, None, 3).await, [account("account-concurrency")]);
    let short = Bounds { queue_length: 2, ..BOUNDS };
    assert_eq!(check(short, None, 3).await, [account("queue-length")]);
    let small = Bounds { memory_mb: 100, ..BOUNDS };
    assert_eq!(check(small, None, 1).await, [account("machine-memory")]);
    let hasty = Bounds { memory_mb: 128, queue_wait: Duration::from_millis(50), ..BOUNDS };
    let late = check(hasty, None, 20).await;
    assert!(late.len() >= 5 && late.iter().all(|limit| *limit == account("machine-memory")), "{late:?}");
}

#[tokio::test]
async fn memory_bounds_the_instances_and_idle_ones_give_way() {
    let stage = Stage::new(1, Bounds { memory_mb: 512, ..BOUNDS });
    let (a, b) = (Arc::new(version("a", "1")), Arc::new(version("b", "1")));
    for version in [&a, &b] {
        let all = (0..12).map(|n| stage.engine.invoke(version, call(n.to_string(), "sleep:50 answer:x")));
        let results = stage.play(futures_util::future::join_all(all)).await;
        assert!(results.iter().all(Result::is_ok));
        assert!(stage.nursery.most_alive.load(Ordering::SeqCst) <= 4);
    }
    let idle = stage.engine.instances();
    assert!(idle.iter().all(|i| i.state == InstanceState::Idle), "{idle:?}");
    assert!(idle.iter().filter(|i| i.function == "b").count() >= 2, "{idle:?}");
    stage.pass(BOUNDS.idle_timeout + Duration::from_secs(2)).await;
    assert!(stage.engine.instances().is_empty(), "scaled to zero");
    assert_eq!(stage.nursery.alive.load(Ordering::SeqCst), 0);
    stage.end().await;
}

#[tokio::test]
async fn a_caller_that_leaves_changes_nothing() {
    let stage = Stage::new(1, Bounds { memory_mb: 128, ..BOUNDS });
    let version = Arc::new(version("f", "1"));
    let running = stage.engine.invoke(&version, call("gone", "sleep:100 answer:unheard"));
    let left = stage.play(async {
        tokio::select! {
            _ = running => false,
            () = stage.world.sleep(Duration::from_millis(50)) => true,
        }
    });
    assert!(left.await);
    assert_eq!(stage.engine.instances()[0].state, InstanceState::Busy, "it runs on");
    {
        let queued = stage.engine.invoke(&version, call("queued", "answer:never"));
        tokio::select! {
            biased;
            done = queued => panic!("{done:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    let next = invoke(&stage, &version, "next", "answer:fine").await;
    assert_eq!((text(&next), next.record.reason.as_str()), ("fine".into(), "freed instance"));
    let ids: Vec<_> = stage.book.records.lock().unwrap().iter().map(|r| r.request_id.clone()).collect();
    assert_eq!(ids, ["gone", "next"], "the withdrawn call never ran, the other one did to its end");
    stage.end().await;
}

#[tokio::test]
async fn a_new_revision_gets_new_instances() {
    let stage = Stage::new(1, BOUNDS);
    let (old, new) = (Arc::new(version("f", "1")), Arc::new(version("f", "2")));
    let before = invoke(&stage, &old, "1", "answer:x").await;
    stage.engine.retire(&new.name(), Some("2"));
    let after = invoke(&stage, &new, "2", "answer:x").await;
    assert_ne!(before.record.instance, after.record.instance);
    assert_eq!(after.record.reason, "new revision");
    stage.pass(Duration::from_millis(20)).await;
    assert_eq!(stage.engine.instances().len(), 1);
    stage.engine.retire(&new.name(), Some("2"));
    assert_eq!(invoke(&stage, &new, "3", "answer:x").await.record.rung, Rung::Idle);
    stage.engine.retire(&new.name(), None);
    assert_eq!(invoke(&stage, &new, "4", "answer:x").await.record.reason, "replaced or retired");
    stage.end().await;
}

#[tokio::test]
async fn a_drain_lets_calls_finish_and_kills_the_rest() {
    let stage = Stage::new(1, BOUNDS);
    let version = Arc::new(version("f", "1"));
    let quick = stage.engine.invoke(&version, call("quick", "sleep:200 answer:done"));
    let endless = stage.engine.invoke(&version, call("endless", "hang"));
    let drain = async {
        stage.world.sleep(Duration::from_millis(50)).await;
        stage.engine.drain(Duration::from_secs(1)).await;
        let refused = stage.engine.invoke(&version, call("late", "answer:x")).await;
        assert_eq!(refused.unwrap_err(), Refused::ShuttingDown);
    };
    let (quick, endless, ()) = stage.play(async { tokio::join!(quick, endless, drain) }).await;
    assert_eq!(text(&quick.unwrap()), "done");
    assert!(text(&endless.unwrap()).contains("Sandbox.Failure"));
    assert_eq!(stage.nursery.alive.load(Ordering::SeqCst), 0);
}

/// Security check 42: whatever the instances do, and however calls interleave, nobody gets another's answer.
#[tokio::test]
async fn no_caller_ever_gets_anothers_answer() {
    const SCRIPTS: [&str; 11] = [
        "answer:ID",
        "sleep:3 answer:ID",
        "sleep:40 answer:ID",
        "print:x answer:ID print:y",
        "sleep:999 answer:ID",
        "sleep:1001 answer:ID",
        "answer:ID answer:ID",
        "answer-as:7 answer:ID",
        "exit:1",
        "answer:ID sleep:1 answer:ID",
        "answer:ID exit:0",
    ];
    let mut calls = 0;
    for seed in 0..500 {
        let stage = Stage::new(seed, Bounds { memory_mb: 512, ..BOUNDS });
        let short = |name| Arc::new(Version { timeout_s: 1, ..version(name, "1") });
        let versions = [short("a"), short("b")];
        let one = |n: usize| {
            let dice = stage.world.random::<4>();
            let (stage, version) = (&stage, &versions[usize::from(dice[0]) % 2]);
            let (delay, leaves) = (u64::from(dice[1]) % 30, dice[2].is_multiple_of(8));
            let script = if n == 7 { 0 } else { usize::from(dice[3]) % SCRIPTS.len() };
            let script = SCRIPTS[script].replace("ID", &format!("for-{n}"));
            async move {
                stage.world.sleep(Duration::from_millis(delay)).await;
                let answer = stage.engine.invoke(version, call(n.to_string(), &script));
                let patience = Duration::from_millis(if leaves { 10 } else { 1_000_000 });
                let done = tokio::select! {
                    done = answer => done.expect("none is refused"),
                    () = stage.world.sleep(patience) => return,
                };
                assert_eq!(done.record.request_id, n.to_string());
                assert_eq!(done.record.function, version.function.as_str());
                match &done.outcome {
                    Answer::Returned(body) => assert_eq!(*body, format!("for-{n}")),
                    Answer::Failed(json) => {
                        let json = String::from_utf8_lossy(json);
                        assert!(json.contains(&format!("RequestId: {n} ")), "{json}");
                    }
                }
            }
        };
        let step = Duration::from_millis(1 + seed % 40);
        stage.play_by(step, futures_util::future::join_all((0..20).map(one))).await;
        calls += 20;
        stage.end().await;
    }
    assert_eq!(calls, 10_000);
}
