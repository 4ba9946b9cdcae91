//! Instances that misbehave: each gets the right answer and never confuses a caller.

use model::Call;
use runtimes::{Channel, ChannelError, Event};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);
const DEADLINE_MS: u64 = 4_102_444_800_000;
const ACCEPTED: &str = r#"202 {"status":"OK"}"#;
const WRONG_ID: &str = r#"400 {"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}"#;
const MAX_ANSWER: usize = 6 * 1024 * 1024 + 100;

fn call(id: &str) -> Call {
    Call { request_id: id.into(), payload: b"{}"[..].into(), invoked_arn: "arn".into(), ..Call::default() }
}

async fn next(channel: &mut Channel) -> Event {
    tokio::time::timeout(PATIENCE, channel.next()).await.expect("an event in time")
}

/// Says nothing for a moment.
async fn quiet(channel: &mut Channel) {
    let event = tokio::time::timeout(Duration::from_millis(50), channel.next()).await;
    assert!(event.is_err(), "{event:?}");
}

fn error(kind: &str, message: &str) -> String {
    format!(r#"{{"errorType":"{kind}","errorMessage":"{message}"}}"#)
}

fn shown(event: Event) -> String {
    match event {
        Event::Ready => "ready".into(),
        Event::Response { id, body } => format!("response {id} {}", String::from_utf8_lossy(&body)),
        Event::Error { id, json } => format!("error {id} {}", String::from_utf8_lossy(&json)),
        Event::InitError(json) => format!("init error {}", String::from_utf8_lossy(&json)),
        other => format!("{other:?}"),
    }
}

// ---- frames

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&length[..], &[kind], payload].concat()
}

fn answer(kind: u8, id: &str, body: &str) -> Vec<u8> {
    frame(kind, &[&[u8::try_from(id.len()).unwrap()], id.as_bytes(), body.as_bytes()].concat())
}

fn framed() -> (Channel, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Channel::framed(ours, 1).unwrap(), theirs)
}

fn write(stream: &UnixStream, bytes: &[u8]) {
    std::io::Write::write_all(&mut &*stream, bytes).unwrap();
}

#[tokio::test]
async fn frames_out_of_turn_retire_the_instance() {
    let ready = frame(16, b"");
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("ready twice", ready.clone(), "ready from an instance that is busy with \"a\""),
        ("an init error after ready", frame(17, b"{}"), "an init error from an instance that is busy"),
        ("another id", answer(18, "b", "1"), "a response to \"b\" from an instance that is busy with \"a\""),
        ("an error for another id", answer(19, "b", "{}"), "an error for \"b\" from"),
        ("a last error for another id", answer(21, "b", "{}"), "an error for \"b\" from"),
        ("garbage", b"GET / HTTP/1.1\r\n\r\n".to_vec(), "unknown frame kind 47"),
        (
            "too long",
            [&[255, 255, 255, 255, 18][..], b"x"].concat(),
            "frame of kind 18 with 4294967295 bytes",
        ),
        ("a kind of ours", frame(1, b""), "unknown frame kind 1"),
        ("an id that is no text", frame(18, &[2, 0xff, 0xff]), "malformed frame of kind 18"),
    ];
    for (name, bytes, expected) in cases {
        let (mut channel, theirs) = framed();
        write(&theirs, &ready);
        assert_eq!(next(&mut channel).await, Event::Ready);
        channel.send(&call("a"), DEADLINE_MS).await.unwrap();
        write(&theirs, bytes);
        // Whatever it says after that is not heard.
        let _ = std::io::Write::write_all(&mut &theirs, &answer(18, "a", "late"));
        match next(&mut channel).await {
            Event::Violation(text) => assert!(text.starts_with(expected), "{name}: {text}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(next(&mut channel).await, Event::Closed, "{name}");
        assert!(!channel.is_idle(), "{name}");
        assert!(matches!(channel.send(&call("c"), DEADLINE_MS).await, Err(ChannelError::Closed)), "{name}");
    }
}

#[tokio::test]
async fn an_answer_to_nothing_is_a_violation() {
    for late in [answer(18, "a", "1"), answer(19, "a", "{}")] {
        let (mut channel, theirs) = framed();
        write(&theirs, &frame(16, b""));
        assert_eq!(next(&mut channel).await, Event::Ready);
        channel.send(&call("a"), DEADLINE_MS).await.unwrap();
        write(&theirs, &answer(18, "a", "1"));
        assert_eq!(shown(next(&mut channel).await), "response a 1");
        write(&theirs, &late);
        assert!(matches!(next(&mut channel).await, Event::Violation(_)));
    }
}

fn framed_for(most: u32) -> (Channel, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Channel::framed(ours, most).unwrap(), theirs)
}

