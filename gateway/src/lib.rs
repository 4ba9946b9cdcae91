//! The only door to the outside.

mod answer;
mod cors;
mod event;

pub use cors::Cors;
