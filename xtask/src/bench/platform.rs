//! The platform under test: the built binary on a fresh data directory, driven through its own CLI and API.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use super::http::Connection;
use super::processes::{self, Tree};
use access::{Credentials, RootKey, Scope};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use world::World;

/// A record is written beside the hot path and may come a moment after its answer.
const RECORD_TRIES: u32 = 100;
const RECORD_PAUSE: Duration = Duration::from_millis(10);
const RETIRED_WITHIN: Duration = Duration::from_secs(10);

/// A running `dayfly up`.
pub(crate) struct Platform {
    child: Child,
    program: PathBuf,
    data: PathBuf,
    endpoint: String,
    banner: Value,
    key: Credentials,
    _output: BufReader<ChildStdout>,
}

/// A request of the platform's API before it is signed.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// `lambda` or `dayfly`.
    pub(crate) service: &'a str,
    pub(crate) body: &'a [u8],
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
        let banner: Value =
            serde_json::from_str(&banner).map_err(|e| format!("the banner {banner:?} is not JSON: {e}"))?;
        let endpoint = banner["endpoint"].as_str().ok_or("the banner names no endpoint")?.to_owned();
        let key = std::fs::read(data.join(RootKey::FILE)).map_err(|e| e.to_string())?;
        let key = RootKey::parse(&key).ok_or("the root key file cannot be read")?;
        let key = Credentials { access_key: key.access_key, secret_key: key.secret_key, token: None };
        Ok(Self { child, program, data: data.into(), endpoint, banner, key, _output: output })
    }

    /// Deploys `package` with `flags` and a public URL; returns the URL's path form.
    pub(crate) fn deploy(&self, package: &Path, name: &str, flags: &[&str]) -> Result<String, String> {
        let package = package.to_string_lossy();
        let mut arguments = vec!["deploy", &package, "--name", name, "--public", "--json"];
        arguments.extend(flags);
        let answer = self.cli(&arguments)?;
        answer["url"].as_str().map(str::to_owned).ok_or_else(|| format!("no url in {answer}"))
    }

    /// The machine code of the one component that was deployed.
    pub(crate) fn machine_code(&self) -> Result<PathBuf, String> {
        let folder = self.data.join("wasm");
        let files = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut files = files.filter_map(|file| Some(file.ok()?.path()));
        let code = files.find(|path| path.extension().is_some_and(|extension| extension == "cwasm"));
        code.ok_or_else(|| format!("no machine code below {}", folder.display()))
    }

    /// Retires the function's instances and waits until they are gone. The next call starts on `rung` (`spawn`,
    /// `fork` or `spare`) at best; without one, on the best that there is.
    pub(crate) fn cold(&self, name: &str, rung: Option<&str>) -> Result<(), String> {
        let query = rung.map(|rung| format!("?NextRung={rung}")).unwrap_or_default();
        let path = format!("/_dayfly/v1/functions/{name}/instances{query}");
        let ask = Ask { method: "DELETE", path: &path, service: "dayfly", body: b"" };
        self.api(&ask)?;
        let until = Instant::now() + RETIRED_WITHIN;
        while self.instances()?.iter().any(|i| i["FunctionName"] == name && i["State"] != "spare") {
            if Instant::now() > until {
                return Err(format!(
                    "instances of {name} are left {RETIRED_WITHIN:?} after they were retired"
                ));
            }
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Every instance that exists, as the platform's status says.
    pub(crate) fn instances(&self) -> Result<Vec<Value>, String> {
        let ask = Ask { method: "GET", path: "/_dayfly/v1/status", service: "dayfly", body: b"" };
        Ok(self.api(&ask)?["Instances"].as_array().cloned().unwrap_or_default())
    }

    /// The record of one invocation.
    pub(crate) fn record(&self, request_id: &str) -> Result<Value, String> {
        let path = format!("/_dayfly/v1/invocations/{request_id}");
        let ask = Ask { method: "GET", path: &path, service: "dayfly", body: b"" };
        for _ in 0..RECORD_TRIES {
            if let Ok(answer) = self.api(&ask) {
                return Ok(answer["Invocation"].clone());
            }
            sleep(RECORD_PAUSE);
        }
        Err(format!("no record of invocation {request_id}"))
    }

    /// The records of a function, at most `limit` of them.
    pub(crate) fn records(&self, name: &str, limit: usize) -> Result<Vec<Value>, String> {
        let path = format!("/_dayfly/v1/functions/{name}/invocations?Limit={limit}");
        let ask = Ask { method: "GET", path: &path, service: "dayfly", body: b"" };
        Ok(self.api(&ask)?["Invocations"].as_array().cloned().unwrap_or_default())
    }

    /// Invokes a function through the API and gives its answer.
    pub(crate) fn invoke(&self, name: &str, payload: &[u8]) -> Result<Value, String> {
        let path = format!("/2015-03-31/functions/{name}/invocations");
        self.api(&Ask { method: "POST", path: &path, service: "lambda", body: payload })
    }

    /// One signed request on a connection of its own; an answer of 2xx as JSON.
    pub(crate) fn api(&self, ask: &Ask<'_>) -> Result<Value, String> {
        let mut connection = Connection::open(&self.endpoint).map_err(|e| e.to_string())?;
        let status = connection.exchange(&self.signed(ask)?).map_err(|e| format!("{}: {e}", ask.path))?;
        if !(200..300).contains(&status) {
            return Err(format!("{} {}: status {status}: {}", ask.method, ask.path, connection.body()));
        }
        if connection.header("x-amz-function-error").is_some() {
            return Err(format!("{}: the function failed: {}", ask.path, connection.body()));
        }
        Ok(serde_json::from_str(connection.body()).unwrap_or(Value::Null))
    }

    /// The bytes of a signed request.
    pub(crate) fn signed(&self, ask: &Ask<'_>) -> Result<Vec<u8>, String> {
        sign(ask, self.host(), &self.key)
    }

    /// What signs requests to this platform in other threads and tasks.
    pub(crate) fn signer(&self) -> Signer {
        Signer { host: self.host().to_owned(), key: self.key.clone() }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn host(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// The newest interpreter of `language` that the platform found: the one it runs the function on.
    pub(crate) fn interpreter(&self, language: &str) -> Result<String, String> {
        let path = self.runtime(language)?["executable"].as_str().map(str::to_owned);
        path.ok_or_else(|| format!("no {language} on this machine"))
    }

    /// The newest runtime of `language` as CreateFunction names it, such as `python3.13`.
    pub(crate) fn runtime_name(&self, language: &str) -> Result<String, String> {
        let version = self.runtime(language)?["version"].as_str().unwrap_or("").to_owned();
        let mut parts = version.trim_start_matches('v').split('.');
        let (major, minor) = (parts.next().unwrap_or(""), parts.next().unwrap_or("0"));
        match language {
            "python" => Ok(format!("python{major}.{minor}")),
            "node" => Ok(format!("nodejs{major}.x")),
            other => Err(format!("no runtime name is known for {other}")),
        }
    }

    fn runtime(&self, language: &str) -> Result<&Value, String> {
        let found = self.banner["runtimes"].as_array().ok_or("the banner names no runtimes")?;
        let first = found.iter().find(|r| r["language"] == language);
        first.ok_or_else(|| format!("the platform found no {language} on this machine"))
    }

    /// The server process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The server, its launcher and everything below them.
    pub(crate) fn processes(&self) -> Tree {
        Tree::below(self.child.id())
    }

    /// The launcher process.
    pub(crate) fn launcher(&self) -> Result<u32, String> {
        processes::children(self.child.id()).first().copied().ok_or_else(|| "no launcher".to_owned())
    }

    /// The resident memory of the server process and its launcher in MiB.
    pub(crate) fn resident_mb(&self) -> Result<f64, String> {
        Ok(processes::resident_mb(self.pid())? + processes::resident_mb(self.launcher()?)?)
    }

    fn cli(&self, arguments: &[&str]) -> Result<Value, String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .env("DAYFLY_DATA", &self.data)
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .output()
            .map_err(|e| e.to_string())?;
        if !output.status.success() {
            return Err(format!("dayfly {}: {}", arguments[0], refusal(&output.stderr)));
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

/// Signs requests to one platform.
#[derive(Clone)]
pub(crate) struct Signer {
    host: String,
    key: Credentials,
}

impl Signer {
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The bytes of a signed Invoke.
    pub(crate) fn invoke(&self, name: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
        let path = format!("/2015-03-31/functions/{name}/invocations");
        self.signed(&Ask { method: "POST", path: &path, service: "lambda", body: payload })
    }

    pub(crate) fn signed(&self, ask: &Ask<'_>) -> Result<Vec<u8>, String> {
        sign(ask, &self.host, &self.key)
    }
}

/// What the CLI said of a failure: one JSON document among lines of progress.
fn refusal(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let document = said.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
    let error = document.as_ref().map(|document| &document["error"]);
    match error.and_then(|error| Some((error["what"].as_str()?, error["why"].as_str()?))) {
        Some((what, why)) => format!("{what}: {why}"),
        None => said.trim().replace('\n', "; "),
    }
}

fn sign(ask: &Ask<'_>, host: &str, key: &Credentials) -> Result<Vec<u8>, String> {
    let request = ::http::Request::builder()
        .method(ask.method)
        .uri(ask.path)
        .header("host", host)
        .header("content-length", ask.body.len())
        .body(())
        .map_err(|e| e.to_string())?;
    let (mut parts, ()) = request.into_parts();
    let now = World::real().now();
    let scope = Scope { region: "us-east-1", service: ask.service, now };
    access::sign(&mut parts, ask.body, key, scope).map_err(|e| e.to_string())?;
    let mut bytes = format!("{} {} HTTP/1.1\r\n", ask.method, ask.path);
    for (name, value) in &parts.headers {
        bytes.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or("")));
    }
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(ask.body);
    Ok(bytes)
}
