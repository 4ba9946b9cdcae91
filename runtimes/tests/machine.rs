//! This machine's own interpreters, found and started in real sandboxes. Its own `main`, since the launcher process
//! must be started before any thread.
#![allow(clippy::disallowed_methods, reason = "prints how long starts take")]

use model::{Call, FunctionName, Language, Runtime, Version};
use runtimes::{Channel, Event, InstanceFacts, Interpreter, Protocol, Runtimes, StartPlan};
use sandbox::{Launcher, LauncherOptions, Sandbox, Spec};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use store::DataDir;

const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    if std::env::args().any(|argument| argument == "__launcher") {
        sandbox::run_launcher()
    }
    let options = LauncherOptions { arguments: vec!["__launcher".into()] };
    let launcher = Launcher::start(Path::new("/proc/self/exe"), options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let passed = runtime.block_on(all(&launcher));
    println!("{passed} passed, 0 failed");
}

async fn all(launcher: &Launcher) -> u32 {
    let able = !launcher.protections().layers.is_empty() && launcher.protections().level > 1;
    let home = tempfile::tempdir().unwrap();
    let data = DataDir::open(&home.path().join("data")).unwrap();
    let began = Instant::now();
    let first = Runtimes::discover(launcher, &data).await.unwrap();
    println!("found {} interpreters in {:?}", first.found().len(), began.elapsed());
    let began = Instant::now();
    let again = Runtimes::discover(launcher, &data).await.unwrap();
    println!("found them again in {:?}", began.elapsed());
    assert_eq!(first.found(), again.found(), "what was kept is what was found");
    if !able {
        println!("skipped: instances of them, since this machine cannot make sandboxes");
        return 1;
    }
    let mut passed = 1;
    for interpreter in first.found() {
        println!("{} {}", interpreter.identifier(), interpreter.executable.display());
        assert!(data.path().join("runtime").join(&interpreter.bootstrap).is_file(), "{interpreter:?}");
        if !first.found().iter().any(|other| same_but_first(other, interpreter)) {
            serves(launcher, &first, interpreter, home.path()).await;
            passed += 1;
        }
    }
    if Path::new("/usr/bin/python3").exists() {
        custom(launcher, &first, home.path()).await;
        passed += 1;
    } else {
        println!("skipped: the custom runtime's test is a script for /usr/bin/python3");
    }
    passed
}

/// Whether `other` is the one that a plan takes in place of `one`.
fn same_but_first(other: &Interpreter, one: &Interpreter) -> bool {
    other.identifier() == one.identifier()
        && other.executable != one.executable
        && other.version >= one.version
}

fn version(runtime: &str, code: &Path, handler: &str) -> Version {
    Version {
        function: FunctionName::parse("hello").unwrap(),
        version: "$LATEST".into(),
        revision: "1".into(),
        arn: "arn".into(),
        runtime: Runtime::parse(runtime).unwrap(),
        handler: handler.into(),
        code_dir: code.into(),
        memory_mb: 512,
        tmp_mb: 64,
        timeout_s: 10,
        environment: [("MINE".to_owned(), "1".to_owned())].into(),
        role: String::new(),
        log_group: "/aws/lambda/hello".into(),
        concurrency: None,
        instance_concurrency: 1,
        weight: 1,
        snapstart: false,
    }
}

