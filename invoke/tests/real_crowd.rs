//! Real handlers that serve several calls at once, in real sandboxes.

#[allow(dead_code, reason = "shared with the other test programs")]
mod book;
#[allow(dead_code, reason = "shared with the other test programs")]
mod ground;

use futures_util::future::join_all;
use ground::{Ground, text};
use invoke::{Bounds, Done};
use model::{Language, Outcome, Runtime, Version};
use std::sync::Arc;

fn bounds() -> Bounds {
    Bounds { memory_mb: 4096, ..Bounds::default() }
}

const NODE: &str = r#"
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
let here = 0
let most = 0
exports.handler = async (event, context) => {
  most = Math.max(most, ++here)
  try {
    if (event.deed === 'raise') throw new TypeError('as asked')
    if (event.deed === 'stray') setTimeout(() => { throw new RangeError('astray') }, 10)
    if (event.deed === 'reject') Promise.reject(new RangeError('astray'))
    if (event.deed === 'spin') for (;;);
    await pause(event.ms ?? 200)
    console.log('woke up')
    await pause(1)
    return { id: context.awsRequestId, most }
  } finally {
    here--
  }
}
"#;

/// Calls a function that is up with all events at once.
async fn together(ground: &Ground, version: &Arc<Version>, events: &[&str]) -> Vec<Done> {
    let first = ground.invoke(version, r#"{"deed":"fine","ms":1}"#).await;
    assert_eq!(first.record.outcome, Outcome::Success, "{}", text(&first));
    join_all(events.iter().map(|event| ground.invoke(version, event))).await
}

fn check_fine(done: &Done) {
    let id = &done.record.request_id;
    assert_eq!(done.record.outcome, Outcome::Success, "{}", text(done));
    assert!(text(done).contains(id), "{}", text(done));
    let tail = String::from_utf8_lossy(done.tail.as_ref().expect("it was asked for")).into_owned();
    let mine = tail.lines().filter(|line| line.contains("woke up")).collect::<Vec<_>>();
    assert!(mine.len() == 1 && mine[0].contains(id), "{tail}");
}

#[tokio::test]
async fn node_serves_several_at_once() {
    let ground = Ground::new(bounds()).await;
    let Some(runtime) = ground.runtime(Language::Node) else {
        println!("skipped: no Node on this machine");
        return ground.end().await;
    };
    let version =
        Version { instance_concurrency: 8, timeout_s: 2, ..ground.function(runtime, "many.js", NODE) };
    let version = Arc::new(version);
    let fine = r#"{"deed":"fine"}"#;
    let done = together(&ground, &version, &[fine; 8]).await;
    done.iter().for_each(check_fine);
    assert!(
        done.iter().any(|done| text(done).contains("\"most\":8")),
        "{:?}",
        done.iter().map(text).collect::<Vec<_>>()
    );
    assert!(done.iter().all(|other| other.record.instance == done[0].record.instance), "in one instance");

    let done = together(&ground, &version, &[fine, r#"{"deed":"raise"}"#, fine]).await;
    assert_eq!(done[1].record.error_type.as_deref(), Some("TypeError"));
    [&done[0], &done[2]].into_iter().for_each(check_fine);
    let stays = done[0].record.instance.clone();
    for deed in ["stray", "reject"] {
        let event = format!(r#"{{"deed":"{deed}"}}"#);
        let done = together(&ground, &version, &[fine, &event, fine]).await;
        assert_eq!(done[1].record.outcome, Outcome::Error, "{deed}: {}", text(&done[1]));
        assert!(text(&done[1]).contains("astray"), "{deed}: {}", text(&done[1]));
        [&done[0], &done[2]].into_iter().for_each(check_fine);
    }
    let after = ground.invoke(&version, fine).await;
    check_fine(&after);
    assert_ne!(after.record.instance, stays, "what strayed has ended its instance");

    let done =
        together(&ground, &version, &[r#"{"deed":"fine","ms":60000}"#, r#"{"deed":"fine","ms":1000}"#]).await;
    assert_eq!(done[0].record.outcome, Outcome::Timeout);
    check_fine(&done[1]);
    let done = together(&ground, &version, &[r#"{"deed":"spin"}"#]).await;
    assert_eq!(done[0].record.outcome, Outcome::Timeout);
    check_fine(&ground.invoke(&version, fine).await);
    ground.end().await;
}

const PROGRAM: &str = r#"#!/usr/bin/python3
import http.client, json, os, threading, time
base = "/2018-06-01/runtime/invocation/"
def work():
    talk = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        talk.request("GET", base + "next")
        answer = talk.getresponse()
        id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.loads(answer.read())
        time.sleep(event.get("ms", 200) / 1000)
        if event["deed"] == "error":
            talk.request("POST", base + id + "/error", '{"errorType":"Oops","errorMessage":"as asked"}')
        elif event["deed"] == "exit":
            os._exit(9)
        else:
            print(id, "woke up", flush=True)
            talk.request("POST", base + id + "/response", json.dumps({"id": id}))
        talk.getresponse().read()
for _ in range(int(os.environ["AWS_LAMBDA_MAX_CONCURRENCY"])):
    threading.Thread(target=work).start()
"#;

#[tokio::test]
async fn programs_may_wait_for_several_calls() {
    let ground = Ground::new(bounds()).await;
    if !std::path::Path::new("/usr/bin/python3").exists() {
        println!("skipped: the program of this test is written for /usr/bin/python3");
        return ground.end().await;
    }
    let runtime = Runtime::parse("provided.al2023").unwrap();
    let version =
        Version { instance_concurrency: 6, timeout_s: 5, ..ground.function(runtime, "bootstrap", PROGRAM) };
    let version = Arc::new(version);
    let fine = r#"{"deed":"fine"}"#;
    let done = together(&ground, &version, &[fine, fine, r#"{"deed":"error"}"#, fine, fine, fine]).await;
    assert!(done.iter().all(|other| other.record.instance == done[0].record.instance), "in one instance");
    assert_eq!(done[2].record.error_type.as_deref(), Some("Oops"));
    for (n, done) in done.iter().enumerate() {
        if n != 2 {
            check_fine(done);
        }
        assert!(done.record.phases.handler_us < 1_000_000, "{:?}", done.record.phases);
    }
    let done = together(&ground, &version, &[r#"{"deed":"exit","ms":100}"#, fine]).await;
    assert_eq!((done[0].record.outcome, done[1].record.outcome), (Outcome::Crash, Outcome::Crash));
    check_fine(&ground.invoke(&version, fine).await);
    ground.end().await;
}
