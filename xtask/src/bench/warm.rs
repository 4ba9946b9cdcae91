//! `bench warm`: latency that a warm call adds, and calls a second, against a relay before a server.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use super::bare::{Bare, Ended};
use super::figure::{Bound, Row, Samples, median, ratio};
use super::http::Connection;
use super::packages::{EVENT, Hello, node, python, wasm_variant};
use super::peer::Peer;
use super::platform::Platform;
use super::starts::{PACES, Pace};
use super::{Setting, hyper_peer, load, on_core_0, pinned, progress, relay};
use std::fmt::Write as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const ROUNDS: usize = 150;
const QUICK_ROUNDS: usize = 20;
const BURST: usize = 100;
const IDLE_ROUNDS: usize = 60;
const QUICK_IDLE_ROUNDS: usize = 8;
const CONNECTIONS: usize = 64;
/// Windows of throughput, each of which every side has once.
const WINDOWS: usize = 5;
const QUICK_WINDOWS: usize = 2;
const WINDOW: Duration = Duration::from_secs(2);

/// The rows of `bench warm`.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    on_core_0(|| {
        let peer = Peer::start(&setting.sources, &setting.folder)?;
        let mut rows = latencies(setting, &peer, (Bound::AtMost(1.0 / 3.0), Some(1.0 / 8.0)), PACES)?;
        rows.extend(throughput(setting, &peer)?);
        Ok(rows)
    })
}

/// The warm rows of `bench main`.
pub(crate) fn main_rows(setting: &Setting) -> Result<Vec<Row>, String> {
    on_core_0(|| {
        let peer = Peer::start(&setting.sources, &setting.folder)?;
        latencies(setting, &peer, (Bound::AtMost(1.0), None), &PACES[..1])
    })
}

/// Added latency of a warm call against that of the peer.
fn latencies(
    setting: &Setting,
    peer: &Peer,
    (bound, stretch): (Bound, Option<f64>),
    paces: &[Pace],
) -> Result<Vec<Row>, String> {
    let platform = platform(setting, "data-warm")?;
    let mut rows = Vec::new();
    for hello in [python(setting)?, node(setting)?].iter().filter(|hello| setting.wants(hello.name)) {
        let mut sides = Sides::open(setting, &platform, peer, hello)?;
        for pace in paces {
            progress::say(&format!("warm latency: {}, {}", hello.name, pace.name));
            let promise =
                format!("warm {}, latency added at p50, {}, against {}", hello.name, pace.name, peer.name);
            let row = sides.sample(setting, *pace)?.row(promise, bound);
            rows.push(row.with_stretch(stretch));
        }
    }
    Ok(rows)
}

fn platform(setting: &Setting, data: &str) -> Result<Platform, String> {
    Platform::start(pinned(&setting.program.to_string_lossy()), &setting.folder.join(data), &[])
}

/// The five things that are called in turn.
struct Sides {
    ours: Connection,
    bare: Bare,
    /// The least that can stand before the bare handler.
    relayed: Connection,
    proxied: Connection,
    direct: Connection,
    _relay: Ended,
}

impl Sides {
    fn open(setting: &Setting, platform: &Platform, peer: &Peer, hello: &Hello) -> Result<Self, String> {
        let url = platform.deploy(&hello.folder, &format!("warm-{}", hello.name), &[])?;
        let open = |url: &str| Connection::open(url).map_err(|e| e.to_string());
        let interpreter = platform.interpreter(hello.name)?;
        let (relay, relayed) = relay::start(setting, &interpreter, &hello.script, &hello.folder)?;
        let mut bare = pinned(&interpreter);
        bare.arg(&hello.script);
        Ok(Self {
            ours: open(&url)?,
            bare: Bare::spawn(bare, &hello.folder).map_err(|e| e.to_string())?,
            relayed: open(&relayed)?,
            _relay: relay,
            proxied: open(&peer.proxied)?,
            direct: open(&peer.direct)?,
        })
    }

    fn sample(&mut self, setting: &Setting, pace: Pace) -> Result<Latencies, String> {
        let (rounds, calls) = match pace.rest.is_zero() {
            true => (setting.count(ROUNDS, QUICK_ROUNDS), BURST),
            false => (setting.count(IDLE_ROUNDS, QUICK_IDLE_ROUNDS), 1),
        };
        let mut all = Latencies::default();
        for round in 0..=rounds {
            let ours = burst(calls, pace, || get(&mut self.ours))?;
            let bare = burst(calls, pace, || self.bare.call(EVENT).map(drop).map_err(|e| e.to_string()))?;
            let relayed = burst(calls, pace, || get(&mut self.relayed))?;
            let proxied = burst(calls, pace, || get(&mut self.proxied))?;
            let direct = burst(calls, pace, || get(&mut self.direct))?;
            if round > 0 {
                all.ours.extend(ours);
                all.bare.extend(bare);
                all.relayed.extend(relayed);
                all.proxied.extend(proxied);
                all.direct.extend(direct);
            }
        }
        Ok(all)
    }
}

#[derive(Default)]
struct Latencies {
    ours: Samples,
    bare: Samples,
    relayed: Samples,
    proxied: Samples,
    direct: Samples,
}

