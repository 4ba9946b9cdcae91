//! What one component instance is given: a clock, randomness, `/tmp`, its output, HTTP; and within which limits.

use crate::budget::{Budget, Share};
use crate::outbound::Outbound;
use crate::output::Output;
use model::limit;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Result};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

const RANDOM_BYTES: u64 = limit("wasm-random-bytes");
const HANDLES: usize = limit("wasm-handles") as usize;
const HEADER_BYTES: usize = limit("wasm-header-bytes") as usize;
const TMP: &str = "/tmp";
/// Set for the worker itself; they mean nothing to a component.
const NOT_FOR_GUESTS: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "LAMBDA_RUNTIME_DIR"];

/// The state of one instance.
pub(crate) struct Guest {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    pub(crate) share: Share,
}

/// What all instances of a worker are made with.
pub(crate) struct Household {
    pub(crate) budget: Arc<Budget>,
    wishes: Wishes,
    env: Vec<(String, String)>,
    stdout: Arc<File>,
    stderr: Arc<File>,
}

/// What a component can ask for that costs something to have ready.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wishes {
    environment: bool,
    files: bool,
}

impl Wishes {
    /// By what it imports.
    pub(crate) fn of(engine: &Engine, component: &Component) -> Self {
        let kind = component.component_type();
        let imports = |name| kind.imports(engine).any(|(import, _)| import.starts_with(name));
        Self { environment: imports("wasi:cli/environment@"), files: imports("wasi:filesystem/preopens@") }
    }
}

impl Household {
    /// Prints to where this process does. `env`: the worker's own.
    pub(crate) fn new(
        memory_bytes: usize,
        mut env: BTreeMap<String, String>,
        wishes: Wishes,
    ) -> std::io::Result<Self> {
        env.retain(|name, _| !NOT_FOR_GUESTS.contains(&name.as_str()));
        let output =
            |fd: BorrowedFd<'_>| Ok::<_, std::io::Error>(Arc::new(File::from(fd.try_clone_to_owned()?)));
        Ok(Self {
            budget: Budget::new(memory_bytes),
            wishes,
            env: env.into_iter().collect(),
            stdout: output(std::io::stdout().as_fd())?,
            stderr: output(std::io::stderr().as_fd())?,
        })
    }

    /// A guest of its own for one call.
    pub(crate) fn guest(&self, request_id: &str) -> Result<Guest> {
        let mut wasi = WasiCtx::builder();
        wasi.stdout(Output::new(&self.stdout, request_id))
            .stderr(Output::new(&self.stderr, request_id))
            .max_random_size(RANDOM_BYTES);
        if self.wishes.environment {
            wasi.envs(&self.env);
        }
        if self.wishes.files {
            wasi.preopened_dir(TMP, TMP, FsPerms::ReadWrite)?;
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HEADER_BYTES);
        Ok(Guest { table, wasi: wasi.build(), http, outbound: Outbound, share: self.budget.share() })
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

/// All that components may import: `wasi:cli/imports` and `wasi:http` 0.2. Real ones import more than the world
/// `wasi:http/proxy` has; what is not granted (sockets, other folders) refuses.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}
