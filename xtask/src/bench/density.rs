//! `bench density`: what an idle instance holds, and what many deployed functions cost those that run.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use super::figure::{Bound, Row, Samples};
use super::fleet::{self, Package};
use super::http::Connection;
use super::packages::{self, python_source};
use super::platform::Platform;
use super::processes::{self, Tree};
use super::{Setting, load, progress, write_files};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

const INSTANCES: usize = 50;
const QUICK_INSTANCES: usize = 20;
const FUNCTIONS: usize = 50_000;
const QUICK_FUNCTIONS: usize = 5_000;
const FEW: usize = 10;
const ROUNDS: usize = 40;
const QUICK_ROUNDS: usize = 6;
const MIB: f64 = 1048576.0;
/// Long enough that calls sent at once cannot share an instance.
const HOLD_S: f64 = 1.5;

/// A language, the handler that holds its instance for a while, and what an instance may hold.
struct Kind {
    language: &'static str,
    files: &'static [(&'static str, &'static str)],
    bound_mb: f64,
}

const KINDS: &[Kind] = &[
    Kind {
        language: "Python",
        files: &[(
            "handler.py",
            "import time\n\n\ndef handler(event, context):\n    time.sleep(1.5)\n    return {\"hello\": \"world\"}\n",
        )],
        bound_mb: 2.0,
    },
    Kind {
        language: "Node",
        files: &[
            (
                "handler.js",
                "exports.handler = async () => {\n  await new Promise((done) => setTimeout(done, 1500));\n  \
                 return { hello: 'world' };\n};\n",
            ),
            ("package.json", "{\"name\":\"hello\",\"version\":\"1.0.0\",\"main\":\"handler.js\"}\n"),
        ],
        bound_mb: 1.5,
    },
];

/// The rows of `bench density`.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = KINDS
        .iter()
        .filter(|kind| setting.wants(kind.language))
        .map(|kind| {
            let promise = format!("private memory of an idle {} instance, MB", kind.language);
            let bound = Bound::AtMost(kind.bound_mb);
            private(setting, kind, &promise)
                .unwrap_or_else(|why| Row::unmeasured(promise.as_str(), bound, &why))
        })
        .collect();
    if setting.wants("50,000 functions") {
        rows.extend(many(setting)?);
    }
    Ok(rows)
}

/// Instances held at once by calls sent at once; what the launcher's tree grew by, divided by their number.
fn private(setting: &Setting, kind: &Kind, promise: &str) -> Result<Row, String> {
    let count = setting.count(INSTANCES, QUICK_INSTANCES);
    progress::say(&format!("density: {count} idle {} instances", kind.language));
    let data = setting.folder.join("data-density");
    let platform = Platform::start(Command::new(&setting.program), &data, &[])?;
    let folder = setting.folder.join(format!("density-{}", kind.language));
    write_files(&folder, kind.files)?;
    let url = platform.deploy(&folder, "density", &["--timeout", "30"])?;
    // One instance first, so that whatever is made once for a function is there before anything is counted.
    let mut connection = Connection::open(&url).map_err(|e| e.to_string())?;
    connection.get().map_err(|e| e.to_string())?;
    let launcher = platform.launcher()?;
    let before = (platform.instances()?.len(), Tree::below(launcher).memory());
    let (host, path) = super::http::split(&url).map_err(|e| e.to_string())?;
    let request = super::http::get_request(host, path);
    let outcomes = load::open(host, &vec![Duration::ZERO; count], |_| request.clone())?;
    if let Some(failed) = outcomes.iter().find(|outcome| !outcome.is_ok()) {
        return Err(format!("a call failed: {:?}", failed.error));
    }
    sleep(Duration::from_secs_f64(HOLD_S));
    let after = (platform.instances()?.len(), Tree::below(launcher).memory());
    let rungs = forked(&platform, count)?;
    let grown = after.0.saturating_sub(before.0);
    if grown < count / 2 {
        return Err(format!("only {grown} instances came from {count} calls at once"));
    }
    #[allow(clippy::cast_precision_loss)]
    let per_instance = |bytes: f64| bytes / grown as f64 / MIB;
    let figure = per_instance(after.1.private - before.1.private);
    let measured = format!(
        "{figure:.2} MiB private and {:.2} MiB proportional each, sandbox's init included; {grown} idle instances, \
         {rungs} forked, beyond the first",
        per_instance(after.1.proportional - before.1.proportional),
    );
    let doubt = (rungs == 0).then(|| "no instance was forked from a template".to_owned());
    Ok(Row::new(promise, Bound::AtMost(kind.bound_mb), figure, measured).with_doubt(doubt))
}

