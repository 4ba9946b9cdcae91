//! The seccomp policies and their compiled filters: on paper (an interpreter and a second compiler), then for
//! real.
#![allow(unsafe_code, reason = "denied calls are made for real, in forked children")]

mod child;
mod denied;
mod interpreter;
mod oracle;
mod paper;
mod programs;
mod samples;

use sandbox::seccomp::{Network, Policy};

/// Every policy there is.
fn policies() -> [&'static Policy; 5] {
    [
        Policy::function(Network::Loopback),
        Policy::function(Network::Routed),
        Policy::bare(),
        Policy::template(),
        Policy::unpacker(),
    ]
}
