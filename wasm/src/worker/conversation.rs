//! The instance's side of the framed channel: `[u32 LE payload length][u8 kind][payload]`; the kinds are listed in
//! `runtimes/src/channel/frame.rs`, which is the other side.

use bytes::Bytes;
use model::limit;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::Notify;

const INVOKE: u8 = 1;
const LOAD: u8 = 2;
const READY: u8 = 16;
const INIT_ERROR: u8 = 17;
const RESPONSE: u8 = 18;
const ERROR: u8 = 19;
const WAITS: u8 = 22;
/// More than any event and its header.
const MAX_BYTES: usize = limit("sync-payload") as usize + 1024 * 1024;
const READ_BYTES: usize = 64 * 1024;
/// More than this is not kept for the next answers.
const KEPT_BYTES: usize = 256 * 1024;

/// What the platform says of a call besides its event.
#[derive(Debug, Deserialize)]
struct Header {
    id: String,
    deadline_ms: u64,
    trace: Option<String>,
    #[serde(default)]
    exchange: bool,
}

/// What a worker that waits is told when it is known what for.
#[derive(Debug, Deserialize)]
pub(super) struct Load {
    /// The whole environment.
    pub(super) env: BTreeMap<String, String>,
}

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    header: Header,
    pub(super) event: Bytes,
}

impl Call {
    pub(super) fn id(&self) -> &str {
        &self.header.id
    }

    /// Milliseconds since 1970.
    pub(super) fn deadline_ms(&self) -> u64 {
        self.header.deadline_ms
    }

    pub(super) fn trace(&self) -> Option<&str> {
        self.header.trace.as_deref()
    }

    /// Whether the event is a request in the platform's own form.
    pub(super) fn exchange(&self) -> bool {
        self.header.exchange
    }

    fn read(payload: Vec<u8>) -> Option<Self> {
        let payload = Bytes::from(payload);
        let length = u32::from_le_bytes(payload.first_chunk::<4>().copied()?) as usize;
        let end = length.checked_add(4).filter(|end| *end <= payload.len())?;
        let header = serde_json::from_slice(&payload[4..end]).ok()?;
        Some(Self { header, event: payload.slice(end..) })
    }
}

/// Reads calls.
pub(super) struct Reader {
    /// Watched for reading only: who watches a Unix socket for writing too is woken whenever the other end reads.
    socket: BufReader<Receiver>,
}

impl Reader {
    fn new(socket: UnixStream) -> Result<Self> {
        let socket = Receiver::from_owned_fd_unchecked(socket.into())?;
        Ok(Self { socket: BufReader::with_capacity(READ_BYTES, socket) })
    }

    /// The next call; `None` when the platform has hung up.
    pub(super) async fn next(&mut self) -> Result<Option<Call>> {
        let Some(payload) = self.frame(INVOKE).await? else { return Ok(None) };
        let length = payload.len();
        Call::read(payload).map(Some).ok_or_else(|| wrong("a malformed call", INVOKE, length))
    }

    /// What it is for; `None` when the platform has hung up.
    pub(super) async fn load(&mut self) -> Result<Option<Load>> {
        let Some(payload) = self.frame(LOAD).await? else { return Ok(None) };
        serde_json::from_slice(&payload).map(Some).map_err(|_| wrong("a malformed load", LOAD, payload.len()))
    }

