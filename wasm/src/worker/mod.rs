//! The worker: the program of a sandbox that runs one component for every call that it is given, each in an instance
//! of its own, as many at once as it is given.

mod conversation;
mod epoch;
mod serve;

use crate::engine;
use crate::guest::{Household, linker};
use conversation::{Frame, Reader, Writer};
use epoch::Epoch;
use model::{FunctionError, limit};
use serve::Kitchen;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use world::World;

/// The hidden subcommand. One argument: the memory of all instances together, in mebibytes.
pub const WORKER: &str = "__wasm";
/// Where the worker's sandbox sees this program.
pub const PROGRAM: &str = "/var/runtime/dayfly";
/// Where it sees the compiled component.
pub const ARTIFACT: &str = "/var/runtime/component.cwasm";

/// Threads for what WASI does in the file system.
const FILE_THREADS: usize = 4;

/// The life of the worker process: the entry of the hidden subcommand [`WORKER`].
pub fn run_worker(arguments: &[String]) -> ExitCode {
    let lived = memory_bytes(arguments).and_then(|memory| {
        // Between two polls of a task that computes, the runtime looks at the socket and the clock.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(1)
            .max_blocking_threads(FILE_THREADS)
            .build();
        runtime.map_err(|error| error.to_string())?.block_on(live(memory))
    });
    match lived {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("wasm worker: {why}");
            ExitCode::FAILURE
        }
    }
}

fn memory_bytes(arguments: &[String]) -> Result<usize, String> {
    let number = arguments.first().and_then(|text| text.parse::<usize>().ok());
    number.and_then(|mb| mb.checked_mul(1 << 20)).ok_or_else(|| "expected the memory in MB".into())
}

async fn live(memory_bytes: usize) -> Result<(), String> {
    let words = |error: std::io::Error| format!("control socket: {error}");
    let control = inmate::control().map_err(words)?;
    control.set_nonblocking(true).map_err(words)?;
    let (reader, writer) = tokio::net::UnixStream::from_std(control).map_err(words)?.into_split();
    let writer = Writer::new(writer);
    match kitchen(memory_bytes) {
        Ok(kitchen) => {
            writer.send(Frame::Ready).await.map_err(words)?;
            take_calls(Arc::new(kitchen), Reader::new(reader), writer).await.map_err(words)
        }
        Err(error) => {
            let error = FunctionError {
                kind: "Runtime.InvalidComponent".into(),
                message: format!("The component cannot be loaded: {error:#}"),
            };
            let json = serde_json::to_vec(&error).expect("two texts are JSON");
            writer.send(Frame::InitError(&json)).await.map_err(words)
        }
    }
}

fn kitchen(memory_bytes: usize) -> wasmtime::Result<Kitchen> {
    let world = World::real();
    let engine = engine::serving(limit("wasm-instances") as u32)?;
    let component = inmate::load(&engine, Path::new(ARTIFACT))?;
    let pre = ProxyPre::new(linker(&engine)?.instantiate_pre(&component)?)?;
    let household = Household::of_this_process(memory_bytes)?;
    Ok(Kitchen { pre, household, epoch: Epoch::start(engine), world })
}

/// Starts a task per call; ends with the platform's end of the socket.
async fn take_calls(kitchen: Arc<Kitchen>, mut reader: Reader, writer: Writer) -> std::io::Result<()> {
    let seats = Arc::new(Semaphore::new(limit("wasm-instances") as usize));
    while let Some(call) = reader.next().await? {
        let seat = Arc::clone(&seats).acquire_owned().await.expect("it is never closed");
        let (kitchen, writer) = (Arc::clone(&kitchen), writer.clone());
        tokio::spawn(async move {
            let served = kitchen.serve(&call).await;
            let sent = match &served {
                Ok(body) => writer.send(Frame::Response(call.id(), body)).await,
                Err(failure) => writer.send(Frame::Error(call.id(), &failure.document(call.id()))).await,
            };
            drop(seat);
            if let Err(error) = sent {
                eprintln!("wasm worker: an answer could not be sent: {error}");
            }
        });
    }
    Ok(())
}
