//! AWS's own clients, installed below the target folder, on our Runtime API.

use crate::case::Case;
use crate::run::{Process, Subject, environment};
use runtimes::Channel;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A client of AWS's, started as its own documentation says.
pub struct Reference {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub env: Vec<(String, String)>,
}

impl Subject for Reference {
    async fn start(&self, case: &Case, task: &Path) -> (Process, Channel) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = Command::new(&self.program);
        environment(&mut command, case, task);
        command.args(&self.arguments).arg(case.handler).stdin(Stdio::null());
        command.env("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string());
        for (name, value) in &self.env {
            let given =
                case.env.iter().find(|(given, _)| given == name).map(|(_, given)| format!(":{given}"));
            command.env(name, format!("{value}{}", given.unwrap_or_default()));
        }
        let child = command.spawn().unwrap();
        (Process::Child(Box::new(child)), Channel::runtime_api(listener, 1).unwrap())
    }
}

/// Installs a client with `tests/handlers/install.sh`; its folder, or why it cannot be had.
pub fn install(kind: &str, tool: &Path) -> Result<PathBuf, String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("reference");
    let folder = target.join(kind).join(tool.file_name().unwrap_or_default());
    let ran = Command::new("sh")
        .arg(manifest.join("tests/handlers/install.sh"))
        .arg(kind)
        .arg(tool)
        .arg(&folder)
        .output()
        .map_err(|error| error.to_string())?;
    if ran.status.success() {
        Ok(folder)
    } else {
        Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned())
    }
}
