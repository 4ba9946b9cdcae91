//! One unpacking from end to end, in a process of its own so that the launcher never waits for a disk: it
//! makes the provisional directory, has the jailed child fill it, and renames.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use super::archive::Archive;
use super::child::{Child, Ended};
use super::extract;
use super::jail::{CPU_SECONDS, Jail, Layers};
use super::place::Place;
use super::{UnpackError, UnpackLimits, Unpacked};
use crate::seccomp::{Arch, Policy, compile};

/// Unpacks an archive of `bytes` bytes. Nothing is left when it fails.
pub(super) fn run(
    zip: File,
    bytes: u64,
    dest: &Path,
    limits: &UnpackLimits,
) -> Result<Unpacked, UnpackError> {
    let failed = |error: io::Error| UnpackError::machine("starting to unpack", &error);
    let place = Place::make(dest)?;
    let jail = Jail {
        layers: Layers::ALL,
        filter: compile(Policy::unpacker(), Arch::NATIVE),
        file_bytes: limits.unzipped_bytes,
        memory_bytes: memory_bytes().map_err(failed)?,
        owner: place.owner().map_err(failed)?,
    };
    let destination = place.open().map_err(failed)?;
    let keep = [zip.as_raw_fd(), destination.as_raw_fd()];
    let archive = Archive::new(zip, bytes);
    let (child, answer) = Child::fork(&keep, |answer| {
        let result = jail
            .enter(destination)
            .map_err(|error| UnpackError::machine("confining the unpacker", &error))
            .and_then(|root| extract::extract(&archive, root.as_fd(), limits));
        tell(answer, &result);
    })
    .map_err(failed)?;
    let unpacked = hear(child, answer)?;
    place.rename()?;
    Ok(unpacked)
}

/// Sends a result. When that fails the other side hears nothing, which it takes for a failure.
pub(super) fn tell(answer: &mut PipeWriter, result: &Result<Unpacked, UnpackError>) {
    if let Ok(bytes) = serde_json::to_vec(result) {
        let _ = answer.write_all(&bytes);
    }
}

/// Waits for a child's result and for its end. What it says is bounded, since it may have been taken over by
/// what it unpacked.
pub(super) fn hear(child: Child, answer: PipeReader) -> Result<Unpacked, UnpackError> {
    const LONGEST_ANSWER_BYTES: u64 = 16 * 1024;
    let mut bytes = Vec::new();
    let read = answer.take(LONGEST_ANSWER_BYTES).read_to_end(&mut bytes);
    let ended = child.end();
    read.map_err(|error| UnpackError::machine("hearing from the unpacker", &error))?;
    if bytes.is_empty() {
        return Err(died(ended));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| UnpackError::Failed(format!("the unpacker spoke nonsense: {error}")))?
}

/// Why a child ended without an answer.
fn died(ended: Ended) -> UnpackError {
    match ended {
        Ended::Signal(libc::SIGXCPU) => {
            let why =
                format!("it takes more than the {CPU_SECONDS} seconds of processor time allowed to unpack");
            UnpackError::archive(why)
        }
        Ended::Signal(signal) => UnpackError::Failed(format!("the unpacker was ended by signal {signal}")),
        Ended::Code(code) => {
            UnpackError::Failed(format!("the unpacker ended with status {code} and no answer"))
        }
        Ended::Unknown => UnpackError::Failed("the unpacker ended without an answer".to_owned()),
    }
}

/// Address space for the child: what this process has, since a fork keeps it, and what unpacking needs.
pub(super) fn memory_bytes() -> io::Result<u64> {
    const NEEDED_BYTES: u64 = 512 * 1024 * 1024;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let size_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let size_kib = size_kib.ok_or_else(|| io::Error::other("/proc/self/status has no VmSize"))?;
    Ok(size_kib * 1024 + NEEDED_BYTES)
}
