//! `bench trace`: a day of many apps, most of them rarely called, against a fixed keep-alive on the same trace.
//!
//! A day cannot be run, and running it sixty times as fast would make starts sixty times as dear. So the day is
//! simulated: the engine's own rules (`invoke::rehearse`, the very code that the server runs) see every call of it. What
//! a start takes and what an instance holds, the simulation gets from a real run beforehand, in which functions are
//! started by the running platform as often as in the trace.

pub(crate) mod arrivals;
mod azure;
mod keep_alive;
mod real;

use super::bare::Bare;
use super::figure::{Bound, Row, median, quantile};
use super::packages::{EVENT, Hello};
use super::processes::Tree;
use super::{Setting, progress, write_files};
use azure::App;
use keep_alive::{Arrival, Kept};
use real::Real;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SEED: u64 = 2019;
const APPS: usize = 2_000;
const DAY: Duration = Duration::from_secs(24 * 3600);
const QUICK_SPAN: Duration = Duration::from_secs(3 * 3600);
/// What the peer keeps an unused instance.
const KEEP: Duration = Duration::from_secs(600);
const SLOW_START: Duration = Duration::from_millis(10);
const MIB: f64 = 1048576.0;
const STARTS: &str = "trace, starts above 10 ms, against a fixed ten-minute keep-alive";
const MEMORY: &str = "trace, memory-minutes of instances, against a fixed ten-minute keep-alive";

/// The rows of `bench trace`.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let span = if setting.quick { QUICK_SPAN } else { DAY };
    let apps = azure::apps(SEED, APPS);
    let plan = arrivals::merged(&apps, span, SEED);
    #[allow(clippy::cast_precision_loss)]
    let rate = plan.len() as f64 / span.as_secs_f64();
    let real = real::run(setting, &apps, rate)?;
    let peer = peer(setting, &real.interpreter, &apps, (&plan, span))?;
    progress::say(&format!("trace: {} calls of {} apps, simulated", plan.len(), apps.len()));
    let ours = rehearse(setting, &apps, &plan, span, &real)?;
    let short = setting.quick.then(|| format!("a quick run has {} h", span.as_secs() / 3600));
    Ok(rows(&Compared { apps: &apps, real, peer, ours, span, calls: plan.len() })
        .map(|row| row.with_doubt(short.clone()))
        .into())
}

/// The peer: the same arrivals with a fixed keep-alive, each instance a spawned interpreter as measured here.
struct Peer {
    kept: Kept,
    start: Duration,
    base_mb: f64,
}

fn peer(
    setting: &Setting,
    interpreter: &str,
    apps: &[App],
    (plan, span): (&[Arrival], Duration),
) -> Result<Peer, String> {
    let folder = setting.folder.join("trace");
    write_files(&folder, &[("handler.py", real::HANDLER)])?;
    let hello = Hello { name: "python", script: setting.sources.join("bare.py"), folder };
    let (start, base_mb) = spawned(interpreter, &hello)?;
    Ok(Peer { kept: keep_alive::simulate(apps, plan, (start, KEEP, span)), start, base_mb })
}

/// A spawned interpreter with the handler: its start, and the memory that is its own beside another one.
fn spawned(interpreter: &str, hello: &Hello) -> Result<(Duration, f64), String> {
    #![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]
    let spawn = || {
        let mut command = Command::new(interpreter);
        command.arg(&hello.script);
        let mut bare = Bare::spawn(command, &hello.folder).map_err(|e| e.to_string())?;
        bare.call(EVENT).map_err(|e| format!("the spawned interpreter: {e}"))?;
        Ok::<Bare, String>(bare)
    };
    let _beside = spawn()?;
    let began = Instant::now();
    let bare = spawn()?;
    Ok((began.elapsed(), Tree::below(bare.pid()).memory().private / MIB))
}

/// What the simulation came to.
#[derive(serde::Deserialize)]
struct Ours {
    starts: usize,
    slow: usize,
    warm: usize,
    refused: usize,
    instance_us: Vec<u64>,
}

