//! `bench steady`: the CPU of steady load, against the same handler as a plain server that always runs.

use super::bare::Ended;
use super::figure::{Bound, Row, median, ratio};
use super::http::{get_request, split};
use super::load::{self, Outcome};
use super::platform::{Ask, Platform};
use super::processes::Tree;
use super::trace::arrivals::poisson;
use super::{Setting, progress, write_files};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Requests a second. Ten milliseconds of computing each leave one core a fifth of its time.
const RATE: f64 = 80.0;
const WINDOW_S: u64 = 10;
const QUICK_WINDOW_S: u64 = 5;
const WINDOWS: usize = 3;
const SEED: u64 = 0x0da7_f1e5;
/// Calls at once in one instance: what AWS gives Node on one processor.
const CALLS_AT_ONCE: u32 = 64;
const RECORDS: usize = 1000;
const CPU: &str = "steady load, CPU per million invocations, against the same handler as a plain server";
const FEWER: &str = "steady load, instances used with one call each, against instances used";

/// The handler, and the plain server around it. The loop of 10 ms is set by its count of CPU time, not by the clock.
const HANDLER: &str = "const wait = () => new Promise((done) => setTimeout(done, 100));\n\
    const used = (from) => { const u = process.cpuUsage(from); return u.user + u.system; };\n\
    function compute() { const from = process.cpuUsage(); let x = 1;\n  \
    while (used(from) < 10000) for (let i = 0; i < 20000; i++) x = (x * 31 + i) | 0;\n  return x; }\n\
    exports.handler = async () => { await wait(); return { hello: 'world', x: compute() }; };\n";
const SERVER: &str = "const http = require('node:http');\nconst { handler } = require('./handler.js');\n\
    http.createServer(async (request, response) => {\n  request.resume();\n  const answer = await handler({});\n  \
    response.setHeader('content-type', 'application/json');\n  response.end(JSON.stringify(answer));\n\
    }).listen(Number(process.argv[2]), '127.0.0.1');\n";

/// The rows of `bench steady`.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let platform = Platform::start(Command::new(&setting.program), &setting.folder.join("data-steady"), &[])?;
    let folder = setting.folder.join("steady");
    let package = "{\"name\":\"steady\",\"version\":\"1.0.0\",\"main\":\"handler.js\"}\n";
    write_files(&folder, &[("handler.js", HANDLER), ("package.json", package)])?;
    let (server, direct) = plain_server(setting, &platform)?;
    let single = platform.deploy(&folder, "steady-single", &["--timeout", "30"])?;
    let several = several(&platform, &folder);
    let doubt = several.as_ref().err().map(|why| format!("one call at a time in each instance: {why}"));
    let (name, url) = several.map_or(("steady-single", single.clone()), |url| ("steady", url));
    let windows = setting.count(WINDOWS, 1);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for window in 0..=windows {
        progress::say(&format!("steady: window {window} of {windows}"));
        let through = measured(setting, &url, &platform.processes(), || platform.processes())?;
        let plain = Tree::below(server.0.id());
        let bare = measured(setting, &direct, &plain, || Tree::below(server.0.id()))?;
        if window > 0 {
            ours.push(through);
            peer.push(bare);
        }
    }
    let (ours, peer) = (median(ours), median(peer));
    let cpu = Row::new(
        CPU,
        Bound::AtMost(1.15),
        ours / peer,
        format!(
            "{:.0} s against {:.0} s a million; {RATE} requests a second, {windows} windows",
            ours * 1e6,
            peer * 1e6
        ),
    );
    let fewer = instances(setting, &platform, (name, &url), &single)?;
    Ok(vec![cpu.with_doubt(doubt.clone()), fewer.with_doubt(doubt)])
}

/// Deploys the handler so that each instance serves several calls at once; gives its URL.
fn several(platform: &Platform, folder: &Path) -> Result<String, String> {
    let url = platform.deploy(folder, "steady", &["--timeout", "30"])?;
    let body = serde_json::json!({ "CapacityProviderConfig": { "LambdaManagedInstancesCapacityProviderConfig": {
        "CapacityProviderArn": "arn:aws:lambda:us-east-1:000000000000:capacity-provider:dayfly",
        "PerExecutionEnvironmentMaxConcurrency": CALLS_AT_ONCE,
    } } });
    platform.api(&Ask {
        method: "PUT",
        path: "/2015-03-31/functions/steady/configuration",
        service: "lambda",
        body: body.to_string().as_bytes(),
    })?;
    Ok(url)
}

/// CPU seconds of an invocation of `url`, by what the processes used over a window of load.
fn measured(setting: &Setting, url: &str, before: &Tree, after: impl Fn() -> Tree) -> Result<f64, String> {
    let began = before.cpu_seconds();
    let outcomes = offer(setting, url)?;
    sleep(Duration::from_millis(100));
    #[allow(clippy::cast_precision_loss)]
    Ok((after().cpu_seconds() - began) / outcomes.len() as f64)
}

fn offer(setting: &Setting, url: &str) -> Result<Vec<Outcome>, String> {
    let seconds = if setting.quick { QUICK_WINDOW_S } else { WINDOW_S };
    let times = poisson(RATE, Duration::from_secs(seconds), SEED);
    let (host, path) = split(url).map_err(|e| e.to_string())?;
    let request = get_request(host, path);
    let outcomes = load::open(host, &times, |_| request.clone())?;
    match outcomes.iter().find(|outcome| !outcome.is_ok()) {
        Some(failed) => Err(format!("a call of {url} failed: {:?}", failed.error)),
        None => Ok(outcomes),
    }
}

/// Distinct instances under the same load, with one call at a time in each and with several.
fn instances(
    setting: &Setting,
    platform: &Platform,
    (name, url): (&str, &str),
    single: &str,
) -> Result<Row, String> {
    progress::say("steady: counting instances");
    for name in ["steady", "steady-single"] {
        let _ = platform.cold(name, None);
    }
    let one_each = used(setting, platform, ("steady-single", single))?;
    let several = if name == "steady-single" { one_each } else { used(setting, platform, (name, url))? };
    #[allow(clippy::cast_precision_loss)]
    let figure = one_each as f64 / several as f64;
    let measured = format!("{one_each} with one call each, {several} used; {} times fewer", ratio(figure));
    Ok(Row::new(FEWER, Bound::AtLeast(10.0), figure, measured))
}

fn used(setting: &Setting, platform: &Platform, (name, url): (&str, &str)) -> Result<usize, String> {
    let calls = offer(setting, url)?.len();
    sleep(Duration::from_millis(500));
    let records = platform.records(name, calls.min(RECORDS))?;
    let distinct: BTreeSet<&str> = records.iter().filter_map(|record| record["Instance"].as_str()).collect();
    if distinct.is_empty() { Err(format!("{name} left no records")) } else { Ok(distinct.len()) }
}

fn plain_server(setting: &Setting, platform: &Platform) -> Result<(Ended, String), String> {
    let folder = setting.folder.join("steady");
    write_files(&folder, &[("handler.js", HANDLER), ("server.js", SERVER)])?;
    let port = super::peer::free_port()?;
    let mut node = Command::new(platform.interpreter("node")?);
    node.arg("server.js").arg(port.to_string()).current_dir(&folder);
    node.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = Ended(node.spawn().map_err(|e| format!("node: {e}"))?);
    super::peer::wait_for(port)?;
    Ok((child, format!("http://127.0.0.1:{port}/")))
}
