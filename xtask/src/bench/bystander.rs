//! `bench bystander`: what another function's calls feel while one misbehaves.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use super::figure::{Bound, Row, quantile};
use super::fleet::{self, Package};
use super::http::{get_request, split};
use super::packages::{self, python_source};
use super::platform::Platform;
use super::trace::arrivals::poisson;
use super::{Setting, load, progress, write_files};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

const RATE: f64 = 50.0;
const WINDOW_S: u64 = 10;
const QUICK_WINDOW_S: u64 = 4;
const SEED: u64 = 0xb15;
/// The attack runs this long before the bystander's calls are timed.
const HEAD_START: Duration = Duration::from_millis(500);
const STORM_FUNCTIONS: usize = 6_000;
const STORM_CALLERS: usize = 4;
const ALLOWED_MS: f64 = 20.0;

/// A function that misbehaves.
struct Attack {
    name: &'static str,
    source: &'static str,
    /// `/tmp` is memory: where it is to be full, there has to be more memory than it holds.
    memory_mb: &'static str,
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "fork bomb",
        source: "import os\n\n\ndef handler(event, context):\n    while True:\n        try:\n            os.fork()\n        \
                 except OSError:\n            pass\n",
        memory_mb: "128",
    },
    Attack {
        name: "memory hog",
        source: "def handler(event, context):\n    held = []\n    while True:\n        held.append(b\"x\" * 1048576)\n",
        memory_mb: "128",
    },
    Attack {
        name: "disk fill",
        source: "import os\n\n\ndef handler(event, context):\n    block = b\"x\" * 1048576\n    while True:\n        try:\n            \
                 with open(\"/tmp/fill\", \"ab\", buffering=0) as file:\n                file.write(block)\n        \
                 except OSError:\n            os.truncate(\"/tmp/fill\", 0)\n",
        memory_mb: "1024",
    },
];
const COLD_STORM: &str = "cold storm";

/// The rows of `bench bystander`.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let data = setting.folder.join("data-bystander");
    let platform = Platform::start(Command::new(&setting.program), &data, &[])?;
    let url = platform.deploy(&packages::python(setting)?.folder, "bystander", &[])?;
    let window = Duration::from_secs(if setting.quick { QUICK_WINDOW_S } else { WINDOW_S });
    let side = Side { platform: &platform, url: &url, window };
    side.p99_ms()?;
    let mut rows = Vec::new();
    for attack in ATTACKS.iter().filter(|attack| setting.wants(attack.name)) {
        rows.push(side.under(attack.name, || {
            let folder = setting.folder.join("bystander").join(attack.name.replace(' ', "-"));
            write_files(&folder, &[("handler.py", attack.source)])?;
            let name = attack.name.replace(' ', "-");
            platform.deploy(&folder, &name, &["--timeout", "5", "--memory", attack.memory_mb])?;
            Ok(Box::new(move |over: &AtomicBool| repeat(&platform_call(&side, &name), over)))
        }));
    }
    if setting.wants(COLD_STORM) {
        rows.push(side.under(COLD_STORM, || {
            let functions = storm_functions(setting, &platform)?;
            Ok(Box::new(move |over: &AtomicBool| storm(&side, functions, over)))
        }));
    }
    Ok(rows)
}

/// The function that does nothing wrong.
#[derive(Clone, Copy)]
struct Side<'a> {
    platform: &'a Platform,
    url: &'a str,
    window: Duration,
}

/// Runs until it is told that it is over; gives how often it began.
type Running<'a> = Box<dyn Fn(&AtomicBool) -> usize + Send + Sync + 'a>;

