//! The wire layer: AWS dialects from one set of tables.
//!
//! Generated code (`generated/`) holds structs, schema tables and one trait per service; everything that knows a
//! protocol is written by hand and reads the tables. A request walks [`route`] → [`decode`] (which validates) →
//! [`Dispatch::call`] → [`encode`], and any failure on the way through [`encode_error`].

mod codec;
mod dispatch;
mod envelope;
mod error;
mod exposition;
mod generated;
mod message;
mod rest;
mod route;
mod schema;
mod service;
mod shaped;
mod time;
mod validate;
mod value;

pub use dispatch::{BoxFuture, Dispatch};
pub use envelope::encode_error;
pub use error::Error;
pub use exposition::{Exposition, Sort};
pub use generated::{SERVICES, dayfly, lambda, logs, sts};
pub use message::{REQUEST_ID, decode, encode};
pub use route::{Dialect, Post, Route, Routed, Router, route, signing_name};
pub use schema::{Fault, Field, Item, Kind, Limits, Location, Shape, Structure, TimeFormat};
pub use service::{Operation, Protocol, Resource, Service};
pub use shaped::{Fields, Member, Shaped, mismatch};
pub use time::Time;
pub use validate::{pattern_compiles, validate};
pub use value::Value;
