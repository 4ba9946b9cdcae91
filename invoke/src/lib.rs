//! The engine: one queue and one pool of instances per function revision.
//!
//! * [`Engine`] lets calls in, gives each an instance, and tells how it ended.
//! * `fleet` decides, purely, by the rules in `admission` (who is let in), `fair` (who goes first) and `pace` (what is
//!   worth a start); `engine` carries out; `instance` owns one instance for life.
//! * [`rehearse`] plays a trace against those rules alone.
//! * [`Start`] makes instances; [`Sandboxes`] is the real one.

mod admission;
mod alive;
mod answer;
mod assign;
mod crowd;
mod date;
mod deal;
mod engine;
mod failure;
mod fair;
mod fleet;
#[cfg(test)]
mod fleet_test;
mod housing;
mod instance;
mod job;
mod ladder;
mod lineage;
#[cfg(test)]
mod load_test;
mod logs;
mod output;
mod pace;
mod pool;
mod promise;
#[cfg(test)]
mod promise_test;
mod recipes;
mod rehearsal;
mod sandboxes;
mod start;
mod telling;
mod templates;
mod tenants;

pub use admission::Bounds;
pub use answer::{Answer, Done, InstanceState, InstanceSummary, Refused};
pub use engine::{Engine, Parts};
pub use output::{Output, Pipe};
pub use promise::{Provision, ProvisionState};
pub use rehearsal::{Rehearsed, Visit, rehearse};
pub use sandboxes::{Attach, Budget, Draw, Endpoint, Guard, Sandboxes, SandboxesParts};
pub use start::{Cell, InstanceTag, Journal, Origin, Snapshot, Start, StartError, Started, Voice};