impl Latencies {
    fn row(&self, promise: String, bound: Bound) -> Row {
        let sides = [&self.ours, &self.bare, &self.proxied, &self.direct, &self.relayed];
        let [a, b, c, d, e] = sides.map(Samples::p50_us);
        let (added, added_peer, floor) = (a - b, c - d, e - b);
        let measured = format!(
            "URL {a:.0} - bare {b:.0} = {added:.0} us; peer {c:.0} - direct {d:.0} = {added_peer:.0} us; \
             floor: a bare relay before the bare handler {e:.0} - bare = {floor:.0} us, {}; p99 {:.0} and {:.0} us; n = {}",
            ratio(floor / added_peer),
            self.ours.p99_us(),
            self.proxied.p99_us(),
            self.ours.count()
        );
        let row = Row::new(promise, bound, added / added_peer, measured);
        let noise = added <= 0.0 || added_peer <= 0.0;
        row.with_doubt(noise.then(|| "a side with something between was the faster one: noise".to_owned()))
    }
}

fn get(connection: &mut Connection) -> Result<(), String> {
    match connection.get() {
        Ok(200) => Ok(()),
        Ok(status) => Err(format!("status {status}")),
        Err(error) => Err(error.to_string()),
    }
}

fn burst(calls: usize, pace: Pace, mut one: impl FnMut() -> Result<(), String>) -> Result<Samples, String> {
    let mut samples = Samples::new();
    for _ in 0..calls {
        sleep(pace.rest);
        let began = Instant::now();
        one()?;
        samples.push(began.elapsed());
    }
    Ok(samples)
}

/// Answers a second over 64 connections: Node behind the peer, and wasm beside a bare hyper server.
fn throughput(setting: &Setting, peer: &Peer) -> Result<Vec<Row>, String> {
    let platform = platform(setting, "data-throughput")?;
    let mut rows = Vec::new();
    for (at_once, words) in
        [("64", "64 calls at once in one instance"), ("1", "one call at a time in each instance")]
    {
        let promise = format!(
            "throughput of Node, 64 connections, no-op handler, {words}, against {}, whose server takes 64 at once",
            peer.name
        );
        if setting.wants(&promise) {
            let options = ["--instance-concurrency", at_once];
            let ours =
                platform.deploy(&node(setting)?.folder, &format!("throughput-node-{at_once}"), &options);
            let sides = ours.map(|ours| (ours, peer.proxied.clone(), Vec::new()));
            rows.push(windows(setting, promise, Bound::AtLeast(2.0), sides));
        }
    }
    if setting.wants("throughput of wasm") {
        let promise = "throughput of wasm, 64 connections, no-op handler, against a bare hyper server";
        let ours = setting.wasm_hello().and_then(|component| {
            let path = wasm_variant(&setting.folder, &component, "throughput")?;
            platform.deploy(&path, "throughput-wasm", &[])
        });
        let sides = ours.and_then(|ours| Ok((ours, platform.machine_code()?)));
        rows.push(match sides {
            Ok((ours, code)) => wasm_throughput(setting, promise, ours, &code)?,
            Err(why) => Row::unmeasured(promise, Bound::AtLeast(0.5), &why),
        });
    }
    Ok(rows)
}

/// wasm beside a bare hyper server, and beside two that do less than any platform can.
fn wasm_throughput(setting: &Setting, promise: &str, ours: String, code: &Path) -> Result<Row, String> {
    let own = || pinned(&setting.own().to_string_lossy());
    let (_bare, bare) = hyper_peer::start(own(), hyper_peer::VERB, None)?;
    let (_hop, hop) = hyper_peer::start(own(), hyper_peer::HOP_VERB, None)?;
    let worker = Some((setting.program.as_path(), code));
    let (_worker, worker) = hyper_peer::start(own(), hyper_peer::HOP_VERB, worker)?;
    let floors = vec![
        ("one hop to another process", hop),
        ("the worker alone, a fresh instance for each and nothing else of the platform", worker),
    ];
    Ok(windows(setting, promise.to_owned(), Bound::AtLeast(0.5), Ok((ours, bare, floors))))
}

/// The product, the peer, and what no product could be faster than: what hyper stands before there.
type Urls = (String, String, Vec<(&'static str, String)>);

fn windows(setting: &Setting, promise: String, bound: Bound, sides: Result<Urls, String>) -> Row {
    progress::say(&promise);
    let measured = sides.and_then(|(ours, peer, floors)| {
        let count = setting.count(WINDOWS, QUICK_WINDOWS);
        let (names, floors): (Vec<_>, Vec<_>) = floors.into_iter().unzip();
        let urls: Vec<String> = [ours, peer].into_iter().chain(floors).collect();
        let mut rates = vec![Vec::new(); urls.len()];
        for window in 0..=count {
            for (url, rates) in urls.iter().zip(&mut rates) {
                let rate = load::closed(url, CONNECTIONS, WINDOW)?;
                if window > 0 {
                    rates.push(rate);
                }
            }
        }
        Ok((rates.into_iter().map(median).collect::<Vec<_>>(), names, count))
    });
    let (rates, floors, count) = match measured {
        Ok(measured) => measured,
        Err(why) => return Row::unmeasured(promise, bound, &why),
    };
    let mut words =
        format!("{:.0} against {:.0} answers a second; {count} windows of 2 s each", rates[0], rates[1]);
    for (floor, rate) in floors.iter().zip(&rates[2..]) {
        let _ = write!(words, "; hyper before {floor}: {rate:.0}");
    }
    Row::new(promise, bound, rates[0] / rates[1], words)
}
