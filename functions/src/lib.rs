//! Functions: their configuration, code, URLs, policies and tags; and calling them through the API.
//!
//! Rows on the store are the truth. A copy of them in memory (`catalog`) answers every question on the hot path;
//! it is read again from the store after each commit, before the commit is acknowledged.

mod api;
mod capacity;
mod catalog;
mod change;
mod entries;
mod error;
mod packages;
mod ports;
mod publish;
mod rows;
mod rules;
mod service;
mod shapes;
mod sharing;
mod statement;
#[cfg(test)]
mod tests;
mod time;

pub use error::FunctionsError;
pub use ports::{Components, Runner, Unpacker};
pub use rows::{Cors, UrlAuth};
pub use service::{Functions, Parts, Settings, UrlTarget};
