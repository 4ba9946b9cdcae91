//! Giving a filter to the kernel.

use std::io;

/// Binds the calling thread and all that it starts from now on. Sets `no_new_privs` first. Allocates nothing,
/// so it may run between fork and exec.
///
/// # Errors
/// What the kernel answered; the filter is then not installed.
pub fn install(program: &[libc::sock_filter]) -> io::Result<()> {
    let Ok(len) = u16::try_from(program.len()) else {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    };
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: needed because no safe wrapper sets either without allocating. Both calls only read their
    // arguments; `program` and what it points to outlive the second, and the kernel copies the filter without
    // writing to it.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
    };
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}
