//! The smallest HTTP client that can be timed: one kept connection, no header read twice.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// No answer of a bench takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One kept-alive connection that repeats one GET, or sends what it is given.
pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Connects to `http://host:port/path`.
    pub(crate) fn open(url: &str) -> io::Result<Self> {
        let (host, path) = split(url)?;
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, request: get_request(host, path), buffer: vec![0; 64 * 1024], filled: 0 })
    }

    /// One request; returns its status once the whole answer is there.
    pub(crate) fn get(&mut self) -> io::Result<u16> {
        Ok(self.timed_get()?.0)
    }

    /// One request; returns its status and the time from writing it to the first byte of its answer.
    pub(crate) fn timed_get(&mut self) -> io::Result<(u16, Duration)> {
        let began = Instant::now();
        self.stream.write_all(&self.request)?;
        self.answer(began)
    }

    /// Sends `request` as it is; returns the status of its answer once that is complete.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        let began = Instant::now();
        self.stream.write_all(request)?;
        Ok(self.answer(began)?.0)
    }

    fn answer(&mut self, began: Instant) -> io::Result<(u16, Duration)> {
        self.filled = 0;
        let mut first_byte = None;
        loop {
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.filled * 2, 0);
            }
            let count = self.stream.read(&mut self.buffer[self.filled..])?;
            let first = *first_byte.get_or_insert_with(|| began.elapsed());
            if count == 0 {
                return Err(io::Error::other("the server closed the connection"));
            }
            self.filled += count;
            if let Some(status) = complete(&self.buffer[..self.filled])? {
                return Ok((status, first));
            }
        }
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &str {
        body(&self.buffer[..self.filled])
    }

    /// A header of the last answer; `name` in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.buffer[..self.filled], name)
    }
}

/// Host and path of `http://host:port/path`.
pub(crate) fn split(url: &str) -> io::Result<(&str, &str)> {
    let rest = url.strip_prefix("http://").ok_or_else(|| io::Error::other("not an http URL"))?;
    Ok(rest.split_once('/').unwrap_or((rest, "")))
}

/// The request that a [`Connection`] repeats.
pub(crate) fn get_request(host: &str, path: &str) -> Vec<u8> {
    format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes()
}

pub(crate) fn body(answer: &[u8]) -> &str {
    let text = std::str::from_utf8(answer).unwrap_or("");
    text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

pub(crate) fn header<'a>(answer: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(answer).ok()?;
    let head = text.split_once("\r\n\r\n").map_or(text, |(head, _)| head);
    let found = head.lines().filter_map(|line| line.split_once(':'));
    found.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The status of the answer in `bytes` once it is complete. Understands Content-Length and chunks.
pub(crate) fn complete(bytes: &[u8]) -> io::Result<Option<u16>> {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).map_err(io::Error::other)?.to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status: u16 = status.ok_or_else(|| io::Error::other("no status in the answer"))?;
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:"));
    let done = match length.and_then(|l| l.trim().parse::<usize>().ok()) {
        Some(length) => bytes.len() >= end + 4 + length,
        None => status == 204 || bytes.ends_with(b"0\r\n\r\n"),
    };
    Ok(done.then_some(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_at_its_end() {
        let table: &[(&str, Option<u16>)] = &[
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", None),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{", None),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Some(200)),
            ("HTTP/1.1 429 X\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n", None),
            ("HTTP/1.1 429 X\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", Some(429)),
            ("HTTP/1.1 204 No Content\r\n\r\n", Some(204)),
        ];
        for (text, expected) in table {
            assert_eq!(complete(text.as_bytes()).expect("readable"), *expected, "{text:?}");
        }
        let answer = b"HTTP/1.1 200 OK\r\nX-Amzn-RequestId: abc\r\ncontent-length: 1\r\n\r\nz";
        assert_eq!(header(answer, "x-amzn-requestid"), Some("abc"));
        assert_eq!(header(answer, "absent"), None);
        assert_eq!(body(answer), "z");
    }
}
