//! The rows of `bench main`: what each promises and how it is measured.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use super::bare::Bare;
use super::figure::{Bound, Row, Samples};
use super::http::Connection;
use super::peer::Peer;
use super::platform::Platform;
use super::{Setting, pinned};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What a function behind a URL receives for the requests of this bench: floors are given the same event.
const EVENT: &[u8] = include_bytes!("../../bench/event.json");
const WARM_ROUNDS: usize = 150;
const WARM_BURST: usize = 100;
const COLD_ROUNDS: usize = 30;

/// A language, its floor and its function's folder.
pub(crate) struct Hello {
    name: &'static str,
    script: PathBuf,
    folder: PathBuf,
}

/// Writes the two hello functions below `folder`.
pub(crate) fn hellos(setting: &Setting) -> Result<Vec<Hello>, String> {
    let python = "calls = 0\n\n\ndef handler(event, context):\n    global calls\n    calls += 1\n    \
                  return {\"hello\": \"world\", \"calls\": calls}\n";
    let node = "let calls = 0;\nexports.handler = async () => ({ hello: 'world', calls: ++calls });\n";
    let package = "{\"name\":\"hello\",\"version\":\"1.0.0\",\"main\":\"handler.js\"}\n";
    let made = [("python", "bare.py"), ("node", "bare.cjs")];
    for (name, file, text) in
        [("python", "handler.py", python), ("node", "handler.js", node), ("node", "package.json", package)]
    {
        let folder = setting.folder.join(name);
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        std::fs::write(folder.join(file), text).map_err(|e| e.to_string())?;
    }
    let hello = |(name, script)| Hello {
        name,
        script: setting.sources.join(script),
        folder: setting.folder.join(name),
    };
    Ok(made.map(hello).into())
}

/// Added latency of a warm call against that of the reverse-proxy peer.
pub(crate) fn warm(setting: &Setting, hellos: &[Hello]) -> Result<Vec<Row>, String> {
    let platform =
        Platform::start(pinned(&setting.program.to_string_lossy()), &setting.folder.join("data-warm"), &[])?;
    let peer = Peer::start(&setting.sources, &setting.folder)?;
    hellos.iter().map(|hello| warm_row(&platform, &peer, hello)).collect()
}

fn warm_row(platform: &Platform, peer: &Peer, hello: &Hello) -> Result<Row, String> {
    let url = platform.deploy(&hello.folder, &format!("warm-{}", hello.name))?;
    let mut ours = Connection::open(&url).map_err(|e| e.to_string())?;
    let mut proxied = Connection::open(&peer.proxied).map_err(|e| e.to_string())?;
    let mut direct = Connection::open(&peer.direct).map_err(|e| e.to_string())?;
    let interpreter = platform.interpreter(hello.name)?;
    let mut bare = spawn(hello, pinned(&interpreter))?;
    let [mut a, mut b, mut c, mut d] = [const { Samples::new() }; 4];
    for round in 0..=WARM_ROUNDS {
        let [mut a1, mut b1, mut c1, mut d1] = [const { Samples::new() }; 4];
        burst(&mut a1, || get(&mut ours))?;
        burst(&mut b1, || bare.call(EVENT).map(drop).map_err(|e| e.to_string()))?;
        burst(&mut c1, || get(&mut proxied))?;
        burst(&mut d1, || get(&mut direct))?;
        if round > 0 {
            for (all, one) in [(&mut a, a1), (&mut b, b1), (&mut c, c1), (&mut d, d1)] {
                all.extend(one);
            }
        }
    }
    let (added, added_peer) = (a.p50_us() - b.p50_us(), c.p50_us() - d.p50_us());
    Ok(Row {
        promise: format!("warm {}: latency added at p50, against {}", hello.name, peer.name),
        measured: format!(
            "URL {:.0} - bare {:.0} = {added:.0} us; peer {:.0} - direct {:.0} = {added_peer:.0} us; p99 {:.0} and {:.0} us; n = {}",
            a.p50_us(),
            b.p50_us(),
            c.p50_us(),
            d.p50_us(),
            a.p99_us(),
            c.p99_us(),
            a.count()
        ),
        figure: added / added_peer,
        bound: Bound::AtMost(1.0),
    })
}

fn get(connection: &mut Connection) -> Result<(), String> {
    match connection.get() {
        Ok(200) => Ok(()),
        Ok(status) => Err(format!("status {status}")),
        Err(error) => Err(error.to_string()),
    }
}

fn burst(samples: &mut Samples, mut one: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    for _ in 0..WARM_BURST {
        let began = Instant::now();
        one()?;
        samples.push(began.elapsed());
    }
    Ok(())
}

