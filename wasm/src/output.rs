//! What a component prints: whole lines, each after the id of the request that printed it, since many print at once.

use bytes::Bytes;
use std::fs::File;
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// A line that is longer goes out in parts.
const LINE_BYTES: usize = 64 * 1024;
/// Most that is taken in one write.
const WRITE_BYTES: usize = 64 * 1024;

/// One of the two outputs of one request.
#[derive(Clone)]
pub(crate) struct Output {
    pipe: Arc<File>,
    lines: Arc<Mutex<Lines>>,
}

/// The last line, unfinished, and what stands before each.
struct Lines {
    request_id: String,
    unfinished: Vec<u8>,
    pipe: Arc<File>,
}

impl Output {
    pub(crate) fn new(pipe: &Arc<File>, request_id: &str) -> Self {
        let lines = Lines { request_id: request_id.into(), unfinished: Vec::new(), pipe: Arc::clone(pipe) };
        Self { pipe: Arc::clone(pipe), lines: Arc::new(Mutex::new(lines)) }
    }

    fn print(&self, bytes: &[u8]) -> std::io::Result<()> {
        let whole = self.lines.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
        (&*self.pipe).write_all(&whole)
    }
}

impl Lines {
    /// The lines that these bytes complete.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut whole = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in part.chunks(LINE_BYTES) {
                self.unfinished.extend_from_slice(part);
                if self.unfinished.ends_with(b"\n") || self.unfinished.len() >= LINE_BYTES {
                    self.end_line(&mut whole);
                }
            }
        }
        whole
    }

    fn end_line(&mut self, whole: &mut Vec<u8>) {
        whole.extend_from_slice(self.request_id.as_bytes());
        whole.push(b'\t');
        whole.append(&mut self.unfinished);
        if !whole.ends_with(b"\n") {
            whole.push(b'\n');
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.unfinished.is_empty() {
            let mut last = Vec::new();
            self.end_line(&mut last);
            // Nobody is left who could be told that the platform reads no more.
            let _ = (&*self.pipe).write_all(&last);
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.print(&bytes).map_err(|error| StreamError::LastOperationFailed(error.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(self.print(bytes).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn lines_come_out_whole_and_named() {
        let long = vec![b'x'; LINE_BYTES + 1];
        let cases: [(&[&[u8]], Vec<u8>); 4] = [
            (&[b"one\ntwo\n"], b"id\tone\nid\ttwo\n".to_vec()),
            (&[b"o", b"ne\nt", b"wo"], b"id\tone\nid\ttwo\n".to_vec()),
            (&[b"", b"\n"], b"id\t\n".to_vec()),
            (&[&long], [b"id\t", &long[1..], b"\nid\tx\n"].concat()),
        ];
        for (writes, expected) in cases {
            let mut file = tempfile::tempfile().unwrap();
            let output = Output::new(&Arc::new(file.try_clone().unwrap()), "id");
            writes.iter().for_each(|bytes| output.print(bytes).unwrap());
            drop(output);
            let mut found = Vec::new();
            std::io::Seek::rewind(&mut file).unwrap();
            file.read_to_end(&mut found).unwrap();
            assert_eq!(found, expected);
        }
    }
}
