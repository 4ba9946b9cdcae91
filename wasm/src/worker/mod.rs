//! The worker: the program of a sandbox that runs one component for every call that it is given, each in an instance
//! of its own, as many at once as it is given.

mod conversation;
mod epoch;
mod serve;

use crate::budget::Seat;
use crate::engine;
use crate::guest::{Guest, Household, Wishes, linker};
use conversation::{Call, Frame, Load, Outbox, Reader};
use epoch::Epoch;
use model::{FunctionError, limit};
use serve::Kitchen;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use world::World;

/// The hidden subcommand. One argument: the memory of all instances together, in mebibytes, or [`WAITING`].
pub const WORKER: &str = "__wasm";
/// In place of the memory: what it is for comes later, in a Load frame, and its component by then.
pub const WAITING: &str = "wait";
/// Where the worker's sandbox sees this program.
pub const PROGRAM: &str = "/var/runtime/dayfly";
/// Where it sees the compiled component.
pub const ARTIFACT: &str = "/var/runtime/component.cwasm";

/// Component instances at once.
const INSTANCES: usize = limit("wasm-instances") as usize;
/// Where the environment says how much memory the function has.
const MEMORY_VARIABLE: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
/// A component that holds nothing.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
/// Polls of tasks between two looks at the socket and the clock.
const POLLS: u32 = 8;
/// Threads for what WASI does in the file system.
const FILE_THREADS: usize = 4;

