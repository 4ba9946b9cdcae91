//! The platform under test: the built binary on a fresh data directory, driven through its own CLI.

use access::{Credentials, RootKey, Scope};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use world::World;

/// A running `dayfly up`.
pub(crate) struct Platform {
    child: Child,
    program: PathBuf,
    data: PathBuf,
    endpoint: String,
    banner: serde_json::Value,
    _output: BufReader<ChildStdout>,
}

impl Platform {
    /// Starts `command up` (the binary, or `taskset` before it) with `flags` on a free port and waits for its banner.
    pub(crate) fn start(mut command: Command, data: &Path, flags: &[&str]) -> Result<Self, String> {
        let _ = std::fs::remove_dir_all(data);
        let program = PathBuf::from(command.get_args().last().unwrap_or(command.get_program()));
        command.args(["up", "--json", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(flags);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut banner = String::new();
        output.read_line(&mut banner).map_err(|e| e.to_string())?;
        let banner: serde_json::Value =
            serde_json::from_str(&banner).map_err(|e| format!("the banner {banner:?} is not JSON: {e}"))?;
        let endpoint = banner["endpoint"].as_str().ok_or("the banner names no endpoint")?.to_owned();
        Ok(Self { child, program, data: data.into(), endpoint, banner, _output: output })
    }

    /// Deploys `folder` with a public URL; returns the URL's path form.
    pub(crate) fn deploy(&self, folder: &Path, name: &str) -> Result<String, String> {
        let answer =
            self.cli(&["deploy", &folder.to_string_lossy(), "--name", name, "--public", "--json"])?;
        answer["url"].as_str().map(str::to_owned).ok_or_else(|| format!("no url in {answer}"))
    }

    /// Retires the function's instances, so that its next call is a cold one.
    pub(crate) fn retire(&self, name: &str) -> Result<(), String> {
        let host = self.endpoint.trim_start_matches("http://");
        let path = format!("/_dayfly/v1/functions/{name}/instances");
        let key = std::fs::read(self.data.join(RootKey::FILE)).map_err(|e| e.to_string())?;
        let key = RootKey::parse(&key).ok_or("the root key file cannot be read")?;
        let credentials = Credentials { access_key: key.access_key, secret_key: key.secret_key, token: None };
        let request =
            http::Request::delete(&path).header("host", host).body(()).map_err(|e| e.to_string())?;
        let (mut parts, ()) = request.into_parts();
        let now = World::real().now();
        let scope = Scope { region: "us-east-1", service: "dayfly", now };
        access::sign(&mut parts, b"", &credentials, scope).map_err(|e| e.to_string())?;
        let mut head = format!("DELETE {path} HTTP/1.1\r\nconnection: close\r\n");
        for (name, value) in &parts.headers {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or("")));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(host).map_err(|e| e.to_string())?;
        stream.write_all(head.as_bytes()).map_err(|e| e.to_string())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(|e| e.to_string())?;
        if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(format!("retire: {answer}")) }
    }

    /// The newest interpreter of `language` that the platform found: the one it runs the function on.
    pub(crate) fn interpreter(&self, language: &str) -> Result<String, String> {
        let found = self.banner["runtimes"].as_array().ok_or("the banner names no runtimes")?;
        let first = found.iter().find(|r| r["language"] == language);
        let path = first.and_then(|r| r["executable"].as_str());
        path.map(str::to_owned).ok_or_else(|| format!("no {language} on this machine"))
    }

    /// The resident memory of the server process and its launcher in MiB.
    pub(crate) fn resident_mb(&self) -> Result<f64, String> {
        let server = self.child.id();
        let launcher = child_pids(server).first().copied();
        [Some(server), launcher].into_iter().flatten().map(resident_mb).sum()
    }

    fn cli(&self, arguments: &[&str]) -> Result<serde_json::Value, String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .env("DAYFLY_DATA", &self.data)
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .output()
            .map_err(|e| e.to_string())?;
        if !output.status.success() {
            return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| format!("{arguments:?}: {e}"))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

fn child_pids(pid: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|p| p.parse().ok()).collect()
}

fn resident_mb(pid: u32) -> Result<f64, String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| e.to_string())?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| "VmRSS is no number")?;
    Ok(kib / 1024.0)
}
