//! Runs a case: starts a runtime on it, holds the conversation, gathers what came.

use crate::case::{Case, Got, Outcome, letters};
use model::Call;
use runtimes::{Channel, Event};
use sandbox::{Exit, Sandbox};
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
pub const DEADLINE_MS: u64 = 4_102_444_800_000; // 2100

/// A runtime of one kind: ours, or AWS's client as the reference.
pub trait Subject {
    /// Starts it on a case whose files are in `folder`.
    async fn start(&self, case: &Case, folder: &Path) -> (Process, Channel);

    /// What the files' folder is called where the handler runs.
    fn task(&self, folder: &Path) -> String {
        folder.to_string_lossy().into_owned()
    }
}

/// What runs a handler.
#[allow(dead_code, reason = "each test program has one of them")]
pub enum Process {
    Child(Box<Child>),
    Sandbox(Box<Sandbox>),
}

impl Process {
    fn outputs(&mut self) -> [File; 2] {
        match self {
            Self::Child(child) => [
                OwnedFd::from(child.stdout.take().unwrap()).into(),
                OwnedFd::from(child.stderr.take().unwrap()).into(),
            ],
            Self::Sandbox(sandbox) => {
                [&sandbox.stdout, &sandbox.stderr].map(|pipe| pipe.try_clone().unwrap().into())
            }
        }
    }

    fn is_over(&mut self) -> bool {
        match self {
            Self::Child(child) => child.try_wait().unwrap().is_some(),
            Self::Sandbox(_) => false,
        }
    }