#[tokio::test]
async fn several_calls_go_in_one_write_and_their_answers_come_in_any_order() {
    let (mut channel, theirs) = framed_for(3);
    write(&theirs, &frame(16, b""));
    assert_eq!(next(&mut channel).await, Event::Ready);
    let calls = ["a", "b", "c"].map(call);
    let calls: Vec<_> = calls.iter().map(|call| (call, DEADLINE_MS)).collect();
    let busy = channel.send_all(&[&calls[..], &calls[..1]].concat()).await.unwrap_err();
    assert!(matches!(busy.error, ChannelError::Busy) && busy.taken == 0);
    channel.send_all(&calls).await.unwrap();
    assert!(!channel.is_idle());
    let mut read = [0; 4096];
    let count = std::io::Read::read(&mut &theirs, &mut read).unwrap();
    let head = |id: &str| format!(r#"{{"id":"{id}","deadline_ms":{DEADLINE_MS},"arn":"arn"}}{{}}"#);
    let said = String::from_utf8_lossy(&read[..count]).into_owned();
    assert!(["a", "b", "c"].iter().all(|id| said.contains(&head(id))), "{said}");
    let answers = [answer(18, "c", "3"), frame(20, b"\x07\0\0\0\0\0\0\0log"), answer(19, "a", "{}")].concat();
    let last = answer(18, "b", "2");
    write(&theirs, &[&answers[..], &last[..3]].concat());
    assert_eq!(shown(next(&mut channel).await), "response c 3");
    assert!(matches!(channel.said(), Some(Event::Log { .. })));
    assert_eq!(channel.said().map(shown).as_deref(), Some("error a {}"));
    assert!(channel.said().is_none() && channel.is_idle(), "half a frame is nothing yet");
    write(&theirs, &last[3..]);
    assert_eq!(shown(next(&mut channel).await), "response b 2");
    assert!(channel.said().is_none());
}

#[tokio::test]
async fn calls_that_were_not_sent_as_a_whole_were_not_taken() {
    let (mut channel, theirs) = framed_for(3);
    write(&theirs, &frame(16, b""));
    assert_eq!(next(&mut channel).await, Event::Ready);
    let large = Call { payload: vec![b' '; 6 * 1024 * 1024].into(), ..call("b") };
    let (first, last) = (call("a"), call("c"));
    let reader = std::thread::spawn(move || {
        std::io::Read::read_exact(&mut &theirs, &mut [0; 64 * 1024]).unwrap();
    });
    let calls = [(&first, DEADLINE_MS), (&large, DEADLINE_MS), (&last, DEADLINE_MS)];
    let failed = tokio::time::timeout(PATIENCE, channel.send_all(&calls)).await.unwrap().unwrap_err();
    assert_eq!(failed.taken, 1, "{failed}");
    reader.join().unwrap();
    assert!(!channel.is_idle());
}

#[tokio::test]
async fn a_conversation_and_its_ends() {
    let (mut channel, theirs) = framed();
    assert!(matches!(channel.send(&call("a"), DEADLINE_MS).await, Err(ChannelError::Busy)));
    write(&theirs, &[frame(20, b"\x07\0\0\0\0\0\0\0two\nlines"), frame(16, b"")].concat());
    let log = Event::Log { stamp_us: 7, message: b"two\nlines".as_slice().into() };
    assert_eq!([next(&mut channel).await, next(&mut channel).await], [log, Event::Ready]);
    channel.send(&call("a"), DEADLINE_MS).await.unwrap();
    assert!(matches!(channel.send(&call("b"), DEADLINE_MS).await, Err(ChannelError::Busy)));
    write(&theirs, &answer(19, "a", "{}"));
    assert_eq!(shown(next(&mut channel).await), "error a {}");
    assert!(channel.is_idle());
    channel.send(&call("b"), DEADLINE_MS).await.unwrap();
    write(&theirs, &answer(21, "b", "{}"));
    assert_eq!(shown(next(&mut channel).await), "error b {}");
    assert!(!channel.is_idle(), "it has said that it ends");
    drop(theirs);
    assert_eq!(next(&mut channel).await, Event::Closed);
    assert!(matches!(channel.send(&call("c"), DEADLINE_MS).await, Err(ChannelError::Closed)));
}

#[tokio::test]
async fn an_instance_that_only_writes_does_not_block_a_large_event() {
    let (mut channel, theirs) = framed();
    write(&theirs, &frame(16, b""));
    assert_eq!(next(&mut channel).await, Event::Ready);
    let instance = std::thread::spawn(move || {
        let record = frame(20, &[0; 8 + 1000]);
        for _ in 0..600 {
            write(&theirs, &record); // more than the socket holds: nobody reads until the event is written
        }
        let mut head = [0; 5];
        std::io::Read::read_exact(&mut &theirs, &mut head).unwrap();
        let mut rest = vec![0; u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize];
        std::io::Read::read_exact(&mut &theirs, &mut rest).unwrap();
        write(&theirs, &answer(18, "a", "1"));
    });
    let large = Call { payload: vec![b' '; 6 * 1024 * 1024].into(), ..call("a") };
    tokio::time::timeout(PATIENCE, channel.send(&large, DEADLINE_MS)).await.unwrap().unwrap();
    let mut logs = 0;
    loop {
        match next(&mut channel).await {
            Event::Log { .. } => logs += 1,
            other => break assert_eq!(shown(other), "response a 1"),
        }
    }
    assert_eq!(logs, 600);
    instance.join().unwrap();
}

// ---- the HTTP Runtime API

fn runtime_api() -> (Channel, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (Channel::runtime_api(listener, 1).unwrap(), address)
}

/// Sends raw bytes on a connection of its own; status and body of the reply.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(request).await;
    reply(&mut stream).await
}