fn code(home: &Path, name: &str, file: &str, text: &str) -> std::path::PathBuf {
    let folder = home.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(file), text).unwrap();
    for (path, mode) in [(folder.clone(), 0o755), (folder.join(file), 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    folder
}

const PYTHON: &str = "import os, json, sqlite3, ssl, hashlib, zoneinfo, ctypes
def handler(event, context):
    import logging
    logging.warning('said')
    return [event, os.environ['MINE'], os.getcwd(), __file__, sorted(os.listdir('/var'))]
";
const NODE: &str = "const crypto = require('crypto'), zlib = require('zlib')
exports.handler = async (event) => [event, process.env.MINE, process.cwd(), __filename, require('fs').readdirSync('/var').sort()]
";

async fn serves(launcher: &Launcher, runtimes: &Runtimes, interpreter: &Interpreter, home: &Path) {
    let name = interpreter.identifier();
    if interpreter.language == Language::Java {
        return java(launcher, runtimes, &name, home).await;
    }
    let (file, text) = match interpreter.language {
        Language::Python => ("app.py", PYTHON),
        _ => ("app.js", NODE),
    };
    let version = version(&name, &code(home, &name, file, text), "app.handler");
    let plan = runtimes.plan(&version, &InstanceFacts::default()).unwrap();
    let body = converse(launcher, plan, &name).await;
    let got: serde_json::Value = serde_json::from_str(&body).unwrap();
    let expected =
        serde_json::json!([{"k": 1}, "1", "/var/task", format!("/var/task/{file}"), got[4].clone()]);
    assert_eq!(got, expected, "{name}");
    assert!(got[4].as_array().unwrap().contains(&"runtime".into()), "{name}: {got}");
}

/// A jar in `lib` that comes with the bootstrap.
async fn java(launcher: &Launcher, runtimes: &Runtimes, name: &str, home: &Path) {
    let task = code(home, name, "data", "");
    let lib = task.join("lib");
    std::fs::create_dir_all(&lib).unwrap();
    std::fs::copy(concat!(env!("OUT_DIR"), "/rehearsal.jar"), lib.join("rehearsal.jar")).unwrap();
    std::fs::set_permissions(&lib, std::fs::Permissions::from_mode(0o755)).unwrap();
    let version = version(name, &task, "dayfly.rehearsal.Echo");
    let plan = runtimes.plan(&version, &InstanceFacts::default()).unwrap();
    assert_eq!(converse(launcher, plan, name).await, r#"{"k": 1}"#);
}

/// A custom runtime in forty lines of anything.
const CUSTOM: &str = "#!/usr/bin/python3 -S
import os, socket
host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')
def ask(request):
    s = socket.create_connection((host, int(port)))
    s.sendall(request)
    data = b''
    while b'\\r\\n\\r\\n' not in data or len(data.split(b'\\r\\n\\r\\n', 1)[1]) < int(data.lower().split(b'content-length: ')[1].split(b'\\r')[0]):
        data += s.recv(65536)
    return data.split(b'\\r\\n\\r\\n', 1)
base = '/2018-06-01/runtime/invocation/'
while True:
    head, event = ask(('GET ' + base + 'next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n').encode())
    name = head.decode().lower().split('lambda-runtime-aws-request-id: ')[1].split('\\r')[0]
    body = b'[' + event + b']'
    ask(('POST %s%s/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d\\r\\n\\r\\n' % (base, name, len(body))).encode() + body)
";

async fn custom(launcher: &Launcher, runtimes: &Runtimes, home: &Path) {
    let version = version("provided.al2023", &code(home, "custom", "bootstrap", CUSTOM), "unused");
    let plan = runtimes.plan(&version, &InstanceFacts::default()).unwrap();
    assert_eq!(converse(launcher, plan, "custom").await, r#"[{"k": 1}]"#);
}

/// Starts an instance and calls it twice; the second answer.
async fn converse(launcher: &Launcher, plan: StartPlan, name: &str) -> String {
    let began = Instant::now();
    let (mut sandbox, mut channel) = start(launcher, plan, name).await;
    let event = tokio::time::timeout(PATIENCE, channel.next()).await.expect("an event in time");
    assert_eq!(event, Event::Ready, "{name}: {}", output(&mut sandbox).await);
    let mut last = String::new();
    for id in ["first", "second"] {
        let call = Call { request_id: id.into(), payload: br#"{"k": 1}"#[..].into(), ..Call::default() };
        channel.send(&call, 4_102_444_800_000).await.unwrap();
        last = answer(&mut channel, name).await;
        println!("  {id} answer after {:?}", began.elapsed());
    }
    sandbox.kill().await;
    last
}

/// The answer; what is logged before it must be what the handler says.
async fn answer(channel: &mut Channel, name: &str) -> String {
    loop {
        match tokio::time::timeout(PATIENCE, channel.next()).await.expect("an answer in time") {
            Event::Response { body, .. } => return String::from_utf8(body.to_vec()).unwrap(),
            Event::Log { message, .. } => assert!(message.ends_with(b"\tsaid"), "{name}: {message:?}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

async fn start(launcher: &Launcher, plan: StartPlan, name: &str) -> (Sandbox, Channel) {
    let spec = Spec {
        id: format!("test-{}-{}", std::process::id(), name.replace('.', "-")),
        argv: plan.argv,
        env: plan.env,
        workdir: plan.workdir.to_string_lossy().into_owned(),
        binds: plan.binds,
        tmp_bytes: 64 << 20,
        memory_bytes: 512 << 20,
        cpu_millis: 2000,
        pids: 64,
        listen: plan.listen,
        control: plan.protocol == Protocol::Framed,
        ..Spec::default()
    };
    let mut sandbox = launcher.create(spec).await.unwrap();
    let channel = match plan.protocol {
        Protocol::Framed => Channel::framed(sandbox.control.take().unwrap(), 1),
        Protocol::RuntimeApi => Channel::runtime_api(sandbox.listeners.remove(0), 1),
    };
    (sandbox, channel.unwrap())
}

/// What a dead instance said.
async fn output(sandbox: &mut Sandbox) -> String {
    sandbox.kill().await;
    let pipes = [sandbox.stdout.try_clone(), sandbox.stderr.try_clone()];
    pipes
        .into_iter()
        .flatten()
        .map(|pipe| std::io::read_to_string(std::fs::File::from(pipe)).unwrap_or_default())
        .collect()
}
