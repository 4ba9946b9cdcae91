//! The smallest HTTP client that can be timed: one kept connection, no header read twice.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// One kept-alive connection that repeats one GET.
pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Connects to `http://host:port/path`.
    pub(crate) fn open(url: &str) -> io::Result<Self> {
        let rest = url.strip_prefix("http://").ok_or_else(|| io::Error::other("not an http URL"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes();
        Ok(Self { stream, request, buffer: vec![0; 64 * 1024], filled: 0 })
    }

    /// One request; returns its status once the whole answer is there.
    pub(crate) fn get(&mut self) -> io::Result<u16> {
        self.stream.write_all(&self.request)?;
        self.filled = 0;
        loop {
            let count = self.stream.read(&mut self.buffer[self.filled..])?;
            if count == 0 {
                return Err(io::Error::other("the server closed the connection"));
            }
            self.filled += count;
            if let Some(status) = complete(&self.buffer[..self.filled])? {
                return Ok(status);
            }
        }
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &str {
        let text = std::str::from_utf8(&self.buffer[..self.filled]).unwrap_or("");
        text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

/// The status of the answer in `bytes` once it is complete. Understands Content-Length and chunks.
fn complete(bytes: &[u8]) -> io::Result<Option<u16>> {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).map_err(io::Error::other)?.to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status: u16 = status.ok_or_else(|| io::Error::other("no status in the answer"))?;
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:"));
    let done = match length.and_then(|l| l.trim().parse::<usize>().ok()) {
        Some(length) => bytes.len() >= end + 4 + length,
        None => bytes.ends_with(b"0\r\n\r\n"),
    };
    Ok(done.then_some(status))
}
