//! Room on the disk: how much there is, and who may use the last of it.

use std::io;
use std::path::Path;

/// Kept free for commits that only delete and for the engine's own housekeeping; nothing else may use it.
pub(crate) const RESERVE_BYTES: u64 = 64 * 1024 * 1024;
/// Below this not even deletes are taken, since the engine itself could not write them out.
const LAST_BYTES: u64 = 24 * 1024 * 1024;
/// Logs stop earlier than durable data does.
pub(crate) const LOSSY_RESERVE_BYTES: u64 = 96 * 1024 * 1024;

/// Bytes that an unprivileged process can still write to the file system that holds `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether `bytes` may be written where `free` are left.
pub(crate) fn has_room(free: u64, bytes: u64, only_deletes: bool) -> bool {
    let floor = if only_deletes { LAST_BYTES } else { RESERVE_BYTES };
    free.saturating_sub(bytes) >= floor
}
