//! What this very program needs where it runs *inside* a sandbox and what only `unsafe` code can give: its end of the
//! control socket, and machine code that was compiled before.
//!
//! It lies in `sandbox/`, behind the same fence as all other `unsafe`, but is a crate of its own, so that `sandbox` and
//! what is built on it do without the WebAssembly engine.
#![allow(unsafe_code)]

use rustix::mm::{Advice, madvise};
use std::io;
use std::ops::Range;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The program's end of the socket pair that `sandbox::Spec::control` asks for.
const CONTROL: i32 = 3;

/// The control socket. It can be taken once.
///
/// # Errors
/// It was taken before, or descriptor 3 is not a Unix socket.
pub fn control() -> io::Result<UnixStream> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Err(io::Error::other("the control socket was taken before"));
    }
    // SAFETY: needed, since an inherited descriptor is a number only. The launcher passes it to the program, nothing
    // in this program closes or takes it but this line, and this line runs once.
    let socket = UnixStream::from(unsafe { OwnedFd::from_raw_fd(CONTROL) });
    socket.peer_addr()?;
    Ok(socket)
}

/// Maps the machine code at `file`, which the platform has compiled, sealed and checked, and makes it a component.
///
/// Call it only in a sandbox whose owner made the component, with a path that the platform bound into it.
///
/// # Errors
/// The file was made by another version of the engine, or for another processor.
pub fn load(engine: &Engine, file: &Path) -> wasmtime::Result<Component> {
    // SAFETY: needed, since compiled code is trusted as it is. The file was written by the platform's own compiler and
    // is compared with its seal by the server before it is bound into this sandbox, read-only, and nobody but the
    // server can write it. Were the compiler deceived, then the code runs where the component's owner runs code anyway.
    unsafe { Component::deserialize_file(engine, file) }
}

/// Has all that a component needs to run in memory, so that no call meets a page for the first time. Where the kernel does
/// not know how, calls do.
///
/// # Errors
/// The memory that its instances begin with cannot be made.
pub fn lay_ready(component: &Component) -> wasmtime::Result<()> {
    component.initialize_copy_on_write_image()?;
    let code = component.image_range();
    lay_pages_ready(code.start as usize..code.end as usize);
    Ok(())
}

/// The same for this program's own machine code.
pub fn lay_program_ready() {
    // SAFETY: needed, since only the linker knows where the code lies. It defines both names for every program, and nothing
    // is read through them: only where they stand counts.
    unsafe extern "C" {
        safe static __executable_start: u8;
        safe static etext: u8;
    }
    lay_pages_ready(&raw const __executable_start as usize..&raw const etext as usize);
}

fn lay_pages_ready(bytes: Range<usize>) {
    let from = bytes.start - bytes.start % rustix::param::page_size();
    let first = ptr::with_exposed_provenance_mut(from);
    // SAFETY: needed, since pages are told by address. The advice brings those in that are mapped there, and changes neither
    // what they hold nor what may be done with them.
    let _ = unsafe { madvise(first, bytes.end - from, Advice::LinuxPopulateRead) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_compiled_code_is_refused() {
        let file = std::env::temp_dir().join(format!("inmate-{}.cwasm", std::process::id()));
        for bytes in [&b""[..], b"\0asm\x0d\0\x01\0", b"\x7fELF\x02\x01\x01"] {
            std::fs::write(&file, bytes).unwrap();
            assert!(load(&Engine::default(), &file).is_err(), "{bytes:?}");
        }
        std::fs::remove_file(file).unwrap();
    }
}
