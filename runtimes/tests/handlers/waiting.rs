//! Interpreters that are started before it is known what for: they wait for a Load frame.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const INVOKE: u8 = 1;
const LOAD: u8 = 2;
const READY: u8 = 16;
const WAITS: u8 = 22;
const RESPONSE: u8 = 18;

/// Starts `argv`, has `appear` make the task root only then, loads `env` and makes one call; the answer.
pub fn load_and_call(argv: &[String], appear: impl FnOnce(), env: &Value, event: &str) -> Value {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut child = Command::new("/bin/sh")
        .args(["-c", r#"exec "$@" 3<&0 0</dev/null"#, "sh"])
        .args(argv)
        .env_clear()
        .envs([("DAYFLY_WAIT", "1"), ("STALE", "1"), ("TZ", ":UTC"), ("PATH", "/usr/bin:/bin")])
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    assert_eq!(receive(&mut ours), (WAITS, vec![]));
    appear();
    send(&mut ours, LOAD, json!({ "env": env }).to_string().as_bytes());
    assert_eq!(receive(&mut ours).0, READY);
    let header = json!({"id": "id", "deadline_ms": 4_102_444_800_000_u64, "arn": "arn"}).to_string();
    let length = u32::try_from(header.len()).unwrap().to_le_bytes();
    send(&mut ours, INVOKE, &[&length, header.as_bytes(), event.as_bytes()].concat());
    let (kind, answer) = receive(&mut ours);
    drop(ours);
    child.wait().unwrap();
    let text = String::from_utf8(answer).unwrap();
    assert_eq!((kind, &text[..3]), (RESPONSE, "\u{2}id"), "{text}");
    serde_json::from_str(&text[3..]).unwrap()
}

fn send(stream: &mut UnixStream, kind: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    stream.write_all(&[&length, &[kind][..], payload].concat()).unwrap();
}

fn receive(stream: &mut UnixStream) -> (u8, Vec<u8>) {
    let mut head = [0; 5];
    stream.read_exact(&mut head).unwrap();
    let mut payload = vec![0; u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize];
    stream.read_exact(&mut payload).unwrap();
    (head[4], payload)
}
