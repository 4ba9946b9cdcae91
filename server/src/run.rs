//! From options to a platform that serves, and back to nothing.
//!
//! The order matters: the launcher is started before any secret is read, the port is bound and the data directory
//! is locked before privileges are given up, and all of it before there is a second thread.

use crate::ports::Facts;
use crate::status::Status;
use crate::tenants::Image;
use crate::{Options, Ready, Root, ServerError, memory, roots, tenants};
use access::{Access, FunctionClaims, Keys, RootKey};
use functions::Functions;
use gateway::Gateway;
use invoke::{Bounds, Endpoint, Engine, InstanceTag, Sandboxes, SandboxesParts};
use model::{Egress, Version};
use observe::Observe;
use runtimes::{Credentials, RootImage, Runtimes};
use sandbox::{Launcher, LauncherOptions, SandboxError};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use store::{Blobs, DataDir, Store};
use tokio::signal::unix::{SignalKind, signal};
use wasm::Compiler;
use world::{Ender, Room, World};

/// Runs the platform until SIGTERM or SIGINT. `root_key`: the key that the environment gave; `None` draws one at
/// the first start. Calls `on_ready` once when requests are served.
pub fn run(
    options: Options,
    root_key: Option<RootKey>,
    on_ready: impl FnOnce(&Ready),
) -> Result<(), ServerError> {
    let world = World::real().with_room(Room::of(memory::room_bytes()));
    let minimal = options.minimal.then(|| sandbox::MINIMAL.to_owned());
    let launcher =
        LauncherOptions { arguments: ["__launcher".to_owned()].into_iter().chain(minimal).collect() };
    let mut launcher = Launcher::start(Path::new("/proc/self/exe"), launcher)?;
    launcher.supported()?;
    let root = match &options.root {
        Root::Machine if options.multi_tenant => Root::Own,
        root => root.clone(),
    };
    if options.multi_tenant {
        tenants::refuse_what_is_missing(launcher.protections(), Image::ToCome)?;
    }
    let data = DataDir::open(&options.data)?;
    let listener = listen(&options.listen)?;
    Launcher::drop_server_privileges()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| ServerError::File { path: "/proc/self".into(), why })?;
    let given = root_key.is_some();
    let keys = Keys::load(&data, root_key, &world)?;
    runtime.block_on(async move {
        let discovered = Runtimes::discover(&launcher, &data).await;
        let mut runtimes = discovered.map_err(|why| file(&data, why))?;
        let image = roots::settle(&root, &mut launcher, &mut runtimes, &data, &world).await?;
        if options.multi_tenant {
            tenants::refuse_what_is_missing(launcher.protections(), Image::Here)?;
            runtimes.share_nothing();
        }
        let (launcher, runtimes) = (Arc::new(launcher), Arc::new(runtimes));
        let ground = Ground { options, world, launcher, runtimes, image, data, given };
        let platform = ground.build(keys, &listener).await?;
        platform.serve(listener, on_ready).await
    })
}

fn listen(address: &str) -> Result<TcpListener, ServerError> {
    let refused = |why: &std::io::Error| ServerError::Listen {
        address: address.to_owned(),
        why: why.to_string(),
        in_use: why.kind() == std::io::ErrorKind::AddrInUse,
    };
    let listener = TcpListener::bind(address).map_err(|why| refused(&why))?;
    listener.set_nonblocking(true).map_err(|why| refused(&why))?;
    Ok(listener)
}

/// What sandboxes see where there is no image, in the words of the banner.
const MACHINE: &str = "this machine's /usr, read-only (--own-root makes an image)";

/// What exists before anything is built on it.
struct Ground {
    options: Options,
    world: World,
    launcher: Arc<Launcher>,
    runtimes: Arc<Runtimes>,
    image: Option<RootImage>,
    data: DataDir,
    /// Whether the environment gave the root key.
    given: bool,
}

