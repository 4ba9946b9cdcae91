//! `bench storm`: distinct functions started a second, against spawning the interpreter at the same parallelism.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use super::bare::Bare;
use super::figure::{Bound, Row};
use super::fleet::{self, Package};
use super::forked;
use super::packages::{self, EVENT, Hello, python_source};
use super::platform::Platform;
use super::{Setting, progress};
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

const PARALLEL: usize = 16;
/// More functions than any start that we hope for can use up in time.
const FUNCTIONS: usize = 12_000;
const QUICK_FUNCTIONS: usize = 3_000;
const FLEET: &str = "storm";
const PROMISE: &str = "distinct Python functions started a second, none failed, against spawning python3";
const BOUND: Bound = Bound::AtLeast(8.0);

/// The row of `bench storm`.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let platform = Platform::start(Command::new(&setting.program), &setting.folder.join("data-storm"), &[])?;
    let functions = setting.count(FUNCTIONS, QUICK_FUNCTIONS);
    let package = Package {
        runtime: platform.runtime_name("python")?,
        handler: "handler.handler",
        zip: packages::zip("handler.py", python_source())?,
        memory_mb: 128,
        timeout_s: 30,
    };
    fleet::create(&platform, &package, (FLEET, functions), |_| Vec::new())?;
    let span = Duration::from_secs(setting.count(10, 3) as u64);
    let (interpreter, hello) = (platform.interpreter("python")?, packages::python(setting)?);
    progress::say("storm: spawning python3");
    let before = spawned(&interpreter, &hello, span / 2)?;
    progress::say("storm: starting functions that nobody has called");
    let storm = fleet::first_calls(&platform, (FLEET, 0..functions), (PARALLEL, span))?;
    progress::say("storm: spawning python3 again");
    let after = spawned(&interpreter, &hello, span / 2)?;
    progress::say("storm: forking a bare interpreter");
    let floor = forked(setting, &interpreter, &hello, span / 2)?;
    #[allow(clippy::cast_precision_loss)]
    let rate = storm.answered as f64 / storm.seconds;
    let peer = f64::midpoint(before, after);
    let rungs = rungs(&platform, storm.answered)?;
    let measured = format!(
        "{rate:.0} a second for {:.1} s{}, {} failed; spawning {peer:.0} a second ({before:.0} before, {after:.0} \
         after); {PARALLEL} at a time; {rungs}; floor: {}, one for each core: {floor:.0} a second, {:.1} x spawning",
        storm.seconds,
        if storm.ran_out { " (every function was used up)" } else { "" },
        storm.failures.len(),
        forked::NAME,
        floor / peer,
    );
    let row = Row::new(PROMISE, BOUND, rate / peer, measured).with_stretch(Some(12.0));
    let failed =
        storm.failures.first().map(|first| format!("{} calls failed: {first}", storm.failures.len()));
    Ok(vec![row.with_failure(failed)])
}

/// Interpreters spawned a second until each has given one answer.
fn spawned(interpreter: &str, hello: &Hello, span: Duration) -> Result<f64, String> {
    rate(PARALLEL, span, || {
        Ok(|| {
            let mut command = Command::new(interpreter);
            command.arg(&hello.script);
            let mut bare = Bare::spawn(command, &hello.folder).map_err(|e| e.to_string())?;
            bare.call(EVENT).map(drop).map_err(|e| e.to_string())
        })
    })
}

/// Copies of a bare interpreter a second until each has given one answer.
fn forked(setting: &Setting, interpreter: &str, hello: &Hello, span: Duration) -> Result<f64, String> {
    let cores = thread::available_parallelism().map_err(|e| e.to_string())?;
    rate(cores.get(), span, || {
        let mut parent = forked::start(setting, interpreter, hello)?;
        parent.call(EVENT).map_err(|e| e.to_string())?;
        Ok(move || parent.call(EVENT).map(drop).map_err(|e| e.to_string()))
    })
}

/// Starts a second, by `parallel` threads, each of which makes what starts one before time is taken.
fn rate<Start: FnMut() -> Result<(), String>>(
    parallel: usize,
    span: Duration,
    prepare: impl Fn() -> Result<Start, String> + Sync,
) -> Result<f64, String> {
    let ready = Barrier::new(parallel);
    let work = || {
        let prepared = prepare();
        ready.wait();
        let mut start = prepared?;
        let (began, mut answered) = (Instant::now(), 0_u32);
        while began.elapsed() < span {
            start()?;
            answered += 1;
        }
        Ok(f64::from(answered) / began.elapsed().as_secs_f64())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..parallel).map(|_| scope.spawn(work)).collect();
        let rates = threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err("a thread panicked".into())));
        rates.sum()
    })
}

/// The rungs of a hundred of the starts, as their records say.
fn rungs(platform: &Platform, answered: usize) -> Result<String, String> {
    let step = (answered / 100).max(1);
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for index in (0..answered).step_by(step) {
        for record in platform.records(&fleet::name(FLEET, index), 1)? {
            *counts.entry(record["Rung"].as_str().unwrap_or("unknown").to_owned()).or_default() += 1;
        }
    }
    let parts: Vec<String> = counts.iter().map(|(rung, count)| format!("{count} {rung}")).collect();
    Ok(format!("of a sample {}", parts.join(", ")))
}
