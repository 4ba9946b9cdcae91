//! The only door to the outside: connections in, and one way from there to a service, `flow`.
//!
//! APIs are told apart by signature and target, function URLs by host or by a path that begins with `/_url/`.

mod answer;
mod body;
mod connections;
mod cors;
mod egress;
mod event;
mod exchange;
mod flow;
mod lookout;
mod ports;
mod refusal;
mod resource;
mod url;

pub use connections::InsideGuard;
pub use cors::Cors;
pub use ports::{FunctionFacts, UrlAuth, UrlTarget};

use access::{Access, Permit};
use invoke::Engine;
use model::Place;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use tokio::sync::Semaphore;
use wire::Dispatch;
use world::World;

/// What the gateway is made of.
pub struct Parts {
    /// Who is it, and may they.
    pub access: Arc<Access>,
    /// Runs what comes through function URLs.
    pub engine: Arc<Engine>,
    /// What the function service knows by heart.
    pub functions: Arc<dyn FunctionFacts>,
    /// Every service behind the APIs.
    pub services: Vec<Box<dyn Dispatch<Permit>>>,
    /// Account and region.
    pub place: Place,
    /// Clock, chance, and the memory for what is on its way.
    pub world: World,
    /// Open client connections at most.
    pub connections: usize,
    /// Counts the microseconds that were spent awake between requests.
    pub lookout_us: Arc<AtomicU64>,
}

/// Accepts connections and walks each request through `flow`.
pub struct Gateway {
    access: Arc<Access>,
    engine: Arc<Engine>,
    functions: Arc<dyn FunctionFacts>,
    services: HashMap<&'static str, Box<dyn Dispatch<Permit>>>,
    place: Place,
    world: World,
    slots: Arc<Semaphore>,
    draining: AtomicBool,
    activity: lookout::Activity,
    lookout_us: Arc<AtomicU64>,
    door_out: egress::Door,
}

impl Gateway {
    /// A gateway that does not listen yet; see [`Gateway::serve`].
    pub fn new(parts: Parts) -> Arc<Self> {
        let services = parts.services.into_iter().map(|s| (s.service().name, s)).collect();
        Arc::new(Self {
            access: parts.access,
            engine: parts.engine,
            functions: parts.functions,
            services,
            place: parts.place,
            world: parts.world,
            slots: Arc::new(Semaphore::new(parts.connections)),
            draining: AtomicBool::new(false),
            activity: lookout::Activity::default(),
            lookout_us: parts.lookout_us,
            door_out: egress::Door::new(),
        })
    }
}
