//! How a language starts and speaks: interpreters on this machine, our bootstraps, start plans and channels.
//!
//! * [`Runtimes`]: what was found, and [`Runtimes::plan`]: how an instance of a function version starts.
//! * [`Channel`]: the conversation with one instance, over framed messages or the HTTP Runtime API.
//! * `python/`, `node/` and `java/`: the bootstraps, which load a handler and hold the other end of the framed channel.

mod archive;
mod bootstraps;
mod bytecode;
mod channel;
mod discover;
mod error;
mod image;
mod interpreter;
pub mod node;
mod plan;
mod runtimes;
mod trial;

pub use bytecode::GUEST as BYTECODE;
pub use channel::{Channel, ChannelError, Event, Framed, RuntimeApi, SendError, waits};
pub use error::PlanError;
pub use image::{ImageError, Origin, RootImage};
pub use interpreter::Interpreter;
pub use plan::{Component, Credentials, InstanceFacts, Protocol, StartPlan};
pub use runtimes::Runtimes;
pub use sandbox::Bind;