impl Side<'_> {
    /// p99 of the bystander's calls over one window, from the moment each was due; any failed call is an error.
    fn p99_ms(&self) -> Result<f64, String> {
        let times = poisson(RATE, self.window, SEED);
        let (host, path) = split(self.url).map_err(|e| e.to_string())?;
        let request = get_request(host, path);
        let outcomes = load::open(host, &times, |_| request.clone())?;
        match outcomes.iter().find(|outcome| !outcome.is_ok()) {
            Some(failed) => Err(format!("a call of the bystander failed: {:?}", failed.error)),
            None => Ok(quantile(outcomes.iter().map(|o| o.latency.as_secs_f64() * 1e3).collect(), 0.99)),
        }
    }

    /// Quiet, under attack, and quiet again.
    fn under<'a>(&'a self, name: &str, prepare: impl FnOnce() -> Result<Running<'a>, String>) -> Row {
        let promise = format!("bystander's p99 during {name}, against max(2 x quiet, quiet + 20 ms)");
        let bound = Bound::AtMost(1.0);
        progress::say(&format!("bystander: {name}"));
        let attack = match prepare() {
            Ok(attack) => attack,
            Err(why) => return Row::unmeasured(promise, bound, &why),
        };
        match self.compare(&attack) {
            Err(why) => Row::unmeasured(promise, bound, &why).with_failure(Some(why)),
            Ok(found) => {
                let allowed = (2.0 * found.quiet).max(found.quiet + ALLOWED_MS);
                let measured = format!(
                    "p99 {:.1} ms, quiet {:.1} ms, allowed {allowed:.1} ms; the attack began {} times; no error",
                    found.attacked, found.quiet, found.began
                );
                let row = Row::new(promise, bound, found.attacked / allowed, measured);
                row.with_doubt((found.began == 0).then(|| "the attack never began".to_owned()))
            }
        }
    }

    fn compare(&self, attack: &Running<'_>) -> Result<Compared, String> {
        let before = self.p99_ms()?;
        let over = AtomicBool::new(false);
        let (attacked, began) = thread::scope(|scope| {
            let attacker = scope.spawn(|| attack(&over));
            sleep(HEAD_START);
            let attacked = self.p99_ms();
            over.store(true, Ordering::Relaxed);
            let began = attacker.join().map_err(|_| "the attacker panicked".to_owned())?;
            Ok::<_, String>((attacked?, began))
        })?;
        sleep(Duration::from_secs(1));
        let after = self.p99_ms()?;
        Ok(Compared { quiet: f64::midpoint(before, after), attacked, began })
    }
}

struct Compared {
    quiet: f64,
    attacked: f64,
    began: usize,
}

/// One call of a function whose failure is what is wanted.
fn platform_call<'a>(side: &Side<'a>, name: &str) -> impl Fn() -> bool + Send + Sync + 'a + use<'a> {
    let (platform, name) = (side.platform, name.to_owned());
    move || match platform.invoke(&name, b"{}") {
        Ok(_) => true,
        Err(why) => why.contains("the function failed"),
    }
}

/// Calls again and again. A call that the platform refuses does not count as begun.
fn repeat(call: &impl Fn() -> bool, over: &AtomicBool) -> usize {
    let mut began = 0;
    while !over.load(Ordering::Relaxed) {
        let at = Instant::now();
        began += usize::from(call());
        sleep(Duration::from_millis(20).saturating_sub(at.elapsed()));
    }
    began
}

fn storm_functions(setting: &Setting, platform: &Platform) -> Result<usize, String> {
    let functions = setting.count(STORM_FUNCTIONS, STORM_FUNCTIONS / 4);
    let package = Package {
        runtime: platform.runtime_name("python")?,
        handler: "handler.handler",
        zip: packages::zip("handler.py", python_source())?,
        memory_mb: 128,
        timeout_s: 30,
    };
    fleet::create(platform, &package, ("bystorm", functions), |_| Vec::new())?;
    Ok(functions)
}

fn storm(side: &Side<'_>, functions: usize, over: &AtomicBool) -> usize {
    let (mut first, batch, mut began) = (0, 50, 0);
    while !over.load(Ordering::Relaxed) && first + batch <= functions {
        let calls = fleet::first_calls(
            side.platform,
            ("bystorm", first..first + batch),
            (STORM_CALLERS, Duration::from_secs(60)),
        );
        began += calls.map(|calls| calls.answered).unwrap_or(0);
        first += batch;
    }
    began
}
