//! A deployed function and the peer that runs the same code, each of which can be started once more.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use super::floor::Floor;
use crate::bench::Setting;
use crate::bench::bare::{self, Bare, Ended};
use crate::bench::http::Connection;
use crate::bench::packages::{self, EVENT, Hello};
use crate::bench::platform::Platform;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// See the module.
pub(super) struct Subject {
    name: String,
    connection: Connection,
    renewal: Renewal,
    peer: Peer,
    /// What is left without the platform, where that is shown.
    pub(super) floor: Option<Floor>,
}

/// Deploys a package never seen before; gives the function's name and a connection to its URL.
type Deploy = Box<dyn FnMut(&Platform) -> Result<(String, Connection), String>>;

/// How a function becomes one that has no instance.
enum Renewal {
    /// Its instances are retired.
    Retire,
    /// A package never seen before is deployed under a new name.
    Deploy(Deploy),
}

enum Peer {
    /// An interpreter with the handler behind frames on a socket.
    Frames { interpreter: String, hello: Hello },
    /// fork and exec of a Runtime API program.
    RuntimeApi(PathBuf),
    /// A JVM server.
    Jvm { java: String, classes: PathBuf },
    /// A server that runs all the time.
    Server { connection: Connection, _server: Ended },
    /// The function itself, warm.
    Warm(Connection),
}

impl Subject {
    /// A hello of Python or Node, deployed with `flags`.
    pub(super) fn hello(
        platform: &Platform,
        hello: Hello,
        (name, flags): (&str, &[&str]),
    ) -> Result<Self, String> {
        let interpreter = platform.interpreter(hello.name)?;
        let url = platform.deploy(&hello.folder, name, flags)?;
        let connection = open(&url)?;
        let peer = Peer::Frames { interpreter, hello };
        Ok(Self { name: name.to_owned(), connection, renewal: Renewal::Retire, peer, floor: None })
    }

    /// The Python hello, with the floor of its fork.
    pub(super) fn python(setting: &Setting, platform: &Platform) -> Result<Self, String> {
        let interpreter = platform.interpreter("python")?;
        let floor = Floor::forked(setting, &interpreter, &packages::python(setting)?)?;
        let subject = Self::hello(platform, packages::python(setting)?, ("start-python", &[]))?;
        Ok(Self { floor: Some(floor), ..subject })
    }

    pub(super) fn rust(setting: &Setting, platform: &Platform) -> Result<Self, String> {
        let folder = setting.rust_bootstrap()?;
        let name = "start-rust";
        let url = platform.deploy(&folder, name, &[])?;
        let peer = Peer::RuntimeApi(folder.join("bootstrap"));
        Ok(Self {
            name: name.to_owned(),
            connection: open(&url)?,
            renewal: Renewal::Retire,
            peer,
            floor: None,
        })
    }

    pub(super) fn java(setting: &Setting, platform: &Platform) -> Result<Self, String> {
        let classes = setting.java_classes()?;
        let java = platform.interpreter("java")?;
        let mut serial = 0;
        let mut made = Vec::new();
        for _ in 0..setting.count(48, 12) {
            serial += 1;
            made.push(packages::java_jar(
                &setting.folder,
                &classes,
                &format!("{serial}-{}", std::process::id()),
            )?);
        }
        let deploy = move |platform: &Platform| {
            let jar = made.pop().ok_or("no jar is left that was never seen")?;
            let name = format!("start-java-{}", made.len());
            let url = platform.deploy(&jar, &name, &["--handler", "hello.Hello::handleRequest"])?;
            Ok((name, open(&url)?))
        };
        Self::deployed_anew(platform, Box::new(deploy), Peer::Jvm { java, classes })
    }

    /// wasm against `wasmtime serve`, which makes a fresh instance for each request too.
    pub(super) fn wasm(setting: &Setting, platform: &Platform) -> Result<Self, String> {
        let component = setting.wasm_hello()?;
        let peer = wasmtime_serve(setting, &component)?;
        Self::wasm_against(setting, component, platform, peer)
    }

    /// wasm against its own warm calls.
    pub(super) fn wasm_own(setting: &Setting, platform: &Platform) -> Result<Self, String> {
        let component = setting.wasm_hello()?;
        let path = packages::wasm_variant(&setting.folder, &component, "warm")?;
        let mut connection = open(&platform.deploy(&path, "start-wasm-warm", &[])?)?;
        connection.get().map_err(|e| e.to_string())?;
        Self::wasm_against(setting, component, platform, Peer::Warm(connection))
    }

