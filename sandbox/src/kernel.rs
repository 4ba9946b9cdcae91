//! System calls that no crate wraps: processes with namespaces, mount attributes, keyrings, capabilities.

use rustix::process::Pid;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Mount attributes of `mount_setattr(2)`.
pub(crate) const ATTR_RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
pub(crate) const ATTR_NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
pub(crate) const ATTR_NODEV: u64 = libc::MOUNT_ATTR_NODEV;
pub(crate) const ATTR_NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// Flags of `clone3(2)` that do not fit the C library's types.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a fork this is.
pub(crate) enum Forked {
    /// The old process.
    Parent {
        /// The child, as seen from here.
        pid: Pid,
        /// A descriptor of it.
        pidfd: OwnedFd,
    },
    /// The new process.
    Child,
}

/// Forks with `flags` of `clone3(2)`; signal handlers do not cross. With `cgroup`, a directory of a v2 hierarchy,
/// the child is born in it.
///
/// # Safety
/// The process must have one thread: another thread's locks would stay locked in the child for ever.
pub(crate) unsafe fn fork(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    let mut pidfd: RawFd = -1;
    // SAFETY: `clone_args` is plain integers, for which zero is valid and means "not used".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64 | CLONE_CLEAR_SIGHAND;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child works on copies of memory; `args` and `pidfd` outlive the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    if pid < 0
        && flags == 0
        && cgroup.is_none()
        && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS)
    {
        // SAFETY: the caller's promise.
        return unsafe { fork_as_of_old() };
    }
    match parent_or_child(pid)? {
        None => Ok(Forked::Child),
        // SAFETY: the kernel has just stored a new descriptor there, which nothing else owns.
        Some(pid) => Ok(Forked::Parent { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// Where a container hides the newer call, for who needs no flags.
///
/// # Safety
/// As of [`fork`].
unsafe fn fork_as_of_old() -> io::Result<Forked> {
    // SAFETY: the caller's promise.
    match unsafe { fork_plainly() }? {
        None => Ok(Forked::Child),
        Some(pid) => {
            let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
            Ok(Forked::Parent { pid, pidfd })
        }
    }
}

/// Forks by the old call, which filters can look into; `None` in the child.
///
/// # Safety
/// As of [`fork`].
pub(crate) unsafe fn fork_plainly() -> io::Result<Option<Pid>> {
    // SAFETY: the caller's promise; the child works on copies of memory.
    parent_or_child(unsafe { libc::fork() }.into())
}

fn parent_or_child(pid: libc::c_long) -> io::Result<Option<Pid>> {
    check(pid)?;
    Ok(i32::try_from(pid).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw))
}

/// Sets attributes of a mount and of all below it, and makes them private.
pub(crate) fn set_mount_attributes(mount: BorrowedFd<'_>, set: u64, recursive: bool) -> io::Result<()> {
    let attributes =
        libc::mount_attr { attr_set: set, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string and the structure is of the size that is passed.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(answer)
}

/// Joins a fresh, anonymous session keyring, leaving the inherited one.
pub(crate) fn join_new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is passed.
    check(unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>())
    })
}

/// Removes every capability from the bounding set.
pub(crate) fn empty_bounding_set() -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: passes integers only.
        let answer = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability as libc::c_ulong, 0, 0, 0) };
        match check(answer.into()) {
            // Past the last capability that this kernel knows.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && capability > 0 => break,
            other => other?,
        }
    }
    Ok(())
}

/// Sets and locks the secure bits, so that no identity of user 0 or change of user ever brings capabilities.
pub(crate) fn lock_secure_bits() -> io::Result<()> {
    // NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE on; KEEP_CAPS off; all four locked (linux/securebits.h).
    const BITS: libc::c_ulong = 0b1110_1111;
    // SAFETY: passes integers only.
    check(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, BITS, 0, 0, 0) }.into())
}

/// Keeps capabilities whatever the effective user.
pub(crate) fn keep_capabilities_across_users() -> io::Result<()> {
    const NO_SETUID_FIXUP: libc::c_ulong = 1 << 2;
    // SAFETY: passes integers only.
    check(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0) }.into())
}

/// Marks every descriptor from `first` on to be closed at exec, or closes it now.
pub(crate) fn close_from(first: RawFd, last: RawFd, at_exec: bool) -> io::Result<()> {
    let flags = if at_exec { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: callers name ranges in which they own no descriptor that they will use again.
    check(unsafe { libc::syscall(libc::SYS_close_range, first as libc::c_uint, last as libc::c_uint, flags) })
}

/// Makes `number` a duplicate of a descriptor, open across exec.
pub(crate) fn duplicate_to(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: callers own `number` or nobody does.
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into())
}

/// Sets all signals to their default and blocks none.
pub(crate) fn reset_signals() -> io::Result<()> {
    // The kernel's own `sigaction`: handler, flags, restorer, mask; zero is the default disposition. The C library's
    // call would refuse the two signals that it keeps for itself.
    let default = [0_usize; 4];
    for signal in 1..=64 {
        // SAFETY: the default disposition runs no code of ours, and the structure is as large as the kernel reads.
        // Signals that may not be changed answer with an error.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<usize>(),
                8_usize,
            )
        };
    }
    // SAFETY: a zeroed signal set is valid memory, and sigemptyset initialises it.
    let answer = unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())
    };
    check(answer.into())
}

/// Sets some signals to their default; the others must be there already.
pub(crate) fn default_signals(signals: &[i32]) {
    for signal in signals {
        // SAFETY: the default disposition runs no code of ours.
        unsafe { libc::signal(*signal, libc::SIG_DFL) };
    }
}

/// Ignores a signal.
pub(crate) fn ignore_signal(signal: i32) {
    // SAFETY: ignoring runs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Replaces this program. Returns only on failure.
pub(crate) fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both arrays end in null and all strings outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Brings the loopback interface of the current network namespace up.
pub(crate) fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: `ifreq` is integers and byte arrays, for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an `ifreq` with the name and the flags set.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into())
}

/// Version of the Landlock interface; 0 where the kernel has none.
pub(crate) fn landlock_version() -> i32 {
    const LANDLOCK_CREATE_RULESET_VERSION: libc::c_uint = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the kernel takes no memory and only answers its version.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0, LANDLOCK_CREATE_RULESET_VERSION)
    };
    i32::try_from(version).unwrap_or(0).max(0)
}

/// Processor time of all threads of a process, living and dead, in nanoseconds.
pub(crate) fn process_cpu_ns(pid: i32) -> io::Result<u64> {
    // Kernel encoding of a per-process clock (linux/posix-timers.h): inverted pid, then CPUCLOCK_SCHED.
    let clock = (!pid << 3) | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) }.into())?;
    Ok(time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

/// Ends this process at once, running nothing more of the program.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: never returns and touches no memory.
    unsafe { libc::_exit(code) }
}

fn check(answer: libc::c_long) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
