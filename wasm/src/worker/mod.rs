//! The worker: the program of a sandbox that runs one component for every call that it is given, each in an instance
//! of its own, as many at once as it is given.

mod conversation;
mod epoch;
mod serve;

use crate::budget::Seat;
use crate::engine::{self, Room};
use crate::guest::{Guest, Household, Wishes, linker};
use conversation::{Call, Frame, Load, Outbox, Reader, Writer, split};
use epoch::Epoch;
use model::{FunctionError, limit};
use serve::Kitchen;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use world::World;

/// The hidden subcommand. Arguments: the memory of all instances together, in mebibytes, or [`WAITING`], or [`LOADED`]; and
/// where the compiled component is, unless it is at [`ARTIFACT`].
pub const WORKER: &str = "__wasm";
/// In place of the memory: what it is for comes later, in a Load frame, and its component by then.
pub const WAITING: &str = "wait";
/// In place of the memory: its component is there already, so it is ready before it is told the rest, in a Load frame.
pub const LOADED: &str = "loaded";
/// Where the worker's sandbox sees this program.
pub const PROGRAM: &str = "/var/runtime/dayfly";
/// Where it sees the compiled component.
pub const ARTIFACT: &str = "/var/runtime/component.cwasm";

/// Component instances at once.
const INSTANCES: usize = limit("wasm-instances") as usize;
/// Where the environment says how much memory the function has.
const MEMORY_VARIABLE: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
/// A component that holds nothing, and takes no time to compile.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
/// Polls of tasks between two looks at the socket and the clock.
const POLLS: u32 = 8;
/// Threads for what WASI does in the file system.
const FILE_THREADS: usize = 4;