/// Everything that serves.
struct Platform {
    options: Options,
    world: World,
    store: Store,
    observe: Observe,
    engine: Arc<Engine>,
    launcher: Arc<Launcher>,
    gateway: Arc<Gateway>,
    ready: Arc<OnceLock<Ready>>,
    banner: Ready,
    data: DataDir,
}

impl Ground {
    async fn build(self, keys: Keys, listener: &TcpListener) -> Result<Platform, ServerError> {
        let address = listener.local_addr().map_err(|why| file(&self.data, why))?;
        let (world, place) = (self.world.clone(), self.options.place.clone());
        let store = Store::fjall(&self.data, world.clone())?;
        let observe = self.observe()?;
        let runtimes = Arc::clone(&self.runtimes);
        let access = Arc::new(Access::new(keys, place.clone(), world.clone()));
        let door = Arc::new(OnceLock::<Weak<Gateway>>::new());
        let components = self.components();
        let sandboxes =
            self.sandboxes(&runtimes, components.clone(), &observe, &access, (&door, address.port()));
        let engine = Engine::new(invoke::Parts {
            start: Arc::new(sandboxes),
            journal: Arc::new(observe.clone()),
            world: world.clone(),
            bounds: self.bounds(),
        });
        let functions = self.functions(&store, &engine, components, &access, address.port()).await?;
        let ready = Arc::new(OnceLock::new());
        let status = Status {
            ready: Arc::clone(&ready),
            started_us: world.now().0,
            options: self.options.clone(),
            engine: Arc::clone(&engine),
            observe: observe.clone(),
            functions: functions.clone(),
            world: world.clone(),
            lookout_us: Arc::default(),
        };
        let lookout_us = Arc::clone(&status.lookout_us);
        let gateway = Gateway::new(gateway::Parts {
            access,
            engine: Arc::clone(&engine),
            functions: Arc::new(Facts { functions: functions.clone(), egress: self.options.egress }),
            services: vec![
                Box::new(wire::lambda::Serve(functions)),
                Box::new(wire::logs::Serve(logs::Logs::new(observe.clone(), place.clone()))),
                Box::new(wire::sts::Serve(accounts::Accounts)),
                Box::new(wire::dayfly::Serve(status)),
            ],
            place,
            world: world.clone(),
            connections: self.options.connections,
            lookout_us,
        });
        door.set(Arc::downgrade(&gateway)).expect("the door is hung once");
        let banner = self.banner(address, &runtimes);
        Ok(Platform {
            options: self.options,
            world,
            store,
            observe,
            engine,
            launcher: self.launcher,
            gateway,
            ready,
            banner,
            data: self.data,
        })
    }

