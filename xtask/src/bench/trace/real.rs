//! What starts take and instances hold when functions are started on the running platform as often as in the trace.

use super::super::fleet::{self, Package};
use super::super::load::{self, Outcome};
use super::super::packages;
use super::super::platform::Platform;
use super::super::processes::{self, Tree};
use super::super::{Setting, progress};
use super::azure::App;
use super::{MIB, SEED, arrivals, median_ms};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Functions that take turns, so many that the next call of one finds its instance gone.
const FUNCTIONS: usize = 120;
const SPAN: Duration = Duration::from_secs(90);
const QUICK_SPAN: Duration = Duration::from_secs(25);
/// Unused instances go at once: each call shall be a start.
const FLAGS: &[&str] = &["--idle-timeout", "1s"];
const SAMPLE_EVERY: Duration = Duration::from_millis(1500);
/// Until the last instance is gone.
const REST: Duration = Duration::from_secs(4);
const FLEET: &str = "app";

/// An app: holds its memory from its first line on, then waits and computes as its event says.
pub(super) const HANDLER: &str = "import os\nimport time\n\nheld = b\"x\" * int(os.environ.get(\"HELD_BYTES\", \"0\"))\n\n\n\
    def handler(event, context):\n    end = time.process_time() + event.get(\"cpu_us\", 0) / 1e6\n    \
    while time.process_time() < end:\n        pass\n    time.sleep(event.get(\"wait_us\", 0) / 1e6)\n    \
    return {\"held\": len(held)}\n";

/// One start.
pub(super) struct Start {
    rung: String,
    /// From the call's arrival until its handler ran.
    pub(super) took: Duration,
}

/// What the run showed.
pub(super) struct Real {
    pub(super) interpreter: String,
    pub(super) starts: Vec<Start>,
    pub(super) every_s: f64,
    /// What an instance holds, by proportional share, its sandbox's first process included.
    pub(super) instance_mb: f64,
    /// What templates and spares hold.
    pub(super) templates_mb: f64,
    pub(super) failure: Option<String>,
}

impl Real {
    /// How many starts came from each rung, and what they took.
    pub(super) fn rungs(&self) -> String {
        let mut rungs: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
        for start in &self.starts {
            rungs.entry(&start.rung).or_default().push(start.took);
        }
        let said = rungs.into_iter().map(|(rung, took)| {
            let (count, ms) = (took.len(), median_ms(took.into_iter()));
            format!("{count} {rung} ({ms:.1} ms)")
        });
        said.collect::<Vec<_>>().join(", ")
    }
}

/// Calls functions of the mix `rate` times a second, at random.
pub(super) fn run(setting: &Setting, apps: &[App], rate: f64) -> Result<Real, String> {
    let data = setting.folder.join("data-trace");
    let platform = Platform::start(Command::new(&setting.program), &data, FLAGS)?;
    let package = Package {
        runtime: platform.runtime_name("python")?,
        handler: "handler.handler",
        zip: packages::zip("handler.py", HANDLER)?,
        memory_mb: 128,
        timeout_s: 30,
    };
    fleet::create(&platform, &package, (FLEET, FUNCTIONS + 1), |_| Vec::new())?;
    // What is made once for the runtime is not a part of any start.
    platform.invoke(&fleet::name(FLEET, FUNCTIONS), b"{}")?;
    thread::sleep(REST);
    let times = arrivals::poisson(rate, if setting.quick { QUICK_SPAN } else { SPAN }, SEED);
    progress::say(&format!("trace: {} real calls, {rate:.1} a second", times.len()));
    let (outcomes, samples) = replay(&platform, apps, &times)?;
    thread::sleep(REST);
    let templates_mb = below(platform.launcher()?);
    let starts = starts(&platform, times.len())?;
    if starts.is_empty() {
        return Err("no call of the real run was a start".into());
    }
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.is_ok()).collect();
    let failure = failed.first().map(|first| {
        format!("{} real calls failed, call {} first: {:?}", failed.len(), first.index, first.error)
    });
    #[allow(clippy::cast_precision_loss)]
    let (held, instances) = samples.iter().fold((0.0, 0.0), |(held, instances), sample| {
        (held + (sample.held_mb - templates_mb).max(0.0), instances + sample.instances as f64)
    });
    Ok(Real {
        interpreter: platform.interpreter("python")?,
        starts,
        every_s: 1.0 / rate,
        instance_mb: held / f64::max(instances, 1.0),
        templates_mb,
        failure,
    })
}

/// The platform at one moment.
struct Sample {
    /// Everything below the launcher.
    held_mb: f64,
    instances: usize,
}

/// Sends the calls; gives what became of them, and how much was held by how many instances now and then.
fn replay(
    platform: &Platform,
    apps: &[App],
    times: &[Duration],
) -> Result<(Vec<Outcome>, Vec<Sample>), String> {
    let (signer, launcher, over) = (platform.signer(), platform.launcher()?, AtomicBool::new(false));
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut samples = Vec::new();
            while !over.load(Ordering::Relaxed) {
                thread::sleep(SAMPLE_EVERY);
                let instances = platform.instances().unwrap_or_default();
                let count = instances.iter().filter(|one| one["State"] != "spare").count();
                samples.push(Sample { held_mb: below(launcher), instances: count });
            }
            samples
        });
        let outcomes = load::open(signer.host(), times, |index| {
            let app = &apps[index % apps.len()];
            let (cpu_us, wait_us) = (app.cpu.as_micros(), app.wait.as_micros());
            let event = format!("{{\"cpu_us\":{cpu_us},\"wait_us\":{wait_us}}}");
            signer.invoke(&fleet::name(FLEET, index % FUNCTIONS), event.as_bytes()).unwrap_or_default()
        });
        over.store(true, Ordering::Relaxed);
        let samples = sampler.join().map_err(|_| "the sampler panicked".to_owned())?;
        Ok((outcomes?, samples))
    })
}

/// MiB of everything below the launcher, by proportional share.
fn below(launcher: u32) -> f64 {
    let trees = processes::children(launcher).into_iter();
    trees.map(|pid| Tree::below(pid).memory().proportional).sum::<f64>() / MIB
}

/// The starts of all functions that took turns, as the records of their calls say.
fn starts(platform: &Platform, calls: usize) -> Result<Vec<Start>, String> {
    let mut starts = Vec::new();
    for function in 0..FUNCTIONS {
        progress::part("trace: reading records of app", function, FUNCTIONS);
        for record in platform.records(&fleet::name(FLEET, function), calls / FUNCTIONS + 2)? {
            let rung = record["Rung"].as_str().unwrap_or_default();
            if rung == "idle" {
                continue;
            }
            let phase = |name: &str| record["Phases"][name].as_u64().unwrap_or(0);
            let us = phase("QueueUs") + phase("SandboxUs") + phase("InitUs");
            starts.push(Start { rung: rung.to_owned(), took: Duration::from_micros(us) });
        }
    }
    Ok(starts)
}
