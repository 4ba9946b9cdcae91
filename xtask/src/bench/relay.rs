//! The floor of a warm call: the least that can stand between a client and a handler in a process of its own. It reads a
//! request, passes an event over the handler's socket and answers with what comes back. It waits in system calls, looks
//! at lengths only, serves one connection at a time, and has no signature, policy, queue, record, log or sandbox.

use super::bare::{Bare, Ended};
use super::packages::EVENT;
use super::{Setting, peer, pinned};
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

/// The hidden verb of `cargo xtask bench` that relays.
pub(crate) const VERB: &str = "__relay";
const HEAD_END: &[u8] = b"\r\n\r\n";
const REQUEST_BYTES: usize = 64 * 1024;

/// Starts a relay on core 1, before `interpreter script` in `folder`, and gives its URL.
pub(crate) fn start(
    setting: &Setting,
    interpreter: &str,
    script: &Path,
    folder: &Path,
) -> Result<(Ended, String), String> {
    let port = peer::free_port()?;
    let mut command = pinned(&setting.own().to_string_lossy());
    command.args(["bench", VERB, &port.to_string(), interpreter]).arg(script).arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = Ended(command.spawn().map_err(|e| e.to_string())?);
    peer::wait_for(port)?;
    Ok((child, format!("http://127.0.0.1:{port}/")))
}

/// Serves on `port` of the loopback interface until it is killed.
pub(crate) fn serve(port: &str, [interpreter, script, folder]: [&str; 3]) -> Result<(), String> {
    let port: u16 = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    relay(port, interpreter, script, folder).map_err(|e| e.to_string())
}

fn relay(port: u16, interpreter: &str, script: &str, folder: &str) -> io::Result<()> {
    let mut command = Command::new(interpreter);
    command.arg(script);
    let mut handler = Bare::spawn(command, Path::new(folder))?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    loop {
        let (stream, _) = listener.accept()?;
        serve_connection(stream, &mut handler)?;
    }
}

fn serve_connection(mut stream: TcpStream, handler: &mut Bare) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = vec![0; REQUEST_BYTES];
    while read_head(&mut stream, &mut request)? {
        let body = handler.call(EVENT)?;
        let mut answer = Vec::with_capacity(128 + body.len());
        write!(
            answer,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        answer.extend_from_slice(&body);
        stream.write_all(&answer)?;
    }
    Ok(())
}

/// Reads one request, which has no body. False: the client is gone.
fn read_head(stream: &mut TcpStream, request: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while !request[..filled].ends_with(HEAD_END) {
        match stream.read(&mut request[filled..])? {
            0 => return Ok(false),
            count => filled += count,
        }
    }
    Ok(true)
}