    fn wasm_against(
        setting: &Setting,
        component: PathBuf,
        platform: &Platform,
        peer: Peer,
    ) -> Result<Self, String> {
        let mut serial = 0;
        let mark = match peer {
            Peer::Warm(_) => "own",
            _ => "serve",
        };
        let scratch = setting.folder.clone();
        let deploy = move |platform: &Platform| {
            serial += 1;
            let path = packages::wasm_variant(&scratch, &component, &format!("{mark}-{serial}"))?;
            let name = format!("start-wasm-{mark}-{serial}");
            let url = platform.deploy(&path, &name, &[])?;
            Ok((name, open(&url)?))
        };
        let subject = Self::deployed_anew(platform, Box::new(deploy), peer)?;
        Ok(Self { floor: Some(Floor::worker(setting, &platform.machine_code()?)?), ..subject })
    }

    fn deployed_anew(platform: &Platform, mut deploy: Deploy, peer: Peer) -> Result<Self, String> {
        let (name, connection) = deploy(platform)?;
        Ok(Self { name, connection, renewal: Renewal::Deploy(deploy), peer, floor: None })
    }

    /// Sees to it that the next call needs an instance, from `rung` at best.
    pub(super) fn ready(&mut self, platform: &Platform, rung: Option<&str>) -> Result<(), String> {
        match &mut self.renewal {
            Renewal::Retire => platform.cold(&self.name, rung),
            Renewal::Deploy(deploy) => {
                (self.name, self.connection) = deploy(platform)?;
                match rung {
                    Some(_) => platform.cold(&self.name, rung),
                    None => Ok(()),
                }
            }
        }
    }

    /// One call through the URL: time to first byte, and the rung that its record names.
    pub(super) fn call(&mut self, platform: &Platform) -> Result<(Duration, String), String> {
        let (status, first_byte) = self.connection.timed_get().map_err(|e| e.to_string())?;
        let body = self.connection.body();
        if status != 200 {
            return Err(format!("the function answered {status}: {body}"));
        }
        let answer: serde_json::Value = serde_json::from_str(body).map_err(|e| format!("{e}: {body}"))?;
        if answer["calls"] != 1 {
            return Err(format!("a cold call met a used instance: {body}"));
        }
        let id = self.connection.header("x-amzn-requestid").ok_or("the answer names no request id")?;
        let record = platform.record(id)?;
        Ok((first_byte, record["Rung"].as_str().unwrap_or("unknown").to_owned()))
    }

    /// One start of the peer, until its first answer.
    pub(super) fn peer(&mut self) -> Result<Duration, String> {
        match &mut self.peer {
            Peer::Frames { interpreter, hello } => {
                let began = Instant::now();
                let mut command = Command::new(interpreter);
                command.arg(&hello.script);
                let mut bare = Bare::spawn(command, &hello.folder).map_err(|e| e.to_string())?;
                bare.call(EVENT).map_err(|e| format!("the {} floor: {e}", hello.name))?;
                Ok(began.elapsed())
            }
            Peer::RuntimeApi(program) => bare::runtime_api(program, EVENT).map_err(|e| e.to_string()),
            Peer::Jvm { java, classes } => {
                let mut command = Command::new(java);
                command.args(["-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
                command.arg(classes).arg("hello.Server");
                bare::http_server(command).map_err(|e| format!("the Java floor: {e}"))
            }
            Peer::Server { connection, .. } | Peer::Warm(connection) => {
                match connection.timed_get().map_err(|e| e.to_string())? {
                    (200, first_byte) => Ok(first_byte),
                    (status, _) => Err(format!("the peer answered {status}")),
                }
            }
        }
    }
}

fn open(url: &str) -> Result<Connection, String> {
    Connection::open(url).map_err(|e| format!("{url}: {e}"))
}

/// `wasmtime serve` with its defaults of version 48: a fresh instance for each request of a wasi:http 0.2 component.
fn wasmtime_serve(setting: &Setting, component: &std::path::Path) -> Result<Peer, String> {
    let mut command = Command::new(setting.wasmtime()?);
    let port = crate::bench::peer::free_port()?;
    command.args(["serve", "-S", "cli", "-O", "pooling-allocator", "--addr"]);
    command.arg(format!("127.0.0.1:{port}")).arg(component);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Ended(command.spawn().map_err(|e| format!("wasmtime: {e}"))?);
    crate::bench::peer::wait_for(port)?;
    Ok(Peer::Server { connection: open(&format!("http://127.0.0.1:{port}/"))?, _server: server })
}