/// Runs the engine's rules over the plan, in a program of its own: the bench links nothing of the engine.
fn rehearse(
    setting: &Setting,
    apps: &[App],
    plan: &[Arrival],
    span: Duration,
    real: &Real,
) -> Result<Ours, String> {
    const PROGRAM: &str = "invoke-rehearsal";
    // Without optimization: it takes a minute for a day, and to link all of the engine for release would take two.
    let built = Command::new("cargo")
        .args(["build", "--package", "cli", "--package", "invoke", "--bin", PROGRAM])
        .current_dir(&setting.root)
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return Err(format!("{PROGRAM} cannot be built"));
    }
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let lasts = |app: usize| micros(apps[app].cpu + apps[app].wait);
    let calls: Vec<_> = plan.iter().map(|call| (micros(call.at), call.app, lasts(call.app))).collect();
    let asked = serde_json::json!({
        "end_us": micros(span),
        "functions": apps.len(),
        "calls": calls,
        "starts_us": real.starts.iter().map(|start| micros(start.took)).collect::<Vec<_>>(),
        "slow_us": micros(SLOW_START),
    });
    let mut child = Command::new(setting.folder.with_file_name("debug").join(PROGRAM))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{PROGRAM}: {e}"))?;
    let written = child.stdin.take().map(|mut input| input.write_all(asked.to_string().as_bytes()));
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    if !output.status.success() || !matches!(written, Some(Ok(()))) {
        return Err(format!("{PROGRAM} ended with {}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("{PROGRAM}: {e}"))
}

/// What both sides came to.
struct Compared<'a> {
    apps: &'a [App],
    real: Real,
    peer: Peer,
    ours: Ours,
    span: Duration,
    calls: usize,
}

#[allow(clippy::cast_precision_loss)]
fn rows(compared: &Compared<'_>) -> [Row; 2] {
    let Compared { apps, real, peer, ours, span, calls } = compared;
    let share = |app: &App| app.memory_bytes as f64 / MIB;
    let minutes = |seconds: &[f64], base: f64| {
        seconds.iter().zip(*apps).map(|(seconds, app)| seconds * (base + share(app))).sum::<f64>() / 60.0
    };
    let seconds: Vec<f64> = ours.instance_us.iter().map(|us| *us as f64 / 1e6).collect();
    let held = minutes(&seconds, real.instance_mb) + real.templates_mb * span.as_secs_f64() / 60.0;
    let kept = minutes(&peer.kept.instance_seconds, peer.base_mb);
    let hours = span.as_secs() / 3600;
    let took = |q| quantile(real.starts.iter().map(|start| start.took.as_secs_f64() * 1e3).collect(), q);
    let starts = Row::new(
        STARTS,
        Bound::AtMost(1.0),
        ours.slow as f64 / (peer.kept.starts as f64).max(1.0),
        format!(
            "simulated {hours} h with the engine's own rules: {} of {} starts above 10 ms in {calls} calls ({} warm, {} \
             refused); the keep-alive starts {} times, {:.0} ms each. Real starts, one every {:.2} s: {}; p50 {:.1}, \
             p95 {:.1}, p99 {:.1} ms",
            ours.slow,
            ours.starts,
            ours.warm,
            ours.refused,
            peer.kept.starts,
            peer.start.as_secs_f64() * 1e3,
            real.every_s,
            real.rungs(),
            took(0.5),
            took(0.95),
            took(0.99),
        ),
    );
    let memory = Row::new(
        MEMORY,
        Bound::AtMost(0.1),
        held / kept,
        format!(
            "simulated {hours} h: {held:.0} MiB-minutes against {kept:.0}; {:.1} instances at a time against {:.1}; each \
             holds {:.1} MiB of its own against {:.1}, and {:.1} MiB for its app (mean); templates and spares {:.0} MiB",
            seconds.iter().sum::<f64>() / span.as_secs_f64(),
            peer.kept.instance_seconds.iter().sum::<f64>() / span.as_secs_f64(),
            real.instance_mb,
            peer.base_mb,
            apps.iter().map(share).sum::<f64>() / apps.len() as f64,
            real.templates_mb,
        ),
    );
    let lost = (ours.starts + ours.warm != *calls).then(|| "not every call was served".to_owned());
    [starts.with_failure(lost.or_else(|| real.failure.clone())), memory]
}

/// The median of durations in milliseconds.
fn median_ms(times: impl Iterator<Item = Duration>) -> f64 {
    median(times.map(|time| time.as_secs_f64() * 1e3).collect())
}
