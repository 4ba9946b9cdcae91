//! The peer of the warm row: of-watchdog in HTTP mode, or a named stand-in where it cannot be had.

use super::pinned;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use std::{env, io};

const OF_WATCHDOG: &str = "github.com/openfaas/of-watchdog@latest";
const STAND_IN: &str = "a relay in Go (stand-in for of-watchdog)";

/// A relay, the Node server behind it, and how to reach both.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) proxied: String,
    pub(crate) direct: String,
    children: Vec<Child>,
}

impl Peer {
    /// Installs and starts the peer; everything it needs lies under `folder` afterwards.
    pub(crate) fn start(sources: &Path, folder: &Path) -> Result<Self, String> {
        let (listen, upstream) = (free_port()?, free_port()?);
        let script = sources.join("upstream.cjs");
        let mut node = pinned("node");
        node.arg(&script).arg(upstream.to_string());
        let mut children = vec![quiet(node).map_err(|e| format!("node: {e}"))?];
        let (name, child) = match of_watchdog(folder) {
            Ok(program) => ("of-watchdog (HTTP mode)".to_owned(), watchdog(&program, listen, upstream)),
            Err(why) => {
                eprintln!("bench: of-watchdog cannot be installed here: {why}");
                eprintln!(
                    "bench: put an of-watchdog into PATH to measure against it; now in its place: {STAND_IN}"
                );
                (STAND_IN.to_owned(), stand_in(sources, folder, listen, upstream)?)
            }
        };
        children.push(child.map_err(|e| format!("{name}: {e}"))?);
        for port in [listen, upstream] {
            wait_for(port)?;
        }
        let url = |port| format!("http://127.0.0.1:{port}/");
        Ok(Self { name, proxied: url(listen), direct: url(upstream), children })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The one in `PATH`, else one that Go installs into `folder`.
fn of_watchdog(folder: &Path) -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).map(|dir| dir.join("of-watchdog"));
    if let Some(found) = places.find(|place| place.is_file()) {
        return Ok(found);
    }
    let installed = Command::new("go").args(["install", OF_WATCHDOG]).env("GOBIN", folder).output();
    let installed = installed.map_err(|e| format!("go: {e}"))?;
    let program = folder.join("of-watchdog");
    if installed.status.success() && program.exists() {
        return Ok(program);
    }
    let said = String::from_utf8_lossy(&installed.stderr);
    Err(said.lines().last().unwrap_or("go install failed").trim().to_owned())
}

/// of-watchdog starts its function itself, so it is given a sleeping process and the address of our upstream.
/// Never run so far: where this was written, of-watchdog could not be installed.
fn watchdog(program: &Path, listen: u16, upstream: u16) -> io::Result<Child> {
    let mut command = pinned(&program.to_string_lossy());
    command
        .env("mode", "http")
        .env("fprocess", "sleep 3600")
        .env("port", listen.to_string())
        .env("upstream_url", format!("http://127.0.0.1:{upstream}"));
    quiet(command)
}

type Started = io::Result<Child>;

fn stand_in(sources: &Path, folder: &Path, listen: u16, upstream: u16) -> Result<Started, String> {
    let program = folder.join("http_relay");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(sources.join("http_relay"))
        .output()
        .map_err(|e| format!("go: {e}; install Go to run this row"))?;
    if !built.status.success() {
        return Err(format!("go build: {}", String::from_utf8_lossy(&built.stderr)));
    }
    let mut command = pinned(&program.to_string_lossy());
    command.args([listen.to_string(), upstream.to_string()]);
    Ok(quiet(command))
}

fn quiet(mut command: Command) -> io::Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}

pub(crate) fn wait_for(port: u16) -> Result<(), String> {
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(25));
    }
    Err(format!("nothing listens on port {port} after 5 s"))
}
