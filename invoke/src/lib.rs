//! The engine: one queue and one pool of instances per function revision, one call per instance.
//!
//! * [`Engine`] lets calls in, gives each an instance, and tells how it ended.
//! * `fleet` and `admission` decide, purely; `engine` carries out; `instance` owns one instance for life.
//! * [`Start`] makes instances; [`Sandboxes`] is the real one.

mod admission;
mod alive;
mod answer;
mod assign;
mod date;
mod engine;
mod failure;
mod fleet;
#[cfg(test)]
mod fleet_test;
mod instance;
mod job;
mod logs;
mod output;
mod pool;
mod sandboxes;
mod start;

pub use admission::Bounds;
pub use answer::{Answer, Done, InstanceState, InstanceSummary, Refused};
pub use engine::{Engine, Parts};
pub use output::{Output, Pipe};
pub use sandboxes::{Attach, Draw, Endpoint, Guard, Sandboxes};
pub use start::{Cell, InstanceTag, Journal, Start, StartError, Started, Voice};