    fn observe(&self) -> Result<Observe, ServerError> {
        let settings = observe::Settings {
            total_bytes: self.options.log_bytes,
            age: self.options.log_age,
            ..observe::Settings::default()
        };
        Observe::start(&self.data, settings, self.world.clone()).map_err(|why| file(&self.data, why))
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            memory_mb: memory::budget_mb(self.options.memory_percent),
            account_concurrency: self.options.concurrency,
            queue_length: usize::try_from(model::limit("queue-length")).unwrap_or(usize::MAX),
            queue_wait: Duration::from_secs(model::limit("queue-wait")),
            idle_timeout: self.options.idle_timeout,
            starts_in_all: starts_in_all(),
            ..Bounds::default()
        }
    }

    /// The platform runs without, where this processor is none that components are compiled for.
    fn components(&self) -> Option<Arc<Compiler>> {
        let opened = std::env::current_exe().and_then(|program| {
            let packages = self.data.dir(Functions::PACKAGES)?;
            Compiler::open(Arc::clone(&self.launcher), &self.data, self.world.clone(), program, packages)
        });
        opened
            .inspect_err(|error| tracing::warn!(%error, "WebAssembly components cannot be run"))
            .ok()
            .map(Arc::new)
    }

    fn sandboxes(
        &self,
        runtimes: &Arc<Runtimes>,
        components: Option<Arc<Compiler>>,
        observe: &Observe,
        access: &Arc<Access>,
        (door, port): (&Arc<OnceLock<Weak<Gateway>>>, u16),
    ) -> Sandboxes {
        let (access, door) = (Arc::clone(access), Arc::clone(door));
        let (world, place) = (self.world.clone(), self.options.place.clone());
        let open = |door: &OnceLock<Weak<Gateway>>| door.get().and_then(Weak::upgrade);
        let egress = {
            let door = Arc::clone(&door);
            move |version: &Version| {
                open(&door).map_or(Egress::None, |gateway| gateway.egress(&version.function))
            }
        };
        let attach = move |listener: TcpListener, version: &Version, tag: &InstanceTag| -> invoke::Guard {
            let (function, instance) = (version.function.clone(), tag.instance_id.clone());
            match open(&door).map(|gateway| gateway.serve_inside(listener, function, instance)) {
                Some(Ok(guard)) => Box::new(guard),
                Some(Err(error)) => {
                    tracing::warn!(%error, "an instance cannot reach the platform's endpoint");
                    Box::new(())
                }
                None => Box::new(()),
            }
        };
        let credentials = {
            let place = place.clone();
            move |version: &Version, tag: &InstanceTag| credentials(&access, &world, &place, version, tag)
        };
        let percent = self.options.memory_budget;
        Sandboxes::new(SandboxesParts {
            launcher: Arc::clone(&self.launcher),
            runtimes: Arc::clone(runtimes),
            place,
            credentials: Box::new(credentials),
            components,
            endpoint: Some(Endpoint {
                port: port_inside(port),
                attach: Box::new(attach),
                egress: Box::new(egress),
            }),
            journal: Arc::new(observe.clone()),
            world: self.world.clone(),
            budget: Arc::new(move || memory::spare_bytes(percent)),
            snapstart: self.options.snapstart,
        })
    }

    async fn functions(
        &self,
        store: &Store,
        engine: &Arc<Engine>,
        components: Option<Arc<Compiler>>,
        access: &Arc<Access>,
        port: u16,
    ) -> Result<Functions, ServerError> {
        let parts = functions::Parts {
            store: store.clone(),
            blobs: Blobs::open(&self.data).map_err(|why| file(&self.data, why))?,
            data: self.data.clone(),
            runner: Arc::clone(engine) as Arc<dyn functions::Runner>,
            unpacker: Arc::clone(&self.launcher) as Arc<dyn functions::Unpacker>,
            components: components.map(|compiler| Arc::new(compiler) as Arc<dyn functions::Components>),
            access: Arc::clone(access),
            world: self.world.clone(),
            place: self.options.place.clone(),
            settings: functions::Settings {
                url_authority: format!("lambda-url.{}:{port}", self.options.base_domain),
                concurrency: self.options.concurrency,
                memory_mb: self.bounds().memory_mb,
            },
        };
        Functions::open(parts).await.map_err(|why| ServerError::State(why.to_string()))
    }

    fn banner(&self, address: std::net::SocketAddr, runtimes: &Runtimes) -> Ready {
        let name = |found: &runtimes::Interpreter| {
            let (major, minor, patch) = found.version;
            let language = format!("{:?}", found.language).to_lowercase();
            (format!("{language} {major}.{minor}.{patch}"), found.executable.clone())
        };
        let protections = self.launcher.protections();
        Ready {
            endpoint: format!("http://{address}"),
            address,
            data: self.data.path().to_owned(),
            key_file: (!self.given).then(|| self.data.path().join(RootKey::FILE)),
            runtimes: runtimes.found().iter().map(name).collect(),
            root: self.image.as_ref().map_or_else(|| MACHINE.to_owned(), roots::describe),
            level: protections.level,
            protections: protections.layers.clone(),
            started_in_ms: self.world.moment().0 / 1000,
        }
    }
}

