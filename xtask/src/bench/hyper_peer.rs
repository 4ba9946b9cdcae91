//! Bare hyper servers that say hello: the peer of wasm's throughput, and its floors, which ask another process for every
//! answer: one that only says it again, or the platform's own worker, which makes a fresh instance for each, without
//! anything else of the platform. Each runs in a process of its own.

use super::bare::Ended;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::ExchangeWriter;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};

/// The hidden verb of `cargo xtask bench` that serves.
pub(crate) const VERB: &str = "__hyper";
/// The one that serves with a hop to another process: one that repeats what it hears, or a worker with a component.
pub(crate) const HOP_VERB: &str = "__hyper-hop";
/// The other process.
pub(crate) const ECHO_VERB: &str = "__echo";

/// What goes over the hop to one that repeats it, and back.
const ECHOED_BYTES: usize = 251;
/// Length and kind of a frame.
const HEAD_BYTES: usize = 5;
/// Kinds of frames, as `runtimes/src/channel/frame.rs` lists them.
const INVOKE: u8 = 1;
const RESPONSE: u8 = 18;
/// 2100, in milliseconds: no call is over before.
const DEADLINE_MS: u64 = 4_102_444_800_000;

/// Starts the server that a verb names and gives its URL. `command`: this program, with what pins it. `worker`: program
/// and machine code of the other process.
pub(crate) fn start(
    mut command: Command,
    verb: &str,
    worker: Option<(&Path, &Path)>,
) -> Result<(Ended, String), String> {
    let port = super::peer::free_port()?;
    command.args(["bench", verb, &port.to_string()]);
    if let Some((program, code)) = worker {
        command.arg(program).arg(code);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = Ended(command.spawn().map_err(|e| e.to_string())?);
    super::peer::wait_for(port)?;
    Ok((child, format!("http://127.0.0.1:{port}/")))
}

/// Serves on `port` of the loopback interface until it is killed.
pub(crate) fn serve(port: &str) -> Result<(), String> {
    served(port, || Ok(None))
}

/// The same with a hop to another process for each answer: to a worker where `worker` names its program and machine code.
pub(crate) fn serve_behind_hop(port: &str, worker: &[&str]) -> Result<(), String> {
    served(port, || match *worker {
        [program, code] => {
            let mut command = Command::new("sh");
            // A worker speaks over descriptor 3.
            command.args(["-c", "exec \"$0\" __wasm 128 \"$1\" 3<&0 0</dev/null", program, code]);
            Hop::start(command, invoke()).map(Some)
        }
        _ => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["bench", ECHO_VERB]);
            Hop::start(command, frame(RESPONSE, &[b'x'; ECHOED_BYTES])).map(Some)
        }
    })
}

fn served(port: &str, hop: impl FnOnce() -> std::io::Result<Option<Arc<Hop>>>) -> Result<(), String> {
    let port: u16 = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.map_err(|e| e.to_string())?.block_on(async { accept(port, hop()?).await });
    served.map_err(|e| e.to_string())
}

async fn accept(port: u16, hop: Option<Arc<Hop>>) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let hop = hop.clone();
        let hello = service_fn(move |_| {
            let hop = hop.clone();
            async move {
                if let Some(hop) = hop {
                    hop.cross().await;
                }
                let body = Full::new(Bytes::from_static(b"{\"hello\":\"world\",\"calls\":1}"));
                let answer = hyper::Response::builder().header("content-type", "application/json").body(body);
                Ok::<_, Infallible>(answer.expect("a well-formed answer"))
            }
        });
        tokio::spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), hello).await;
        });
    }
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], &[kind], payload].concat()
}

/// What a worker is told for each request: as much as the platform tells it.
fn invoke() -> Vec<u8> {
    let id = "00000000-0000-4000-8000-000000000000";
    let trace = "Root=1-00000000-000000000000000000000000";
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:hello";
    let header = serde_json::json!({
        "id": id, "deadline_ms": DEADLINE_MS, "arn": arn, "trace": trace, "exchange": true,
    });
    let header = header.to_string();
    let mut request = ExchangeWriter::new("GET", "/", 512);
    for (name, value) in [
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-port", "4566"),
        ("x-amzn-trace-id", trace),
        ("x-amzn-requestid", id),
        ("host", "127.0.0.1:4566"),
    ] {
        request.header(name, value.as_bytes());
    }
    let header_bytes = u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes();
    frame(INVOKE, &[&header_bytes[..], header.as_bytes(), &request.body(b"")].concat())
}

/// The way to another process. Frames that are there at the same moment go together.
struct Hop {
    /// What it is told for each request.
    asked: Vec<u8>,
    /// How many frames are to be written, and who waits for those that were.
    state: Mutex<(usize, VecDeque<oneshot::Sender<()>>)>,
    more: Notify,
}

impl Hop {
    fn start(mut command: Command, asked: Vec<u8>) -> std::io::Result<Arc<Self>> {
        let (ours, theirs) = UnixStream::pair()?;
        command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
        ours.set_nonblocking(true)?;
        let (reader, writer) = tokio::net::UnixStream::from_std(ours)?.into_split();
        let hop = Arc::new(Self { asked, state: Mutex::default(), more: Notify::new() });
        tokio::spawn(Arc::clone(&hop).write(writer));
        tokio::spawn(Arc::clone(&hop).read(reader));
        Ok(hop)
    }

    async fn cross(&self) {
        let (sender, there_and_back) = oneshot::channel();
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 += 1;
            state.1.push_back(sender);
        }
        self.more.notify_one();
        let _ = there_and_back.await;
    }

    async fn write(self: Arc<Self>, mut writer: OwnedWriteHalf) {
        loop {
            self.more.notified().await;
            let frames = std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).0);
            if writer.write_all(&self.asked.repeat(frames)).await.is_err() {
                return;
            }
        }
    }

    async fn read(self: Arc<Self>, mut reader: OwnedReadHalf) {
        let mut said = Vec::with_capacity(64 * 1024);
        while let Ok(1..) = reader.read_buf(&mut said).await {
            let (answers, bytes) = answers(&said);
            said.drain(..bytes);
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            for waiting in state.1.drain(..answers) {
                let _ = waiting.send(());
            }
        }
    }
}

/// How many whole answers there are, and how many bytes of whole frames.
fn answers(said: &[u8]) -> (usize, usize) {
    let (mut answers, mut bytes) = (0, 0);
    while let Some(head) = said[bytes..].first_chunk::<HEAD_BYTES>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if said.len() - bytes < HEAD_BYTES + length {
            break;
        }
        bytes += HEAD_BYTES + length;
        answers += usize::from(head[4] == RESPONSE);
    }
    (answers, bytes)
}

/// The life of the other process: its standard input is a socket, and what comes goes back.
pub(crate) fn echo() -> Result<(), String> {
    let socket = std::io::stdin();
    let socket =
        UnixStream::from(std::os::fd::AsFd::as_fd(&socket).try_clone_to_owned().map_err(|e| e.to_string())?);
    let mut space = vec![0; 64 * 1024];
    loop {
        match (&socket).read(&mut space).map_err(|e| e.to_string())? {
            0 => return Ok(()),
            count => (&socket).write_all(&space[..count]).map_err(|e| e.to_string())?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_answers_are_counted() {
        let said = [frame(16, b""), frame(RESPONSE, b"one"), frame(RESPONSE, b"two")].concat();
        for (end, expected) in [(0, (0, 0)), (5, (0, 5)), (12, (0, 5)), (13, (1, 13)), (21, (2, 21))] {
            assert_eq!(answers(&said[..end]), expected, "{end}");
        }
    }
}
