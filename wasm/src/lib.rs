//! WebAssembly components as functions: `wasi:http/proxy` 0.2, one instance per request.
//!
//! * [`Compiler`], in the server: turns the component of a package into machine code, once, in a sandbox of its own, and
//!   keeps the result under a seal.
//! * [`run_compiler`] and [`run_worker`], in sandboxes: the lives of the child that compiles and of the worker that
//!   runs a component for one call after another, or for many at once.

mod budget;
mod compile;
mod component;
mod engine;
mod event;
mod failure;
mod guest;
mod outbound;
mod output;
mod seal;
mod worker;

pub use compile::{COMPILE, CompileError, Compiler, run_compiler};
pub use worker::{ARTIFACT, LOADED, PROGRAM, WAITING, WORKER, run_worker};