impl Platform {
    async fn serve(self, listener: TcpListener, on_ready: impl FnOnce(&Ready)) -> Result<(), ServerError> {
        let path = || PathBuf::from(&self.options.listen);
        let io = |why| ServerError::File { path: path(), why };
        let listener = tokio::net::TcpListener::from_std(listener).map_err(io)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(io)?;
        let (ender, end) = Ender::new();
        let serving = tokio::spawn(Arc::clone(&self.gateway).serve(listener, end));
        let ready = self.ready.get_or_init(|| self.banner.clone());
        self.announce(ready).map_err(|why| file(&self.data, why))?;
        on_ready(ready);
        let watching = tokio::spawn(watch_limits(
            Arc::clone(&self.launcher),
            self.world.clone(),
            self.options.limits_check,
        ));
        let broken = tokio::select! {
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            why = self.store.broken() => Some(ServerError::Broken(why)),
            () = self.launcher.gone() => Some(ServerError::Sandbox(SandboxError::LauncherGone)),
        };
        watching.abort();
        tracing::info!(?broken, "stopping: running calls may finish");
        self.gateway.drain();
        self.engine.drain(if broken.is_some() { Duration::ZERO } else { self.options.drain }).await;
        ender.end();
        tokio::select! {
            _ = serving => {}
            () = self.world.sleep(Duration::from_secs(5)) => {}
        }
        self.observe.flush().await;
        let _ = self.data.remove(ENDPOINT_FILE);
        broken.map_or(Ok(()), Err)
    }
}

/// Reads back the limits of all sandboxes, functions' and templates', for as long as the platform serves.
async fn watch_limits(launcher: Arc<Launcher>, world: World, interval: Duration) {
    loop {
        world.sleep(interval.max(Duration::from_secs(1))).await;
        match launcher.read_back().await {
            Ok(0) => tracing::debug!("the limits of all sandboxes are as they were set"),
            Ok(changed) => {
                tracing::warn!(changed, "somebody has changed the limits of sandboxes, which were ended")
            }
            Err(error) => tracing::warn!(%error, "the limits of sandboxes could not be read back"),
        }
    }
}

/// The file in the data directory by which tools on this machine find a running platform.
const ENDPOINT_FILE: &str = "endpoint.json";

impl Platform {
    fn announce(&self, ready: &Ready) -> std::io::Result<()> {
        let reachable = match ready.address.ip() {
            ip if ip.is_unspecified() => format!("http://127.0.0.1:{}", ready.address.port()),
            _ => ready.endpoint.clone(),
        };
        let text = serde_json::json!({
            "endpoint": reachable,
            "pid": std::process::id(),
            "region": self.options.place.region,
        });
        self.data.write_atomic(ENDPOINT_FILE, text.to_string().as_bytes(), 0o644).map(drop)
    }
}

/// How many starts this machine's processors work on at once.
fn starts_in_all() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.saturating_mul(usize::try_from(model::limit("starts-per-core")).unwrap_or(usize::MAX))
}

/// The endpoint's port inside sandboxes: the same as outside, so that URLs hold on both sides, unless the Runtime
/// API has it there.
fn port_inside(port: u16) -> u16 {
    const RUNTIME_API: u16 = 9001;
    const DEFAULT: u16 = 4566;
    if port == RUNTIME_API { DEFAULT } else { port }
}

/// A function's own credentials; they outlive the instance they are given to by an hour.
fn credentials(
    access: &Access,
    world: &World,
    place: &model::Place,
    version: &Version,
    tag: &InstanceTag,
) -> Credentials {
    let given = access.function_credentials(&FunctionClaims {
        function_arn: place.function_arn(&version.function, None),
        role_arn: version.role.clone(),
        instance: tag.instance_id.clone(),
        expires_s: world.now().seconds() + model::limit("instance-age") + 3600,
    });
    Credentials {
        access_key_id: given.access_key,
        secret_access_key: given.secret_key,
        session_token: given.token,
    }
}

fn file(data: &DataDir, why: std::io::Error) -> ServerError {
    ServerError::File { path: data.path().to_owned(), why }
}
