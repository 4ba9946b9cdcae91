//! Floors: the same handler in a process of its own, and nothing between.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use super::http::Connection;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A handler that has not answered by then never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// A handler process that is spoken to directly.
pub(crate) struct Bare {
    child: Ended,
    channel: UnixStream,
}

/// A child process that ends with its owner.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Bare {
    /// Spawns `command` in `folder` (which holds the handler) with the channel as its standard input.
    pub(crate) fn spawn(mut command: Command, folder: &Path) -> io::Result<Self> {
        let (channel, theirs) = UnixStream::pair()?;
        channel.set_read_timeout(Some(PATIENCE))?;
        let child = command
            .current_dir(folder)
            .env("PYTHONPATH", folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        Ok(Self { child: Ended(child), channel })
    }

    /// One event in, one answer out.
    pub(crate) fn call(&mut self, event: &[u8]) -> io::Result<Vec<u8>> {
        let length = u32::try_from(event.len()).map_err(io::Error::other)?;
        let mut frame = length.to_le_bytes().to_vec();
        frame.push(1);
        frame.extend_from_slice(event);
        self.channel.write_all(&frame)?;
        let mut head = [0; 5];
        self.channel.read_exact(&mut head)?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let mut answer = vec![0; length as usize];
        self.channel.read_exact(&mut answer)?;
        Ok(answer)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }
}

/// fork and exec of a program that speaks the Runtime API, until its first answer is there.
pub(crate) fn runtime_api(program: &Path, event: &[u8]) -> io::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut command = Command::new(program);
    command.env("AWS_LAMBDA_RUNTIME_API", listener.local_addr()?.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let _child = Ended(command.spawn()?);
    loop {
        let (stream, _) = listener.accept()?;
        if serve_runtime_api(stream, event)? {
            return Ok(began.elapsed());
        }
    }
}

/// Answers what comes on one connection; true once the program has posted its answer.
fn serve_runtime_api(mut stream: TcpStream, event: &[u8]) -> io::Result<bool> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let posted = line.starts_with("POST ");
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        if posted {
            stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
            return Ok(true);
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: bare\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            event.len()
        );
        stream.write_all(&[head.as_bytes(), event].concat())?;
    }
}

/// Spawns a server that prints its port once it listens, until the first byte of its first answer.
pub(crate) fn http_server(mut command: Command) -> io::Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = Ended(command.spawn()?);
    let port = printed_port(&mut child)?;
    let mut connection = Connection::open(&format!("http://127.0.0.1:{port}/"))?;
    match connection.timed_get()? {
        (200, _) => Ok(began.elapsed()),
        (status, _) => Err(io::Error::other(format!("the server answered {status}"))),
    }
}

/// The first line that a server prints: the port that it listens on.
fn printed_port(child: &mut Ended) -> io::Result<u16> {
    let output = child.0.stdout.take().ok_or_else(|| io::Error::other("its output is not piped"))?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    line.trim().parse().map_err(|_| io::Error::other(format!("the server printed {line:?}, not its port")))
}
