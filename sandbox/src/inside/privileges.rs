//! Giving up every privilege for good.

use crate::kernel;
use rustix::process::DumpableBehavior;
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::io;

/// Empties all five capability sets, locks the secure bits, and forbids gaining anything at exec. With `capabilities`
/// off, for tests, the program keeps those of its own user namespace.
pub(super) fn drop_all(capabilities: bool) -> io::Result<()> {
    if capabilities {
        // Who is nobody's root has neither, and gains nothing at exec.
        if rustix::thread::capabilities(None)?.effective.contains(CapabilitySet::SETPCAP) {
            kernel::lock_secure_bits()?;
            kernel::empty_bounding_set()?;
        }
        rustix::thread::clear_ambient_capability_set()?;
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets)?;
    } else {
        keep_across_exec()?;
    }
    rustix::thread::set_no_new_privs(true)?;
    // Nobody of the same user may look into this process, and `/proc` hides it.
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

fn keep_across_exec() -> io::Result<()> {
    let mut sets = rustix::thread::capabilities(None)?;
    sets.inheritable = sets.permitted;
    rustix::thread::set_capabilities(None, sets)?;
    for capability in sets.permitted {
        rustix::thread::configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}