/// First byte through the URL with a fresh instance, against spawning the interpreter with the same handler.
pub(crate) fn cold(setting: &Setting, hellos: &[Hello]) -> Result<Vec<Row>, String> {
    let data = setting.folder.join("data-cold");
    let platform = Platform::start(Command::new(&setting.program), &data, &[])?;
    hellos.iter().map(|hello| cold_row(&platform, hello)).collect()
}

fn cold_row(platform: &Platform, hello: &Hello) -> Result<Row, String> {
    let name = format!("cold-{}", hello.name);
    let url = platform.deploy(&hello.folder, &name)?;
    let interpreter = platform.interpreter(hello.name)?;
    let mut ours = Connection::open(&url).map_err(|e| e.to_string())?;
    let [mut through, mut floor] = [const { Samples::new() }; 2];
    for round in 0..=COLD_ROUNDS {
        platform.retire(&name)?;
        std::thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        get(&mut ours)?;
        let first = began.elapsed();
        if !ours.body().ends_with("\"calls\": 1}") && !ours.body().ends_with("\"calls\":1}") {
            return Err(format!("a cold call met a used instance: {}", ours.body()));
        }
        std::thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        let mut bare = spawn(hello, Command::new(&interpreter))?;
        bare.call(EVENT).map_err(|e| e.to_string())?;
        let second = began.elapsed();
        if round > 0 {
            through.push(first);
            floor.push(second);
        }
    }
    Ok(Row {
        promise: format!("cold {}: first byte through the URL, against spawning the interpreter", hello.name),
        measured: format!(
            "{:.1} ms against {:.1} ms; p99 {:.1} and {:.1} ms; n = {}",
            through.p50_us() / 1e3,
            floor.p50_us() / 1e3,
            through.p99_us() / 1e3,
            floor.p99_us() / 1e3,
            through.count()
        ),
        figure: through.p50_us() / floor.p50_us(),
        bound: Bound::AtMost(1.5),
    })
}

fn spawn(hello: &Hello, mut interpreter: Command) -> Result<Bare, String> {
    interpreter.arg(&hello.script);
    Bare::spawn(interpreter, &hello.folder).map_err(|e| format!("{}: {e}", hello.name))
}

/// What an idle server holds, and what the binary weighs.
pub(crate) fn server(setting: &Setting) -> Result<Vec<Row>, String> {
    let platform = Platform::start(Command::new(&setting.program), &setting.folder.join("data-idle"), &[])?;
    std::thread::sleep(Duration::from_secs(2));
    let resident = platform.resident_mb()?;
    let bytes = std::fs::metadata(&setting.program).map_err(|e| e.to_string())?.len();
    #[allow(clippy::cast_precision_loss)]
    let binary = bytes as f64 / 1048576.0;
    Ok(vec![
        Row {
            promise: "resident memory of the idle server and its launcher, MiB".into(),
            measured: format!("{resident:.1} MiB"),
            figure: resident,
            bound: Bound::AtMost(40.0),
        },
        Row {
            promise: "stripped release binary, MiB".into(),
            measured: format!("{binary:.1} MiB"),
            figure: binary,
            bound: Bound::AtMost(30.0),
        },
    ])
}

/// Durable commits a second of 64 writers against one.
pub(crate) fn commits(setting: &Setting, root: &Path) -> Result<Row, String> {
    let data = setting.folder.join("data-commits");
    let output = Command::new("cargo")
        .args(["run", "--quiet", "--release", "--package", "store", "--example", "group_commit", "--"])
        .arg(&data)
        .current_dir(root)
        .output()
        .map_err(|e| format!("cargo: {e}"))?;
    let _ = std::fs::remove_dir_all(&data);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("group_commit: {e}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let (one, many) = (
        said["one_writer_per_s"].as_f64().unwrap_or(0.0),
        said["many_writers_per_s"].as_f64().unwrap_or(0.0),
    );
    Ok(Row {
        promise: "durable commits a second: 64 writers against one".into(),
        measured: format!("{many:.0} against {one:.0}"),
        figure: many / one,
        bound: Bound::AtLeast(15.0),
    })
}

/// A clean release build; only with `--build`, since it takes minutes.
pub(crate) fn build(setting: &Setting, root: &Path) -> Result<Row, String> {
    let target = setting.folder.join("clean-build");
    let _ = std::fs::remove_dir_all(&target);
    let began = Instant::now();
    let status = Command::new("cargo")
        .args(["build", "--release", "--quiet"])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(root)
        .status()
        .map_err(|e| format!("cargo: {e}"))?;
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let _ = std::fs::remove_dir_all(&target);
    if !status.success() {
        return Err("the release build failed".into());
    }
    Ok(Row {
        promise: "clean release build, minutes".into(),
        measured: format!("{minutes:.1} min"),
        figure: minutes,
        bound: Bound::AtMost(8.0),
    })
}