    /// Its exit status once it has ended; -1 when a signal ended it, or it did not end in time.
    async fn status(&mut self) -> i32 {
        let waiting = async {
            match self {
                Self::Child(child) => loop {
                    if let Some(status) = child.try_wait().unwrap() {
                        return status.code().unwrap_or(-1);
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                },
                Self::Sandbox(sandbox) => match sandbox.exited().await {
                    Exit::Code(code) => code,
                    Exit::Signal(_) => -1,
                },
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or(-1)
    }

    async fn end(&mut self) {
        match self {
            Self::Child(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Self::Sandbox(sandbox) => sandbox.kill().await,
        }
    }
}

/// The environment that all have in common.
pub fn variables(case: &Case, task: &str) -> Vec<(String, String)> {
    let common = [
        ("AWS_LAMBDA_FUNCTION_NAME", "hello"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/hello"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
        ("AWS_REGION", "us-east-1"),
        ("_HANDLER", case.handler),
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
        ("PATH", "/usr/bin:/bin"),
        ("LAMBDA_TASK_ROOT", task),
    ];
    common.iter().chain(case.env).map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

/// Gives a command that environment.
pub fn environment(command: &mut Command, case: &Case, task: &Path) {
    command.env_clear().current_dir(task).envs(variables(case, &task.to_string_lossy()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// Starts `argv` with one end of a socket pair as descriptor 3; the other end's channel.
pub fn framed(argv: &[&str], case: &Case, task: &Path) -> (Process, Channel) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", r#"exec "$@" 3<&0 0</dev/null"#, "sh"]).args(argv);
    environment(&mut command, case, task);
    let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
    (Process::Child(Box::new(child)), Channel::framed(ours, 1).unwrap())
}

/// Starts `argv` before it is known what for, and tells it once it waits.
#[allow(dead_code, reason = "each test program has its own subjects")]
pub async fn waiting(argv: &[String], case: &Case, task: &Path) -> (Process, Channel) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", r#"exec "$@" 3<&0 0</dev/null"#, "sh"]).args(argv).current_dir(task);
    command.env_clear().envs([("DAYFLY_WAIT", "1"), ("LC_ALL", "C.UTF-8"), ("TZ", ":UTC"), ("STALE", "1")]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
    runtimes::waits(&ours).await.unwrap();
    let env: serde_json::Map<String, serde_json::Value> = variables(case, &task.to_string_lossy())
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    let text = serde_json::json!({ "env": env }).to_string();
    let length = u32::try_from(text.len()).unwrap().to_le_bytes();
    ours.write_all(&[&length, &[2][..], text.as_bytes()].concat()).unwrap();
    (Process::Child(Box::new(child)), Channel::framed(ours, 1).unwrap())
}

/// Writes the case's files and runs it.
pub async fn run(subject: &impl Subject, case: &Case) -> (Outcome, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    for (name, text) in case.files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let (mut child, mut channel) = subject.start(case, folder.path()).await;
    let [stdout, stderr] = child.outputs().map(gather);
    let mut log = String::new();
    let mut calls = Vec::new();
    match event(&mut channel, &mut child, &mut log).await {
        Event::Ready => {
            for (index, (event, _)) in case.calls.iter().enumerate() {
                let got = one_call(index, event, (&mut channel, &mut child, &mut log)).await;
                let over = matches!(got, Got::Exited(_) | Got::Broken(_));
                calls.push(got);
                if over {
                    break;
                }
            }
        }
        other => calls.push(ended(other, &mut child).await),
    }
    drop(channel);
    child.end().await;
    log.push_str(&stdout.join().unwrap().replace('\r', "\n"));
    log.push_str(&stderr.join().unwrap());
    (Outcome { calls, log: masked(&log) }, folder)
}

async fn one_call(index: usize, event_text: &str, at: (&mut Channel, &mut Process, &mut String)) -> Got {
    let (channel, child, log) = at;
    let call = Call {
        request_id: format!("00000000-0000-4000-8000-{index:012}"),
        payload: match event_text.strip_prefix("letters ") {
            Some(count) => letters(count.parse().unwrap()).into(),
            None => event_text.to_owned().into(),
        },
        invoked_arn: "arn:aws:lambda:us-east-1:000000000000:function:hello".into(),
        client_context: Some(r#"{"client": {"app_title": "t"}, "custom": {"k": "v"}}"#.into()),
        trace: Some("Root=1-2-3".into()),
        ..Call::default()
    };
    if let Err(error) = channel.send(&call, DEADLINE_MS).await {
        return Got::Broken(error.to_string());
    }
    match event(channel, child, log).await {
        Event::Response { id, body } if id == call.request_id => Got::Returned(text(&body)),
        Event::Error { id, json } if id == call.request_id => Got::Failed(text(&json)),
        other => ended(other, child).await,
    }
}

async fn ended(event: Event, child: &mut Process) -> Got {
    match event {
        Event::InitError(json) => Got::InitFailed(text(&json)),
        Event::Closed => Got::Exited(child.status().await),
        other => Got::Broken(format!("{other:?}")),
    }
}

/// The next event that is not a log record; a process that ends closes a Runtime API too.
async fn event(channel: &mut Channel, child: &mut Process, log: &mut String) -> Event {
    let mut waited = Duration::ZERO;
    let pause = Duration::from_millis(20);
    while waited < PATIENCE {
        match tokio::time::timeout(pause, channel.next()).await {
            Ok(Event::Log { message, .. }) => {
                log.push_str(&text(&message));
                log.push('\n');
            }
            Ok(event) => return event,
            Err(_) if matches!(channel, Channel::RuntimeApi(_)) && child.is_over() => {
                let last = tokio::time::timeout(pause, channel.next()).await;
                return last.unwrap_or(Event::Closed);
            }
            Err(_) => waited += pause,
        }
    }
    Event::Violation("nothing came in time".into())
}

fn gather(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The log with `<time>` for times and `<id>` for request ids.
fn masked(log: &str) -> String {
    let mut out = String::new();
    let mut rest = log;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = time_length(rest) {
            out.push_str("<time>");
            rest = &rest[length..];
        } else if rest.starts_with("00000000-0000-4000-8000-") {
            out.push_str("<id>");
            rest = &rest[36..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Length of a time such as `2026-11-23T07:31:02.123Z` at the front.
fn time_length(text: &str) -> Option<usize> {
    let shape = b"0000-00-00T00:00:00";
    let bytes = text.as_bytes();
    let fits = |(shape, byte): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { shape == byte };
    if bytes.len() < shape.len() || !shape.iter().zip(bytes).all(fits) {
        return None;
    }
    let tail = bytes[shape.len()..].iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    (bytes.get(shape.len() + tail) == Some(&b'Z')).then_some(shape.len() + tail + 1)
}
