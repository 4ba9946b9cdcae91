//! Tests that need the crate's inside.

mod requests;
mod rights;
mod tampering;
mod vectors;
