//! Many functions of one package, created through the API as any client could.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use super::http::Connection;
use super::platform::{Ask, Platform, Signer};
use super::progress;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const WRITERS: usize = 32;

/// What every function of a fleet is made of.
pub(crate) struct Package {
    pub(crate) runtime: String,
    pub(crate) handler: &'static str,
    pub(crate) zip: Vec<u8>,
    pub(crate) memory_mb: u32,
    pub(crate) timeout_s: u32,
}

/// The name of function `index` of a fleet.
pub(crate) fn name(fleet: &str, index: usize) -> String {
    format!("{fleet}-{index:05}")
}

/// Creates `count` functions named after `fleet`; `environment` gives each its variables. Says how long it took.
pub(crate) fn create(
    platform: &Platform,
    package: &Package,
    (fleet, count): (&str, usize),
    environment: impl Fn(usize) -> Vec<(&'static str, String)> + Sync,
) -> Result<Duration, String> {
    let began = Instant::now();
    let code = STANDARD.encode(&package.zip);
    in_parallel(platform, (WRITERS, count), &format!("creating {fleet}"), |signer, index| {
        let variables: serde_json::Map<String, serde_json::Value> =
            environment(index).into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        let body = serde_json::json!({
            "FunctionName": name(fleet, index),
            "Runtime": package.runtime,
            "Handler": package.handler,
            "Role": "arn:aws:iam::000000000000:role/bench",
            "Code": { "ZipFile": code },
            "MemorySize": package.memory_mb,
            "Timeout": package.timeout_s,
            "Environment": { "Variables": variables },
        });
        signer.signed(&Ask {
            method: "POST",
            path: "/2015-03-31/functions",
            service: "lambda",
            body: body.to_string().as_bytes(),
        })
    })?;
    Ok(began.elapsed())
}

/// Sends one request for each index below `count` from `writers` threads; the first answer that is not 2xx ends it.
fn in_parallel(
    platform: &Platform,
    (writers, count): (usize, usize),
    what: &str,
    request: impl Fn(&Signer, usize) -> Result<Vec<u8>, String> + Sync,
) -> Result<(), String> {
    let (next, signer) = (AtomicUsize::new(0), platform.signer());
    let work = || {
        let mut connection = Connection::open(platform.endpoint()).map_err(|e| e.to_string())?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(());
            }
            progress::part(what, index, count);
            let status =
                connection.exchange(&request(&signer, index)?).map_err(|e| format!("{what}: {e}"))?;
            if !(200..300).contains(&status) {
                next.store(count, Ordering::Relaxed);
                return Err(format!("{what}: status {status}: {}", connection.body()));
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..writers).map(|_| scope.spawn(work)).collect();
        let results =
            workers.into_iter().map(|w| w.join().unwrap_or_else(|_| Err("a writer panicked".into())));
        results.collect::<Vec<Result<(), String>>>().into_iter().collect()
    })
}

/// What first calls of distinct functions came to.
#[derive(Default)]
pub(crate) struct FirstCalls {
    pub(crate) answered: usize,
    pub(crate) failures: Vec<String>,
    pub(crate) seconds: f64,
    /// Whether every function had been called before the time was over.
    pub(crate) ran_out: bool,
}

/// Calls functions of `fleet` that nobody has called, from `workers` threads, until `span` is over or `functions` end.
pub(crate) fn first_calls(
    platform: &Platform,
    (fleet, functions): (&str, std::ops::Range<usize>),
    (workers, span): (usize, Duration),
) -> Result<FirstCalls, String> {
    let (next, signer) = (AtomicUsize::new(functions.start), platform.signer());
    let began = Instant::now();
    let work = || -> Result<(usize, Vec<String>), String> {
        let mut connection = Connection::open(platform.endpoint()).map_err(|e| e.to_string())?;
        let (mut answered, mut failures) = (0, Vec::new());
        while began.elapsed() < span {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= functions.end {
                break;
            }
            let request = signer.invoke(&name(fleet, index), b"{}")?;
            match connection.exchange(&request) {
                Ok(200) if connection.header("x-amz-function-error").is_none() => answered += 1,
                Ok(status) => failures.push(format!("status {status}: {}", connection.body())),
                Err(why) => {
                    failures.push(why.to_string());
                    connection = Connection::open(platform.endpoint()).map_err(|e| e.to_string())?;
                }
            }
        }
        Ok((answered, failures))
    };
    let mut all = FirstCalls::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            let (answered, failures) = thread.join().map_err(|_| "a caller panicked".to_owned())??;
            all.answered += answered;
            all.failures.extend(failures);
        }
        Ok::<(), String>(())
    })?;
    all.seconds = began.elapsed().as_secs_f64();
    all.ran_out = next.load(Ordering::Relaxed) >= functions.end;
    Ok(all)
}