/// The life of the worker process: the entry of the hidden subcommand [`WORKER`].
pub fn run_worker(arguments: &[String]) -> ExitCode {
    let artifact = PathBuf::from(arguments.get(1).map_or(ARTIFACT, String::as_str));
    let lived = told(arguments).and_then(|told| {
        // Even while that many tasks compute for a tick each, the runtime looks at the socket and the clock in between.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(POLLS)
            .max_blocking_threads(FILE_THREADS)
            .build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        // As a task: to wake what is blocked on takes a system call.
        runtime
            .block_on(async { tokio::spawn(live(told, artifact)).await.map_err(|error| error.to_string())? })
    });
    match lived {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("wasm worker: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What the worker knows of its work from the start.
enum Told {
    /// Nothing.
    Nothing,
    /// Which component.
    Component,
    /// All of it.
    Everything(Purpose),
}

/// What the worker is for.
struct Purpose {
    /// Of all instances together.
    memory_bytes: usize,
    /// What instances see of it is for them.
    env: BTreeMap<String, String>,
}

fn told(arguments: &[String]) -> Result<Told, String> {
    Ok(match arguments.first().map(String::as_str) {
        Some(WAITING) => Told::Nothing,
        Some(LOADED) => Told::Component,
        memory => {
            Told::Everything(Purpose { memory_bytes: memory_bytes(memory)?, env: std::env::vars().collect() })
        }
    })
}

fn memory_bytes(mebibytes: Option<&str>) -> Result<usize, String> {
    let number = mebibytes.and_then(|text| text.parse::<usize>().ok());
    number.and_then(|mb| mb.checked_mul(1 << 20)).ok_or_else(|| "expected the memory in MB".into())
}

/// How a worker gets from its start to its calls: in which order it loads its component and is told its work.
async fn live(told: Told, artifact: PathBuf) -> Result<(), String> {
    let words = |error: std::io::Error| format!("control socket: {error}");
    let engine = |error: wasmtime::Error| format!("the engine does not work: {error:#}");
    let control = inmate::control().map_err(words)?;
    let (mut reader, writer) = split(control).map_err(words)?;
    let outbox = Arc::new(Outbox::default());
    let workshop = Workshop::new(artifact).map_err(engine)?;
    let kitchen = match told {
        Told::Everything(purpose) => workshop.open().and_then(|larder| larder.kitchen(purpose)),
        Told::Nothing => {
            workshop.practise().await.map_err(engine)?;
            outbox.send(Frame::Waits);
            outbox.write_out(&writer).await.map_err(words)?;
            let Some(purpose) = hear(&mut reader).await? else { return Ok(()) };
            workshop.open().and_then(|larder| larder.kitchen(purpose))
        }
        Told::Component => {
            workshop.practise().await.map_err(engine)?;
            let larder = workshop.open().map_err(engine)?;
            inmate::lay_ready(larder.pre.instance_pre().component()).map_err(engine)?;
            larder.rehearse().await.map_err(engine)?;
            // Nothing can go wrong any more with what it is told, so its first call may come with that.
            outbox.send(Frame::Waits);
            outbox.send(Frame::Ready);
            outbox.write_out(&writer).await.map_err(words)?;
            let Some(purpose) = hear(&mut reader).await? else { return Ok(()) };
            let kitchen = larder.kitchen(purpose).map_err(engine)?;
            return serve(kitchen, reader, writer, outbox).await.map_err(words);
        }
    };
    match kitchen {
        Ok(kitchen) => {
            outbox.send(Frame::Ready);
            serve(kitchen, reader, writer, outbox).await.map_err(words)
        }
        Err(error) => {
            let error = FunctionError {
                kind: "Runtime.InvalidComponent".into(),
                message: format!("The component cannot be loaded: {error:#}"),
            };
            let json = serde_json::to_vec(&error).expect("two texts are JSON");
            outbox.send(Frame::InitError(&json));
            outbox.write_out(&writer).await.map_err(words)
        }
    }
}

/// What it is for, from the platform; `None` when that has hung up.
async fn hear(reader: &mut Reader) -> Result<Option<Purpose>, String> {
    let heard = reader.load().await.map_err(|error| format!("control socket: {error}"))?;
    let Some(Load { env }) = heard else { return Ok(None) };
    let memory_bytes = memory_bytes(env.get(MEMORY_VARIABLE).map(String::as_str))?;
    Ok(Some(Purpose { memory_bytes, env }))
}

/// Everything that does not depend on the component.
struct Workshop {
    /// Where the component will be.
    artifact: PathBuf,
    engine: Engine,
    linker: Linker<Guest>,
    epoch: Epoch,
    world: World,
}

/// Everything that does not depend on what the worker is told of its function.
struct Larder {
    pre: ProxyPre<Guest>,
    wishes: Wishes,
    epoch: Epoch,
    world: World,
}

impl Workshop {
    fn new(artifact: PathBuf) -> wasmtime::Result<Self> {
        let engine = engine::serving(INSTANCES as u32, Room::here())?;
        let linker = linker(&engine)?;
        let epoch = Epoch::start(engine.clone())?;
        Ok(Self { artifact, engine, linker, epoch, world: World::real() })
    }

    /// Runs a component that is empty, so that what every call needs is in memory and warm.
    async fn practise(&self) -> wasmtime::Result<()> {
        inmate::lay_program_ready();
        let empty = Component::new(&self.engine, EMPTY)?;
        let household = Household::new(1 << 20, BTreeMap::new(), Wishes::of(&self.engine, &empty))?;
        let mut store = Store::new(&self.engine, household.guest("practice")?);
        self.linker.instantiate_pre(&empty)?.instantiate_async(&mut store).await?;
        Ok(())
    }

    /// Loads the component.
    fn open(self) -> wasmtime::Result<Larder> {
        let Self { artifact, engine, linker, epoch, world } = self;
        let component = inmate::load(&engine, &artifact)?;
        let pre = ProxyPre::new(linker.instantiate_pre(&component)?)?;
        Ok(Larder { pre, wishes: Wishes::of(&engine, &component), epoch, world })
    }
}

impl Larder {
    /// Gives the component a place in the pool, which the first call finds laid out, and runs nothing of it: each of its
    /// functions asks at its beginning whether its time is over, and it is.
    async fn rehearse(&self) -> wasmtime::Result<()> {
        let household = Household::new(usize::MAX, BTreeMap::new(), Wishes::default())?;
        let mut store = Store::new(self.pre.engine(), household.guest("rehearsal")?);
        store.set_epoch_deadline(0);
        store.epoch_deadline_trap();
        // What is wrong with it is told to its first call.
        let _ = self.pre.instantiate_async(&mut store).await;
        Ok(())
    }

    fn kitchen(self, purpose: Purpose) -> wasmtime::Result<Kitchen> {
        let Self { pre, wishes, epoch, world } = self;
        let household = Household::new(purpose.memory_bytes, purpose.env, wishes)?;
        Ok(Kitchen { pre, household, epoch, world })
    }
}

/// Serves until the platform hangs up.
async fn serve(kitchen: Kitchen, reader: Reader, writer: Writer, outbox: Arc<Outbox>) -> std::io::Result<()> {
    let taken = take_calls(Arc::new(kitchen), reader, Arc::clone(&outbox));
    tokio::select! {
        delivered = outbox.deliver(writer) => delivered,
        taken = taken => taken,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_practises() {
        Workshop::new(ARTIFACT.into()).unwrap().practise().await.unwrap();
    }

    #[test]
    fn what_a_worker_knows_is_in_its_arguments() {
        let cases: [(&[&str], &str); 5] = [
            (&["wait"], "nothing"),
            (&["loaded"], "component"),
            (&["128"], "134217728"),
            (&["much"], "expected the memory in MB"),
            (&[], "expected the memory in MB"),
        ];
        for (arguments, expected) in cases {
            let arguments: Vec<String> = arguments.iter().map(|word| (*word).into()).collect();
            let said = match told(&arguments) {
                Ok(Told::Nothing) => "nothing".into(),
                Ok(Told::Component) => "component".into(),
                Ok(Told::Everything(purpose)) => purpose.memory_bytes.to_string(),
                Err(why) => why,
            };
            assert_eq!(said, expected, "{arguments:?}");
        }
    }
}
