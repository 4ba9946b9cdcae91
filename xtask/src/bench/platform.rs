//! The platform under test: the built binary on a fresh data directory, driven through its own CLI.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

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
