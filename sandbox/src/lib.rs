//! Isolation: the launcher process, the sandboxes that it makes, and the jailed child that unpacks packages.
//! The only crate that starts processes, and the only one with `unsafe` code.
#![allow(unsafe_code)]

pub mod seccomp;
mod unpack;

pub use unpack::{UnpackError, UnpackLimits, Unpacked, Unpacking, unpack};
