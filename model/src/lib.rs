//! The words that every other crate speaks: names, limits, function versions, invocations.
//!
//! Plain data and pure rules. No I/O, no clock, no randomness, no protocol.

mod caller;
mod egress;
mod exchange;
mod function;
mod invocation;
mod limits;
mod name;
mod place;

pub use caller::{Caller, CallerKind};
pub use egress::Egress;
pub use exchange::{Exchange, ExchangeWriter};
pub use function::{Language, Runtime, UnknownRuntime, Version, VersionName};
pub use invocation::{Call, FunctionError, Import, InvocationRecord, Outcome, Phases, Rung, Usage};
pub use limits::{LIMITS, Limit, Unit, limit};
pub use name::{FunctionAddress, FunctionName, LATEST, NameError};
pub use place::Place;