    async fn frame(&mut self, expected: u8) -> Result<Option<Vec<u8>>> {
        let length = match self.socket.read_u32_le().await {
            Ok(length) => length as usize,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        let kind = self.socket.read_u8().await?;
        if kind != expected || length > MAX_BYTES {
            return Err(wrong("a frame that may not come now", kind, length));
        }
        let mut payload = vec![0; length];
        self.socket.read_exact(&mut payload).await?;
        Ok(Some(payload))
    }
}

/// Writes answers.
pub(super) struct Writer(UnixStream);

impl Writer {
    async fn write_all(&self, mut bytes: &[u8]) -> Result<()> {
        let mut socket = &self.0;
        while !bytes.is_empty() {
            match socket.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    Sender::from_owned_fd_unchecked(socket.try_clone()?.into())?.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Both directions of the control socket. Needs a tokio runtime.
pub(super) fn split(control: UnixStream) -> Result<(Reader, Writer)> {
    control.set_nonblocking(true)?;
    Ok((Reader::new(control.try_clone()?)?, Writer(control)))
}

fn wrong(what: &str, kind: u8, length: usize) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{what} (kind {kind}, {length} bytes)"))
}

/// What the worker says.
pub(super) enum Frame<'a> {
    /// For what it is told it is for.
    Waits,
    Ready,
    InitError(&'a [u8]),
    Response(&'a str, &'a [u8]),
    Error(&'a str, &'a [u8]),
}

impl Frame<'_> {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        let (kind, id, rest): (u8, Option<&str>, &[u8]) = match self {
            Self::Waits => (WAITS, None, &[]),
            Self::Ready => (READY, None, &[]),
            Self::InitError(json) => (INIT_ERROR, None, json),
            Self::Response(id, body) => (RESPONSE, Some(id), body),
            Self::Error(id, json) => (ERROR, Some(id), json),
        };
        let start = bytes.len();
        bytes.extend_from_slice(&[0, 0, 0, 0, kind]);
        if let Some(id) = id {
            bytes.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(&id.as_bytes()[..id.len().min(255)]);
        }
        bytes.extend_from_slice(rest);
        let length = u32::try_from(bytes.len() - start - 5).unwrap_or(u32::MAX);
        bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// Frames that wait to be written, for all who answer: what has gathered goes out in one write.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Vec<u8>>,
    more: Notify,
}

impl Outbox {
    /// Never waits: the platform bounds the calls, and so the answers.
    pub(super) fn send(&self, frame: Frame<'_>) {
        frame.write_to(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.more.notify_one();
    }

    /// Writes for as long as there is something.
    pub(super) async fn write_out(&self, socket: &Writer) -> Result<()> {
        let mut frames = Vec::new();
        loop {
            std::mem::swap(&mut frames, &mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            if frames.is_empty() {
                return Ok(());
            }
            socket.write_all(&frames).await?;
            frames.clear();
            frames.shrink_to(KEPT_BYTES);
        }
    }

    /// Writes whatever comes, until the platform hangs up.
    pub(super) async fn deliver(&self, socket: Writer) -> Result<()> {
        loop {
            self.more.notified().await;
            self.write_out(&socket).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_the_platform_reads_them() {
        let cases = [
            (Frame::Waits, &[0, 0, 0, 0, 22][..]),
            (Frame::Ready, &[0, 0, 0, 0, 16]),
            (Frame::InitError(b"{}"), b"\x02\0\0\0\x11{}"),
            (Frame::Response("id", b"body"), b"\x07\0\0\0\x12\x02idbody"),
            (Frame::Error("id", b""), b"\x03\0\0\0\x13\x02id"),
        ];
        for (frame, expected) in cases {
            let mut bytes = b"before".to_vec();
            frame.write_to(&mut bytes);
            assert_eq!(bytes, [b"before", expected].concat());
        }
    }

    #[test]
    fn calls_are_read_or_refused() {
        let head = br#"{"id":"r","deadline_ms":7,"arn":"a"}"#;
        let mut whole = u32::try_from(head.len()).unwrap().to_le_bytes().to_vec();
        whole.extend_from_slice(head);
        whole.extend_from_slice(b"event");
        let call = Call::read(whole.clone()).unwrap();
        assert_eq!(
            (call.id(), call.deadline_ms(), call.trace(), &call.event[..]),
            ("r", 7, None, &b"event"[..])
        );
        for bad in [&whole[..3], &whole[..20], b"\xff\xff\xff\xff{}", b"\x02\0\0\0{}"] {
            assert!(Call::read(bad.to_vec()).is_none(), "{bad:?}");
        }
    }
}
