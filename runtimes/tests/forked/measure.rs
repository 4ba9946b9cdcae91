//! How long starts take until the first answer, and what a copy holds that it does not share.

use crate::nest::{Instance, Nest};
use std::path::Path;
use std::time::{Duration, Instant};

const ROUNDS: usize = 40;

pub async fn all(nest: &Nest<'_>) {
    let package = nest.package("hello", "exports.handler = async (event) => event\n");
    let template = nest.template().await.expect("a template");
    let function = nest.function(&package, 256).await.expect("a template");
    for pause in [Duration::ZERO, Duration::from_millis(200)] {
        let mut times: [(&str, Vec<Duration>); 4] =
            ["spawn", "template, forked", "function, forked", "template, spare"]
                .map(|name| (name, Vec::new()));
        for _ in 0..ROUNDS {
            for (name, times) in &mut times {
                let spare = match *name {
                    "template, spare" => Some(spare(nest, &template).await),
                    _ => None,
                };
                tokio::time::sleep(pause).await;
                let began = Instant::now();
                let mut instance = match (*name, spare) {
                    ("spawn", _) => nest.spawn(&package, 256).await,
                    ("function, forked", _) => nest.fork(&function, &package, 256, "x").await,
                    (_, Some(spare)) => assign(nest, spare, &package).await,
                    _ => nest.fork(&template, &package, 256, "x").await,
                };
                instance.expect_ready().await;
                instance.answer("{}").await;
                times.push(began.elapsed());
                instance.sandbox.kill().await;
            }
        }
        for (name, times) in &mut times {
            times.sort();
            let (middle, late) = (times[ROUNDS / 2], times[ROUNDS * 95 / 100]);
            println!("start to first answer, {pause:?} before, {name}: p50 {middle:?}, p95 {late:?}");
        }
    }
    let _idle = spare(nest, &template).await;
    println!("a spare holds {}", private(nest));
    let mut used = nest.fork(&template, &package, 256, "x").await;
    used.expect_ready().await;
    used.answer("{}").await;
    println!("an idle copy after one call holds {}", private(nest));
}

async fn spare(nest: &Nest<'_>, template: &sandbox::Template) -> Instance {
    let copy = nest.launcher.fork(template, nest.spec(None, 256)).await.expect("a copy");
    // Until it has parked.
    tokio::time::sleep(Duration::from_millis(30)).await;
    Instance::of(copy)
}

async fn assign(nest: &Nest<'_>, mut spare: Instance, package: &Path) -> Instance {
    let task = nest.spec(Some(package), 256);
    let binds =
        task.binds.iter().filter(|bind| bind.guest == Path::new(crate::nest::TASK)).cloned().collect();
    spare.sandbox.assign(sandbox::Spec { binds, tmp_bytes: 0, ..task }).await.expect("it can be assigned");
    spare.load(&nest.env(256, "x"));
    spare
}

/// Of the newest copy: private and proportional memory, as the kernel counts.
fn private(nest: &Nest<'_>) -> String {
    let launcher = nest.launcher.process_id();
    let list =
        std::fs::read_to_string(format!("/proc/{launcher}/task/{launcher}/children")).unwrap_or_default();
    let read =
        |pid: u32, name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let copy = |pid: &u32| read(*pid, "cmdline").contains("bootstrap.cjs");
    let nested = |pid: &u32| {
        let status = read(*pid, "status");
        status.lines().any(|line| line.starts_with("NSpid:") && line.split_whitespace().count() > 2)
    };
    let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
    let newest = pids.filter(copy).filter(nested).max().unwrap_or_default();
    let text = read(newest, "smaps_rollup");
    let kib = |name: &str| -> u64 {
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    let tables =
        read(newest, "status").lines().find(|line| line.starts_with("VmPTE")).unwrap_or_default().to_owned();
    let own = kib("Private_Clean:") + kib("Private_Dirty:");
    format!("{own} KiB private, {} KiB in proportion, {tables}", kib("Pss:"))
}