/// The life of the worker process: the entry of the hidden subcommand [`WORKER`].
pub fn run_worker(arguments: &[String]) -> ExitCode {
    let lived = purpose(arguments).and_then(|purpose| {
        // Even while that many tasks compute for a tick each, the runtime looks at the socket and the clock in between.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(POLLS)
            .max_blocking_threads(FILE_THREADS)
            .build();
        runtime.map_err(|error| error.to_string())?.block_on(live(purpose))
    });
    match lived {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("wasm worker: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What the worker is for.
struct Purpose {
    /// Of all instances together.
    memory_bytes: usize,
    /// What instances see of it is for them.
    env: BTreeMap<String, String>,
}

/// What the arguments say; `None`: it is to be told.
fn purpose(arguments: &[String]) -> Result<Option<Purpose>, String> {
    match arguments.first().map(String::as_str) {
        Some(WAITING) => Ok(None),
        memory => Ok(Some(Purpose { memory_bytes: memory_bytes(memory)?, env: std::env::vars().collect() })),
    }
}

fn memory_bytes(mebibytes: Option<&str>) -> Result<usize, String> {
    let number = mebibytes.and_then(|text| text.parse::<usize>().ok());
    number.and_then(|mb| mb.checked_mul(1 << 20)).ok_or_else(|| "expected the memory in MB".into())
}

async fn live(purpose: Option<Purpose>) -> Result<(), String> {
    let words = |error: std::io::Error| format!("control socket: {error}");
    let control = inmate::control().map_err(words)?;
    control.set_nonblocking(true).map_err(words)?;
    let (reader, mut writer) = tokio::net::UnixStream::from_std(control).map_err(words)?.into_split();
    let (mut reader, outbox) = (Reader::new(reader), Arc::new(Outbox::default()));
    let workshop = Workshop::new().map_err(|error| format!("the engine cannot be made: {error:#}"))?;
    let purpose = match purpose {
        Some(purpose) => purpose,
        None => {
            workshop.practise().await.map_err(|error| format!("the engine does not work: {error:#}"))?;
            outbox.send(Frame::Waits);
            outbox.write_out(&mut writer).await.map_err(words)?;
            let Some(Load { env }) = reader.load().await.map_err(words)? else { return Ok(()) };
            let memory_bytes = memory_bytes(env.get(MEMORY_VARIABLE).map(String::as_str))?;
            Purpose { memory_bytes, env }
        }
    };
    match workshop.kitchen(purpose) {
        Ok(kitchen) => {
            outbox.send(Frame::Ready);
            let taken = take_calls(Arc::new(kitchen), reader, Arc::clone(&outbox));
            tokio::select! {
                delivered = outbox.deliver(writer) => delivered,
                taken = taken => taken,
            }
            .map_err(words)
        }
        Err(error) => {
            let error = FunctionError {
                kind: "Runtime.InvalidComponent".into(),
                message: format!("The component cannot be loaded: {error:#}"),
            };
            let json = serde_json::to_vec(&error).expect("two texts are JSON");
            outbox.send(Frame::InitError(&json));
            outbox.write_out(&mut writer).await.map_err(words)
        }
    }
}

/// Everything that does not depend on the component.
struct Workshop {
    engine: Engine,
    linker: Linker<Guest>,
    world: World,
}

impl Workshop {
    fn new() -> wasmtime::Result<Self> {
        let engine = engine::serving(INSTANCES as u32)?;
        let linker = linker(&engine)?;
        Ok(Self { engine, linker, world: World::real() })
    }

    /// Runs a component that is empty, so that what every call needs is in memory and warm.
    async fn practise(&self) -> wasmtime::Result<()> {
        let empty = Component::new(&self.engine, EMPTY)?;
        let household = Household::new(1 << 20, BTreeMap::new(), Wishes::of(&self.engine, &empty))?;
        let mut store = Store::new(&self.engine, household.guest("practice")?);
        self.linker.instantiate_pre(&empty)?.instantiate_async(&mut store).await?;
        Ok(())
    }

    fn kitchen(self, purpose: Purpose) -> wasmtime::Result<Kitchen> {
        let Self { engine, linker, world } = self;
        let component = inmate::load(&engine, Path::new(ARTIFACT))?;
        let pre = ProxyPre::new(linker.instantiate_pre(&component)?)?;
        let household = Household::new(purpose.memory_bytes, purpose.env, Wishes::of(&engine, &component))?;
        Ok(Kitchen { pre, household, epoch: Epoch::start(engine), world })
    }
}

/// Gives calls to servers; ends with the platform's end of the socket.
async fn take_calls(kitchen: Arc<Kitchen>, mut reader: Reader, outbox: Arc<Outbox>) -> std::io::Result<()> {
    let counter = Arc::new(Counter::default());
    let mut servers = 0;
    while let Some(call) = reader.next().await? {
        let seat = kitchen.household.budget.seat(INSTANCES).await;
        if counter.lay(call, seat) > servers {
            servers += 1;
            let (kitchen, counter) = (Arc::clone(&kitchen), Arc::clone(&counter));
            tokio::spawn(serve_calls(kitchen, counter, Arc::clone(&outbox)));
        }
    }
    Ok(())
}

/// Calls that have a seat and no server yet. A server lives on after its call: what it needs for one is large.
#[derive(Default)]
struct Counter {
    calls: Mutex<VecDeque<(Call, Seat)>>,
    more: Notify,
    /// Calls that lie here or are served.
    open: AtomicUsize,
}

impl Counter {
    /// Answers how many calls are open with this one.
    fn lay(&self, call: Call, seat: Seat) -> usize {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push_back((call, seat));
        self.more.notify_last();
        self.open.fetch_add(1, Ordering::Relaxed) + 1
    }

    async fn next(&self) -> (Call, Seat) {
        loop {
            let more = self.more.notified();
            if let Some(next) = self.calls.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                return next;
            }
            more.await;
        }
    }
}

/// Serves one call after another.
async fn serve_calls(kitchen: Arc<Kitchen>, counter: Arc<Counter>, outbox: Arc<Outbox>) {
    loop {
        let (call, seat) = counter.next().await;
        match kitchen.serve(&call).await {
            Ok(body) => outbox.send(Frame::Response(call.id(), &body)),
            Err(failure) => outbox.send(Frame::Error(call.id(), &failure.document(call.id()))),
        }
        counter.open.fetch_sub(1, Ordering::Relaxed);
        drop(seat);
    }
}
