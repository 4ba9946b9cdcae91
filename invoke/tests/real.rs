//! Real handlers in real sandboxes: every bad thing that a function can do, what the caller is told, what the
//! record says, that the next call works, and that nothing is left.

mod book;
mod ground;

use ground::{Ground, text};
use invoke::{Answer, Bounds};
use model::{Language, Outcome, Rung, Version};
use std::sync::Arc;

fn bounds() -> Bounds {
    Bounds { memory_mb: 4096, ..Bounds::default() }
}

/// One bad deed: what the event asks for, how it ends, what the answer contains, whether the instance stays.
type Deed = (&'static str, Outcome, Option<&'static str>, &'static str, bool);

const PYTHON: &str = r#"
import ctypes, json, os, subprocess, sys, time

def sockets():
    links = "/proc/self/fd/"
    return [int(fd) for fd in os.listdir(links) if os.path.lexists(links + fd) and "socket:" in os.readlink(links + fd)]

def handler(event, context):
    deed = event["deed"]
    if deed == "fine":
        return {"id": context.aws_request_id, "left": context.get_remaining_time_in_millis()}
    if deed == "raise":
        raise ValueError("as asked")
    if deed == "unserializable":
        return object()
    if deed == "garbage":
        for fd in sockets():
            os.write(fd, b"\xff" * 4096)
        time.sleep(60)
    if deed == "hang":
        time.sleep(60)
    if deed == "spin":
        while True:
            pass
    if deed == "exit":
        os._exit(3)
    if deed == "exit-zero":
        os._exit(0)
    if deed == "sys-exit":
        sys.exit(4)
    if deed == "segfault":
        ctypes.string_at(0)
    if deed == "memory":
        hog = []
        while True:
            hog.append(bytearray(b"x" * (1 << 20)))
    if deed == "tmp":
        try:
            for n in range(1000):
                with open("/tmp/full-%d" % n, "wb") as f:
                    f.write(b"x" * (1 << 20))
        except OSError as error:
            for name in os.listdir("/tmp"):
                os.remove("/tmp/" + name)
            return error.errno
    if deed == "children":
        mark = event["mark"]
        for _ in range(5):
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", mark], start_new_session=True)
        if os.fork() == 0:
            if os.fork() == 0:
                os.execv(sys.executable, [sys.executable, "-c", "while True: pass", mark])
            os._exit(0)
        return "left behind"
    if deed == "flood":
        line = "x" * 1023
        for _ in range(100 * 1024):
            print(line)
        return "printed"
    if deed == "long-line":
        sys.stdout.write("y" * (10 << 20))
        sys.stderr.write("\x1b[31mred\r\n\xff")
        return "printed"
    if deed == "large":
        return "x" * (7 << 20)
    if deed == "close":
        for fd in sockets():
            os.close(fd)
        time.sleep(60)
    if deed == "stop":
        import signal
        os.kill(os.getpid(), signal.SIGSTOP)
        return "stopped myself"
"#;

const PYTHON_DEEDS: &[Deed] = &[
    ("raise", Outcome::Error, Some("ValueError"), "as asked", true),
    ("unserializable", Outcome::Error, Some("Runtime.MarshalError"), "Unable to marshal response", true),
    ("garbage", Outcome::Crash, Some("Runtime.ProtocolError"), "broke its protocol", false),
    ("hang", Outcome::Timeout, Some("Sandbox.Timedout"), "Task timed out after 2.00 seconds", false),
    ("spin", Outcome::Timeout, Some("Sandbox.Timedout"), "Task timed out after 2.00 seconds", false),
    ("exit", Outcome::Crash, Some("Runtime.ExitError"), "Runtime exited with error: exit status 3", false),
    (
        "exit-zero",
        Outcome::Crash,
        Some("Runtime.ExitError"),
        "Runtime exited without providing a reason",
        false,
    ),
    ("segfault", Outcome::Crash, Some("Runtime.ExitError"), "signal: segmentation fault", false),
    (
        "memory",
        Outcome::OutOfMemory,
        Some("Runtime.OutOfMemory"),
        "Runtime exited with error: signal: killed",
        false,
    ),
    ("tmp", Outcome::Success, None, "28", true),
    ("large", Outcome::Error, Some("Function.ResponseSizeTooLarge"), "6291556 bytes", true),
    ("close", Outcome::Crash, Some("Runtime.ProtocolError"), "broke its protocol", false),
    ("long-line", Outcome::Success, None, "printed", true),
];

const NODE: &str = r#"
const fs = require("fs");
exports.handler = async (event, context) => {
  switch (event.deed) {
    case "fine": return { id: context.awsRequestId, left: context.getRemainingTimeInMillis() };
    case "raise": throw new TypeError("as asked");
    case "unserializable": return { n: 1n };
    case "garbage": for (let fd = 3; fd < 64; fd++) try {
      if (fs.readlinkSync("/proc/self/fd/" + fd).startsWith("socket:")) fs.writeSync(fd, Buffer.alloc(4096, 0xff)); } catch {}
      await new Promise(() => setInterval(() => {}, 1000));
    case "hang": await new Promise(() => setInterval(() => {}, 1000));
    case "spin": for (;;);
    case "exit": process.exit(3);
    case "memory": { const hog = []; for (;;) hog.push(Buffer.alloc(1 << 20, 1)); }
    case "flood": { const line = "x".repeat(1023); for (let i = 0; i < 100 * 1024; i++) console.log(line); return "printed"; }
    case "large": return "x".repeat(7 << 20);
  }
};
"#;

const NODE_DEEDS: &[Deed] = &[
    ("raise", Outcome::Error, Some("TypeError"), "as asked", true),
    ("garbage", Outcome::Crash, Some("Runtime.ProtocolError"), "broke its protocol", false),
    ("hang", Outcome::Timeout, Some("Sandbox.Timedout"), "Task timed out after 2.00 seconds", false),
    ("spin", Outcome::Timeout, Some("Sandbox.Timedout"), "Task timed out after 2.00 seconds", false),
    ("exit", Outcome::Crash, Some("Runtime.ExitError"), "Runtime exited with error: exit status 3", false),
    (
        "memory",
        Outcome::OutOfMemory,
        Some("Runtime.OutOfMemory"),
        "Runtime exited with error: signal: killed",
        false,
    ),
    ("large", Outcome::Error, Some("Function.ResponseSizeTooLarge"), "6291556 bytes", true),
];

/// Does each deed between two good calls.
async fn check(language: Language, file: &str, code: &str, deeds: &[Deed]) {
    let ground = Ground::new(bounds()).await;
    let Some(runtime) = ground.runtime(language) else {
        println!("skipped: no {language:?} on this machine");
        return ground.end().await;
    };
    let version = Version { timeout_s: 2, ..ground.function(runtime, file, code) };
    let version = Arc::new(version);
    for (deed, outcome, error_type, answer, stays) in deeds {
        let first = ground.invoke(&version, r#"{"deed":"fine"}"#).await;
        assert_eq!(first.record.outcome, Outcome::Success, "{deed}: {}", text(&first));
        let bad = ground.invoke(&version, &format!(r#"{{"deed":"{deed}"}}"#)).await;
        let said: String = text(&bad).chars().take(500).collect();
        assert_eq!(bad.record.outcome, *outcome, "{deed}: {said}");
        assert_eq!(bad.record.error_type.as_deref(), *error_type, "{deed}: {said}");
        assert!(said.contains(answer), "{deed}: {said}");
        assert_eq!(matches!(bad.outcome, Answer::Returned(_)), *outcome == Outcome::Success, "{deed}");
        assert_eq!(bad.record.rung, Rung::Idle, "{deed}");
        let next = ground.invoke(&version, r#"{"deed":"fine"}"#).await;
        assert_eq!(next.record.outcome, Outcome::Success, "{deed}: {}", text(&next));
        assert!(text(&next).contains(&next.record.request_id), "{deed}: {}", text(&next));
        assert_eq!(next.record.instance == bad.record.instance, *stays, "{deed}");
        let lines = ground.book.lines_of(&bad.record);
        let id = &bad.record.request_id;
        for start in [
            format!("START RequestId: {id} "),
            format!("END RequestId: {id}"),
            format!("REPORT RequestId: {id}\t"),
        ] {
            assert_eq!(lines.iter().filter(|line| line.starts_with(&start)).count(), 1, "{deed}: {start}");
        }
    }
    ground.end().await;
}

#[tokio::test]
async fn python_functions_that_misbehave() {
    check(Language::Python, "app.py", PYTHON, PYTHON_DEEDS).await;
}

#[tokio::test]
async fn node_functions_that_misbehave() {
    check(Language::Node, "index.js", NODE, NODE_DEEDS).await;
}

#[tokio::test]
async fn code_that_does_not_load() {
    let ground = Ground::new(bounds()).await;
    let (python, node) = (ground.runtime(Language::Python), ground.runtime(Language::Node));
    let cases = [
        (&python, "gone.py", "def other(e, c): pass", "Runtime.HandlerNotFound"),
        (&python, "import.py", "import nothing_of_that_name", "Runtime.ImportModuleError"),
        (&python, "syntax.py", "def handler(", "Runtime.UserCodeSyntaxError"),
        (&python, "exit.py", "import os; print('last words'); os._exit(7)", "Runtime.ExitError"),
        (
            &python,
            "hog.py",
            "x = [bytearray(b'x' * (1 << 20)) for _ in range(1 << 20)]",
            "Runtime.OutOfMemory",
        ),
        (&node, "gone.js", "exports.other = () => 1;", "Runtime.HandlerNotFound"),
        (&node, "import.js", "require('nothing-of-that-name');", "Runtime.ImportModuleError"),
        (&node, "exit.js", "console.log('last words'); process.exit(7);", "Runtime.ExitError"),
    ];
    for (runtime, file, code, error_type) in cases {
        let Some(runtime) = runtime else {
            println!("skipped: {file}");
            continue;
        };
        let version = Arc::new(ground.function(runtime.clone(), file, code));
        for _ in 0..2 {
            let done = ground.invoke(&version, "{}").await;
            assert_eq!(done.record.error_type.as_deref(), Some(error_type), "{file}: {}", text(&done));
            let expected =
                if error_type.contains("Memory") { Outcome::OutOfMemory } else { Outcome::InitError };
            assert_eq!(done.record.outcome, expected, "{file}");
            assert!(matches!(done.outcome, Answer::Failed(_)));
            let tail = String::from_utf8_lossy(done.tail.as_deref().unwrap()).into_owned();
            assert!(tail.contains("INIT_REPORT") && tail.contains("REPORT RequestId"), "{file}: {tail}");
            assert_eq!(tail.contains("last words"), file.starts_with("exit"), "{file}: {tail}");
        }
    }
    ground.end().await;
}

#[tokio::test]
async fn a_flood_of_output_neither_hangs_nor_fills_memory() {
    let ground = Ground::new(bounds()).await;
    for (language, file, code) in [(Language::Python, "app.py", PYTHON), (Language::Node, "index.js", NODE)] {
        let Some(runtime) = ground.runtime(language) else { continue };
        let version = Arc::new(Version { timeout_s: 60, ..ground.function(runtime, file, code) });
        let before = peak_kilobytes();
        let flood = ground.invoke(&version, r#"{"deed":"flood"}"#).await;
        assert_eq!(text(&flood), r#""printed""#);
        let lines = ground.book.lines_of(&flood.record);
        let printed: usize =
            lines.iter().filter(|line| line.ends_with("xxx")).map(|line| line.len() + 1).sum();
        let cap = usize::try_from(model::limit("log-invocation-bytes")).unwrap();
        assert!((cap - 2048..=cap).contains(&printed), "{printed} bytes are kept");
        assert!(lines.iter().any(|line| line.contains("bytes of log output were dropped")));
        assert_eq!(flood.tail.as_ref().unwrap().len(), 4096);
        let grown = peak_kilobytes() - before;
        assert!(grown < 60 * 1024, "{grown} KiB for {} KiB that the test keeps", cap / 1024);
        let next = ground.invoke(&version, r#"{"deed":"fine"}"#).await;
        assert_eq!(next.record.instance, flood.record.instance);
        let tail = String::from_utf8(next.tail.unwrap()).unwrap();
        assert!(tail.starts_with("START") && !tail.contains("xxx"), "{tail}");
    }
    ground.end().await;
}

fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn processes_that_a_handler_leaves_end_with_its_instance() {
    let ground = Ground::new(bounds()).await;
    let Some(runtime) = ground.runtime(Language::Python) else { return ground.end().await };
    let version = Arc::new(ground.function(runtime, "app.py", PYTHON));
    let event = format!(r#"{{"deed":"children","mark":"marked-{}"}}"#, std::process::id());
    let first = ground.invoke(&version, &event).await;
    assert_eq!(text(&first), r#""left behind""#);
    let next = ground.invoke(&version, r#"{"deed":"fine"}"#).await;
    assert_eq!(next.record.instance, first.record.instance, "they live on beside the next call, as on AWS");
    ground.engine.retire(&version.name(), None);
    // `end` compares the processes of this machine that carry the mark with those before.
    ground.end().await;
}

#[tokio::test]
async fn records_tell_the_truth_about_time_and_memory() {
    let ground = Ground::new(bounds()).await;
    let Some(runtime) = ground.runtime(Language::Python) else { return ground.end().await };
    let code = "import time\nt = time.time()\nwhile time.process_time() < 0.2: pass\n\
                def handler(e, c):\n    hog = b'x' * (64 << 20)\n    t = time.process_time()\n    \
                while time.process_time() - t < 0.1: pass\n    return len(hog)";
    let version = Arc::new(ground.function(runtime, "busy.py", code));
    let cold = ground.invoke(&version, "{}").await.record;
    let warm = ground.invoke(&version, "{}").await.record;
    assert_eq!((cold.rung, warm.rung), (Rung::Spawn, Rung::Idle));
    assert!(cold.phases.sandbox_us > 0 && cold.phases.init_us >= 150_000, "{:?}", cold.phases);
    assert_eq!((warm.phases.sandbox_us, warm.phases.init_us), (0, 0));
    let cpu = |usage: model::Usage| usage.user_us + usage.system_us;
    assert!(cpu(cold.usage) >= 280_000, "init is in it: {:?}", cold.usage);
    assert!((90_000..400_000).contains(&cpu(warm.usage)), "{:?}", warm.usage);
    assert!(warm.usage.peak_bytes > 64 << 20 && warm.usage.peak_bytes < 256 << 20, "{:?}", warm.usage);
    assert!(cold.billed_ms >= 250 && warm.billed_ms >= 100);
    ground.end().await;
}

#[tokio::test]
async fn a_herd_of_first_calls_is_served_by_as_many_instances_as_fit() {
    let ground = Ground::new(Bounds { memory_mb: 1024, ..Bounds::default() }).await;
    let Some(runtime) = ground.runtime(Language::Python) else { return ground.end().await };
    let version = Arc::new(ground.function(runtime, "app.py", PYTHON));
    let calls = (0..300).map(|_| ground.invoke(&version, r#"{"deed":"fine"}"#));
    let done = futures_util::future::join_all(calls).await;
    let mut instances = std::collections::BTreeSet::new();
    for done in &done {
        assert!(text(done).contains(&done.record.request_id), "{}", text(done));
        instances.insert(done.record.instance.clone());
    }
    assert!((1..=4).contains(&instances.len()), "{instances:?}");
    ground.end().await;
}

const RUNTIME_API: &str = r#"#!/usr/bin/python3
import http.client, json, os
talk = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
base = "/2018-06-01/runtime/invocation/"
while True:
    talk.request("GET", base + "next")
    answer = talk.getresponse()
    id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
    event = json.loads(answer.read())
    if event["deed"] == "exit":
        os._exit(9)
    if event["deed"] == "error":
        talk.request("POST", base + id + "/error", '{"errorType":"Oops","errorMessage":"as asked"}')
    elif event["deed"] == "wrong":
        talk.request("POST", base + "00000000-0000-0000-0000-000000000000/response", '"stolen"')
        talk.getresponse().read()
        talk.close()
        continue
    else:
        print("at work", flush=True)
        talk.request("POST", base + id + "/response", json.dumps({"id": id}))
    talk.getresponse().read()
    if event["deed"] == "answer-and-exit":
        os._exit(0)
"#;

#[tokio::test]
async fn programs_that_speak_the_runtime_api() {
    let ground = Ground::new(bounds()).await;
    if !std::path::Path::new("/usr/bin/python3").exists() {
        println!("skipped: the program of this test is written for /usr/bin/python3");
        return ground.end().await;
    }
    let runtime = model::Runtime::parse("provided.al2023").unwrap();
    let version = Version { timeout_s: 2, ..ground.function(runtime.clone(), "bootstrap", RUNTIME_API) };
    let version = Arc::new(version);
    for (deed, outcome, answer) in [
        ("exit", Outcome::Crash, "exit status 9"),
        ("error", Outcome::Error, "as asked"),
        ("wrong", Outcome::Timeout, "timed out"),
        ("answer-and-exit", Outcome::Success, "id"),
    ] {
        let good = ground.invoke(&version, r#"{"deed":"fine"}"#).await;
        assert!(text(&good).contains(&good.record.request_id), "{deed}: {}", text(&good));
        assert!(String::from_utf8_lossy(good.tail.as_ref().unwrap()).contains("at work"));
        let bad = ground.invoke(&version, &format!(r#"{{"deed":"{deed}"}}"#)).await;
        assert_eq!(
            bad.record.outcome,
            outcome,
            "{deed}: {} {}",
            text(&bad),
            String::from_utf8_lossy(bad.tail.as_ref().unwrap())
        );
        assert!(text(&bad).contains(answer), "{deed}: {}", text(&bad));
    }
    for (file, code, why) in [("other", "x", "bootstrap"), ("bootstrap", "no program at all", "bootstrap")] {
        let broken = Arc::new(ground.function(runtime.clone(), file, code));
        let done = ground.invoke(&broken, "{}").await;
        assert_eq!(done.record.outcome, Outcome::InitError, "{}", text(&done));
        assert_eq!(done.record.error_type.as_deref(), Some("Runtime.InvalidEntrypoint"), "{}", text(&done));
        assert!(text(&done).contains(why), "{}", text(&done));
    }
    ground.end().await;
}