fn forked(platform: &Platform, count: usize) -> Result<usize, String> {
    let records = platform.records("density", count + 1)?;
    Ok(records.iter().filter(|record| matches!(record["Rung"].as_str(), Some("fork" | "spare"))).count())
}

/// Fifty thousand functions beside ten: the server's memory, and a start on both in turn.
fn many(setting: &Setting) -> Result<Vec<Row>, String> {
    let count = setting.count(FUNCTIONS, QUICK_FUNCTIONS);
    let start = |data: &str| Platform::start(Command::new(&setting.program), &setting.folder.join(data), &[]);
    let (full, few) = (start("data-full")?, start("data-few")?);
    let package = Package {
        runtime: full.runtime_name("python")?,
        handler: "handler.handler",
        zip: packages::zip("handler.py", python_source())?,
        memory_mb: 128,
        timeout_s: 30,
    };
    let took = fleet::create(&full, &package, ("many", count), |_| Vec::new())?;
    fleet::create(&few, &package, ("many", FEW), |_| Vec::new())?;
    sleep(Duration::from_secs(2));
    let server = processes::resident_mb(full.pid())?;
    let few_server = processes::resident_mb(few.pid())?;
    let short = (count != FUNCTIONS).then(|| format!("a quick run deploys {count} functions"));
    let memory = Row::new(
        "server memory with 50,000 functions deployed, MB",
        Bound::AtMost(600.0),
        server * MIB / 1e6,
        format!(
            "{server:.0} MiB resident with {count} functions, {few_server:.0} MiB with {FEW}; created in {:.0} s",
            took.as_secs_f64()
        ),
    );
    let starts = starts(setting, (&full, count), &few)?;
    let [many, ten] = [&starts.0, &starts.1].map(Samples::p50_us);
    let start = Row::new(
        "start p50 with 50,000 functions deployed, against ten",
        Bound::AtMost(1.2),
        many / ten,
        format!("{:.2} ms against {:.2} ms; n = {}", many / 1e3, ten / 1e3, starts.0.count()),
    );
    Ok(vec![memory.with_doubt(short.clone()), start.with_doubt(short)])
}

/// First bytes of calls of functions that nobody has called, on both platforms in turn.
fn starts(
    setting: &Setting,
    (full, count): (&Platform, usize),
    few: &Platform,
) -> Result<(Samples, Samples), String> {
    let hello = packages::python(setting)?;
    let names = ["start-a", "start-b", "start-c"];
    let mut open = Vec::new();
    for name in names {
        let connect = |platform: &Platform| {
            let url = platform.deploy(&hello.folder, name, &[])?;
            Connection::open(&url).map_err(|e| e.to_string())
        };
        open.push((connect(full)?, connect(few)?));
    }
    progress::say(&format!("density: starts with {count} functions and with {FEW}"));
    let (mut many, mut ten) = (Samples::new(), Samples::new());
    for round in 0..=setting.count(ROUNDS, QUICK_ROUNDS) {
        let name = names[round % names.len()];
        let (a, b) = &mut open[round % names.len()];
        let one = |platform: &Platform, connection: &mut Connection| {
            platform.cold(name, None)?;
            match connection.timed_get().map_err(|e| e.to_string())? {
                (200, first_byte) => Ok(first_byte),
                (status, _) => Err(format!("status {status}")),
            }
        };
        let (first, second) = (one(full, a)?, one(few, b)?);
        if round > 0 {
            many.push(first);
            ten.push(second);
        }
    }
    Ok((many, ten))
}
