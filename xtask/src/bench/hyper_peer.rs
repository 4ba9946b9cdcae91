//! Bare hyper servers that say hello: the peer of wasm's throughput, and its floor, one that asks another process for
//! every answer. Each runs in a process of its own.

use super::bare::Ended;
use super::{Setting, pinned};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};

/// The hidden verb of `cargo xtask bench` that serves.
pub(crate) const VERB: &str = "__hyper";
/// The one that serves with a hop to another process.
pub(crate) const HOP_VERB: &str = "__hyper-hop";
/// The other process.
pub(crate) const ECHO_VERB: &str = "__echo";

/// What goes over the hop for each request, both ways.
const FRAME_BYTES: usize = 256;

/// Starts the server that a verb names on core 1 and gives its URL.
pub(crate) fn start(setting: &Setting, verb: &str) -> Result<(Ended, String), String> {
    let own = setting.own();
    let port = super::peer::free_port()?;
    let mut command = pinned(&own.to_string_lossy());
    command.args(["bench", verb, &port.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = Ended(command.spawn().map_err(|e| e.to_string())?);
    super::peer::wait_for(port)?;
    Ok((child, format!("http://127.0.0.1:{port}/")))
}

/// Serves on `port` of the loopback interface until it is killed; with a hop to another process, or without.
pub(crate) fn serve(port: &str, hop: bool) -> Result<(), String> {
    let port: u16 = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.map_err(|e| e.to_string())?.block_on(async {
        let hop = if hop { Some(Hop::start()?) } else { None };
        accept(port, hop).await
    });
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

/// The way to a process that says again what it hears. Frames that are there at the same moment go together.
#[derive(Default)]
struct Hop {
    /// How many frames are to be written, and who waits for those that were.
    state: Mutex<(usize, VecDeque<oneshot::Sender<()>>)>,
    more: Notify,
}

impl Hop {
    fn start() -> std::io::Result<Arc<Self>> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut echo = Command::new(std::env::current_exe()?);
        echo.args(["bench", ECHO_VERB]).stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
        ours.set_nonblocking(true)?;
        let (reader, writer) = tokio::net::UnixStream::from_std(ours)?.into_split();
        let hop = Arc::<Self>::default();
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
            if writer.write_all(&vec![b'x'; frames * FRAME_BYTES]).await.is_err() {
                return;
            }
        }
    }

    async fn read(self: Arc<Self>, mut reader: OwnedReadHalf) {
        let (mut space, mut bytes) = (vec![0; 64 * 1024], 0);
        while let Ok(count @ 1..) = reader.read(&mut space).await {
            bytes += count;
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            for waiting in state.1.drain(..bytes / FRAME_BYTES) {
                let _ = waiting.send(());
            }
            bytes %= FRAME_BYTES;
        }
    }
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
