//! The instance's side of the framed channel: `[u32 LE payload length][u8 kind][payload]`; the kinds are listed in
//! `runtimes/src/channel/frame.rs`, which is the other side.

use bytes::Bytes;
use model::limit;
use serde::Deserialize;
use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

const INVOKE: u8 = 1;
const READY: u8 = 16;
const INIT_ERROR: u8 = 17;
const RESPONSE: u8 = 18;
const ERROR: u8 = 19;
/// More than any event and its header.
const MAX_BYTES: usize = limit("sync-payload") as usize + 1024 * 1024;
const READ_BYTES: usize = 16 * 1024;

/// What the platform says of a call besides its event.
#[derive(Debug, Deserialize)]
struct Header {
    id: String,
    deadline_ms: u64,
    trace: Option<String>,
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
    socket: BufReader<OwnedReadHalf>,
}

impl Reader {
    pub(super) fn new(socket: OwnedReadHalf) -> Self {
        Self { socket: BufReader::with_capacity(READ_BYTES, socket) }
    }

    /// The next call; `None` when the platform has hung up.
    pub(super) async fn next(&mut self) -> Result<Option<Call>> {
        let length = match self.socket.read_u32_le().await {
            Ok(length) => length as usize,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        let kind = self.socket.read_u8().await?;
        let wrong =
            |what: &str| Error::new(ErrorKind::InvalidData, format!("{what} (kind {kind}, {length} bytes)"));
        if kind != INVOKE || length > MAX_BYTES {
            return Err(wrong("a frame that is no call"));
        }
        let mut payload = vec![0; length];
        self.socket.read_exact(&mut payload).await?;
        Call::read(payload).map(Some).ok_or_else(|| wrong("a malformed call"))
    }
}

/// What the worker says.
pub(super) enum Frame<'a> {
    Ready,
    InitError(&'a [u8]),
    Response(&'a str, &'a [u8]),
    Error(&'a str, &'a [u8]),
}

impl Frame<'_> {
    fn bytes(&self) -> Vec<u8> {
        let (kind, id, rest): (u8, Option<&str>, &[u8]) = match self {
            Self::Ready => (READY, None, &[]),
            Self::InitError(json) => (INIT_ERROR, None, json),
            Self::Response(id, body) => (RESPONSE, Some(id), body),
            Self::Error(id, json) => (ERROR, Some(id), json),
        };
        let mut bytes = vec![0; 5];
        bytes[4] = kind;
        if let Some(id) = id {
            bytes.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(&id.as_bytes()[..id.len().min(255)]);
        }
        bytes.extend_from_slice(rest);
        let length = u32::try_from(bytes.len() - 5).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes
    }
}

/// Writes frames, one at a time, for all who answer.
#[derive(Clone)]
pub(super) struct Writer {
    socket: Arc<Mutex<OwnedWriteHalf>>,
}

impl Writer {
    pub(super) fn new(socket: OwnedWriteHalf) -> Self {
        Self { socket: Arc::new(Mutex::new(socket)) }
    }

    pub(super) async fn send(&self, frame: Frame<'_>) -> Result<()> {
        let bytes = frame.bytes();
        self.socket.lock().await.write_all(&bytes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_the_platform_reads_them() {
        let cases = [
            (Frame::Ready, &[0, 0, 0, 0, 16][..]),
            (Frame::InitError(b"{}"), b"\x02\0\0\0\x11{}"),
            (Frame::Response("id", b"body"), b"\x07\0\0\0\x12\x02idbody"),
            (Frame::Error("id", b""), b"\x03\0\0\0\x13\x02id"),
        ];
        for (frame, expected) in cases {
            assert_eq!(frame.bytes(), expected);
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
