//! A function that speaks the Runtime API with nothing but the standard library.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

fn main() -> io::Result<()> {
    let host = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(io::Error::other)?;
    let mut api = RuntimeApi::connect(&host)?;
    let mut calls = 0;
    loop {
        let (id, event) = api.next()?;
        calls += 1;
        println!("call {calls} of this instance, {} bytes", event.len());
        let answer = handle(&event, calls);
        api.respond(&id, answer.as_bytes())?;
    }
}

/// The function itself: hands the event back with a greeting.
fn handle(event: &str, calls: u32) -> String {
    format!(r#"{{"message":"Hello from Rust","calls":{calls},"event":{event}}}"#)
}

/// One kept-open HTTP connection to the Runtime API.
struct RuntimeApi {
    host: String,
    stream: BufReader<TcpStream>,
}

impl RuntimeApi {
    fn connect(host: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Self { host: host.to_owned(), stream: BufReader::new(stream) })
    }

    /// Waits for the next event; gives its request id and its text.
    fn next(&mut self) -> io::Result<(String, String)> {
        let path = "/2018-06-01/runtime/invocation/next";
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let answer = self.read()?;
        Ok((answer.request_id, answer.body))
    }

    /// Hands in the answer to the event of that id.
    fn respond(&mut self, id: &str, body: &[u8]) -> io::Result<()> {
        let path = format!("/2018-06-01/runtime/invocation/{id}/response");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let answer = self.read()?;
        if answer.status == 202 { Ok(()) } else { Err(io::Error::other(answer.body)) }
    }

    fn read(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let mut answer = Answer { status: status.ok_or_else(closed)?, ..Answer::default() };
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                "lambda-runtime-aws-request-id" => answer.request_id = value.trim().to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        answer.body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok(answer)
    }
}

#[derive(Default)]
struct Answer {
    status: u16,
    request_id: String,
    body: String,
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the platform closed the connection")
}
