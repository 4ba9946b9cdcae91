//! The composition root: every part is made here, handed to those who need it, and ended in order.

mod error;
mod memory;
mod metrics;
mod options;
mod ports;
mod ready;
mod roots;
mod run;
mod shapes;
mod status;
mod tenants;

pub use error::ServerError;
pub use options::Options;
pub use ready::Ready;
pub use roots::Root;
pub use run::run;