async fn reply(stream: &mut TcpStream) -> String {
    let (head, body) = tokio::time::timeout(PATIENCE, read_reply(stream)).await.expect("a reply in time");
    let status = head.split(' ').nth(1).unwrap_or_default();
    format!("{status} {body}").trim_end().to_owned()
}

async fn read_reply(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.to_lowercase().split("content-length: ").nth(1).and_then(|rest| {
                    rest.lines().next().and_then(|digits| digits.trim().parse::<usize>().ok())
                });
            if body.len() >= length.unwrap_or_default() {
                return (head.to_owned(), body.to_owned());
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return (text, String::new()),
            Ok(got) => bytes.extend_from_slice(&chunk[..got]),
        }
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

const NEXT: &str = "/2018-06-01/runtime/invocation/next";

fn path(id: &str, verb: &str) -> String {
    format!("/2018-06-01/runtime/invocation/{id}/{verb}")
}

/// A channel whose runtime has taken call `a`.
async fn running() -> (Channel, SocketAddr) {
    let (mut channel, address) = runtime_api();
    let polling = tokio::spawn(async move { raw(address, &get(NEXT)).await });
    assert_eq!(next(&mut channel).await, Event::Ready);
    channel.send(&call("a"), DEADLINE_MS).await.unwrap();
    assert_eq!(polling.await.unwrap(), "200 {}");
    assert!(channel.has_taken());
    (channel, address)
}

/// State transition errors, as AWS words them.
fn transition(from: &str, to: &str) -> String {
    let text = format!(
        "State transition from {from} to {to} failed for runtime. Error: State transition is not allowed"
    );
    format!(r#"403 {{"errorMessage":"{text}","errorType":"InvalidStateTransition"}}"#)
}

/// A name, what a runtime sends while it works on call `a`, the reply, and the event that follows.
type Row = (&'static str, Vec<u8>, String, Option<String>);

const STREAMING: &str = "Lambda-Runtime-Function-Response-Mode: streaming\r\n";

fn answers_and_mistakes() -> Vec<Row> {
    let type_header = "Lambda-Runtime-Function-Error-Type: ";
    vec![
        ("a response", post(&path("a", "response"), "", "[1]"), ACCEPTED.into(), Some("response a [1]".into())),
        ("no body", post(&path("a", "response"), "", ""), ACCEPTED.into(), Some("response a ".into())),
        ("streaming mode", post(&path("a", "response"), STREAMING, "x"), ACCEPTED.into(), Some("response a x".into())),
        (
            "another mode",
            post(&path("a", "response"), "Lambda-Runtime-Function-Response-Mode: fast\r\n", "x"),
            r#"400 {"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}"#.into(),
            Some(format!("error a {}", error("Runtime.InvalidResponseModeHeader", ""))),
        ),
        ("an error", post(&path("a", "error"), "", r#"{"errorType":"E"}"#), ACCEPTED.into(), Some(r#"error a {"errorType":"E"}"#.into())),
        ("an error that is not JSON", post(&path("a", "error"), "", "oops"), ACCEPTED.into(), Some("error a oops".into())),
        (
            "an error by its type alone",
            post(&path("a", "error"), &format!("{type_header}Runtime.Some\r\n"), ""),
            ACCEPTED.into(),
            Some(format!("error a {}", error("Runtime.Some", ""))),
        ),
        (
            "an error type that AWS does not know",
            post(&path("a", "error"), &format!("{type_header}my.Type\r\n"), ""),
            ACCEPTED.into(),
            Some(format!("error a {}", error("Function.Unknown", ""))),
        ),
        ("another id", post(&path("b", "response"), "", "1"), WRONG_ID.into(), None),
        ("an error for another id", post(&path("b", "error"), "", "1"), WRONG_ID.into(), None),
        ("an id within a path", post(&path("a/x", "response"), "", "1"), WRONG_ID.into(), None),
        ("no id", post("/2018-06-01/runtime/invocation//response", "", "1"), WRONG_ID.into(), None),
        ("an init error", post("/2018-06-01/runtime/init/error", "", "{}"), transition("Running", "InitError"), None),
        ("next once more", get(NEXT), "200 {}".into(), None),
        ("a wrong verb", get(&path("a", "response")), "405".into(), None),
        ("a wrong path", get("/2018-06-01/runtime/other"), "404 404 page not found".into(), None),
        ("ping", get("/2018-06-01/ping"), "200 pong".into(), None),
        ("no HTTP", b"\x16\x03\x01 nonsense\r\n\r\n".to_vec(), "400".into(), None),
    ]
}

fn bodies_beyond_limits() -> Vec<Row> {
    vec![        (
            "as large as can be",
            post(&path("a", "response"), "", &"x".repeat(MAX_ANSWER)),
            ACCEPTED.into(),
            Some(format!("response a {}", "x".repeat(MAX_ANSWER))),
        ),
        (
            "too large",
            post(&path("a", "response"), "", &"x".repeat(MAX_ANSWER + 1)),
            r#"413 {"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}"#.into(),
            Some(format!(
                "error a {}",
                error("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (6291556 bytes).")
            )),
        ),
        (
            "a body that breaks off",
            b"POST /2018-06-01/runtime/invocation/a/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec(),
            r#"400 {"errorMessage":"HTTP request detected as truncated","errorType":"TruncatedHTTPRequest"}"#.into(),
            Some(format!("error a {}", error("Runtime.TruncatedResponse", ""))),
        ),
        (
            "a stream that fails midway",
            [
                format!("POST {} HTTP/1.1\r\nHost: x\r\n{STREAMING}Transfer-Encoding: chunked\r\n", path("a", "response")),
                "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n4\r\npart\r\n0\r\n".into(),
                "Lambda-Runtime-Function-Error-Type: Function.Late\r\n".into(),
                "Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJMYXRlIn0=\r\n\r\n".into(),
            ]
            .concat()
            .into_bytes(),
            ACCEPTED.into(),
            Some(r#"error a {"errorType":"Late"}"#.into()),
        ),
    ]
}

#[tokio::test]
async fn replies_to_a_runtime_that_works_on_a_call() {
    let cases = answers_and_mistakes().into_iter().chain(bodies_beyond_limits());
    for (name, request, expected, event) in cases {
        let (mut channel, address) = running().await;
        assert_eq!(raw(address, &request).await, expected, "{name}");
        match event {
            Some(event) => assert_eq!(shown(next(&mut channel).await), event, "{name}"),
            None => {
                quiet(&mut channel).await;
                assert_eq!(raw(address, &post(&path("a", "response"), "", "ok")).await, ACCEPTED, "{name}");
                assert_eq!(shown(next(&mut channel).await), "response a ok", "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_second_answer_is_refused_before_and_after_the_next_call() {
    let (mut channel, address) = running().await;
    assert_eq!(raw(address, &post(&path("a", "response"), "", "1")).await, ACCEPTED);
    assert_eq!(shown(next(&mut channel).await), "response a 1");
    let twice = transition("ResponseSent", "InvocationErrorResponse");
    assert_eq!(raw(address, &post(&path("a", "error"), "", "{}")).await, twice);
    channel.send(&call("b"), DEADLINE_MS).await.unwrap();
    assert!(!channel.has_taken());
    assert_eq!(raw(address, &post(&path("b", "response"), "", "guessed")).await, WRONG_ID);
    assert_eq!(raw(address, &get(NEXT)).await, "200 {}");
    assert_eq!(raw(address, &post(&path("a", "response"), "", "late")).await, WRONG_ID);
    quiet(&mut channel).await;
    assert_eq!(raw(address, &post(&path("b", "response"), "", "2")).await, ACCEPTED);
    assert_eq!(shown(next(&mut channel).await), "response b 2");
}

#[tokio::test]
async fn a_connection_that_is_cut_within_an_answer_is_an_error_at_once() {
    let (mut channel, address) = running().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let part =
        format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf", path("a", "response"));
    stream.write_all(part.as_bytes()).await.unwrap();
    quiet(&mut channel).await;
    drop(stream);
    assert_eq!(
        shown(next(&mut channel).await),
        format!("error a {}", error("Runtime.TruncatedResponse", ""))
    );
    assert!(channel.is_idle());
}

#[tokio::test]
async fn two_connections_that_poll_share_no_call() {
    let (mut channel, address) = runtime_api();
    let polls: Vec<_> = (0..2).map(|_| tokio::spawn(async move { raw(address, &get(NEXT)).await })).collect();
    assert_eq!(next(&mut channel).await, Event::Ready);
    tokio::time::sleep(Duration::from_millis(50)).await;
    for id in ["a", "b"] {
        channel.send(&call(id), DEADLINE_MS).await.unwrap();
        while !channel.has_taken() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let answered = polls.iter().filter(|poll| poll.is_finished()).count();
        assert!(answered <= if id == "a" { 1 } else { 2 });
        assert_eq!(raw(address, &post(&path(id, "response"), "", "1")).await, ACCEPTED);
        assert_eq!(shown(next(&mut channel).await), format!("response {id} 1"));
    }
    for poll in polls {
        assert_eq!(poll.await.unwrap(), "200 {}");
    }
}

#[tokio::test]
async fn init_errors_end_the_conversation() {
    let (mut channel, address) = runtime_api();
    let request =
        post("/2018-06-01/runtime/init/error", "Lambda-Runtime-Function-Error-Type: Runtime.Bad\r\n", "");
    assert_eq!(raw(address, &request).await, ACCEPTED);
    assert_eq!(shown(next(&mut channel).await), format!("init error {}", error("Runtime.Bad", "")));
    assert_eq!(raw(address, &request).await, transition("InitError", "InitError"));
    assert_eq!(raw(address, &get(NEXT)).await, transition("InitError", "Ready"));
    assert!(matches!(channel.send(&call("a"), DEADLINE_MS).await, Err(ChannelError::Closed)));
}

#[tokio::test]
async fn what_next_says() {
    let (mut channel, address) = runtime_api();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&get(NEXT)).await.unwrap();
    assert_eq!(next(&mut channel).await, Event::Ready);
    let full = Call {
        trace: Some("Root=1".into()),
        client_context: Some("{\n \"a\": \"é\"}".into()),
        payload: b"[1]"[..].into(),
        ..call("a")
    };
    channel.send(&full, 1234).await.unwrap();
    let (head, body) = read_reply(&mut stream).await;
    assert_eq!(body, "[1]");
    let head = head.to_lowercase();
    let expected = [
        "content-type: application/json",
        "lambda-runtime-aws-request-id: a",
        "lambda-runtime-trace-id: root=1",
        "lambda-runtime-client-context: {  \"a\": \"é\"}",
        "lambda-runtime-invoked-function-arn: arn",
        "lambda-runtime-deadline-ms: 1234",
    ];
    for header in expected {
        assert!(head.contains(&format!("\r\n{header}\r\n")) || head.ends_with(header), "{header}:\n{head}");
    }
    assert!(!head.contains("cognito") && !head.contains("tenant"));
}

#[tokio::test]
async fn a_dropped_channel_hangs_up() {
    let (channel, address) = runtime_api();
    let polling = tokio::spawn(async move { raw(address, &get(NEXT)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(channel);
    assert_eq!(polling.await.unwrap(), "");
}
