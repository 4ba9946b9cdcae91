//! System calls without a C library: the same code runs inside interpreters that were linked to any of them.

use core::ffi::{c_char, c_int, c_void};

unsafe extern "C" {
    /// The C library's own, since it tells others (`pthread_atfork`) that they are in a child now.
    fn fork() -> c_int;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

pub const EINTR: i32 = 4;

#[cfg(target_arch = "x86_64")]
pub mod numbers {
    pub const VFORK: usize = 58;
    pub const RSEQ: usize = 334;
    pub const READ: usize = 0;
    pub const PWRITE64: usize = 18;
    pub const OPENAT: usize = 257;
    pub const MMAP: usize = 9;
    pub const MPROTECT: usize = 10;
    pub const MUNMAP: usize = 11;
    pub const MREMAP: usize = 25;
    pub const MADVISE: usize = 28;
    pub const CLOSE: usize = 3;
    pub const WRITE: usize = 1;
    pub const DUP3: usize = 292;
    pub const SENDTO: usize = 44;
    pub const RECVMSG: usize = 47;
    pub const EXIT_GROUP: usize = 231;
    pub const WAIT4: usize = 61;
    pub const SETSID: usize = 112;
    pub const SETRESUID: usize = 117;
    pub const SETRESGID: usize = 119;
    pub const CAPSET: usize = 126;
    pub const PRCTL: usize = 157;
    pub const KEYCTL: usize = 250;
    pub const SETNS: usize = 308;
    pub const PRLIMIT: usize = 302;
    pub const SECCOMP: usize = 317;
    pub const LANDLOCK_RESTRICT_SELF: usize = 446;
}

#[cfg(target_arch = "aarch64")]
pub mod numbers {
    pub const CLONE: usize = 220;
    pub const RSEQ: usize = 293;
    pub const READ: usize = 63;
    pub const PWRITE64: usize = 68;
    pub const OPENAT: usize = 56;
    pub const MMAP: usize = 222;
    pub const MPROTECT: usize = 226;
    pub const MUNMAP: usize = 215;
    pub const MREMAP: usize = 216;
    pub const MADVISE: usize = 233;
    pub const CLOSE: usize = 57;
    pub const WRITE: usize = 64;
    pub const DUP3: usize = 24;
    pub const SENDTO: usize = 206;
    pub const RECVMSG: usize = 212;
    pub const EXIT_GROUP: usize = 94;
    pub const WAIT4: usize = 260;
    pub const SETSID: usize = 157;
    pub const SETRESUID: usize = 147;
    pub const SETRESGID: usize = 149;
    pub const CAPSET: usize = 91;
    pub const PRCTL: usize = 167;
    pub const KEYCTL: usize = 219;
    pub const SETNS: usize = 268;
    pub const PRLIMIT: usize = 261;
    pub const SECCOMP: usize = 277;
    pub const LANDLOCK_RESTRICT_SELF: usize = 446;
}

/// One call; the answer, or the error number.
///
/// # Safety
/// As of the call: pointers among the arguments must be what the kernel expects of them.
#[cfg(target_arch = "x86_64")]
pub unsafe fn call(number: usize, a: [usize; 6]) -> Result<usize, i32> {
    let answer: isize;
    // SAFETY: the caller's promise; the kernel changes `rcx` and `r11` only.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => answer,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    decode(answer)
}

/// One call; the answer, or the error number.
///
/// # Safety
/// As of the call: pointers among the arguments must be what the kernel expects of them.
#[cfg(target_arch = "aarch64")]
pub unsafe fn call(number: usize, a: [usize; 6]) -> Result<usize, i32> {
    let answer: isize;
    // SAFETY: the caller's promise.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a[0] as isize => answer,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5],
            options(nostack)
        );
    }
    decode(answer)
}

fn decode(answer: isize) -> Result<usize, i32> {
    if (-4095..0).contains(&answer) { Err(-answer as i32) } else { Ok(answer as usize) }
}

/// A call that takes integers only.
pub fn plain(number: usize, a: usize, b: usize, c: usize) -> Result<usize, i32> {
    // SAFETY: the callers in this folder pass integers to calls that take no pointer.
    unsafe { call(number, [a, b, c, 0, 0, 0]) }
}

pub fn close(fd: i32) {
    let _ = plain(numbers::CLOSE, fd as usize, 0, 0);
}

pub fn exit(code: i32) -> ! {
    loop {
        let _ = plain(numbers::EXIT_GROUP, code as usize, 0, 0);
    }
}

/// The child's number in the parent, 0 in the child.
pub fn split() -> Result<i32, i32> {
    // SAFETY: the callers have one thread, or libraries that take part in `pthread_atfork`.
    match unsafe { fork() } {
        -1 => Err(11),
        pid => Ok(pid),
    }
}

/// Does `work` in a child that borrows this process's memory and stack, while this process waits: no page table is
/// copied. The child must not come back from `work`, but a copy that it makes of itself may, and gets 0. The child's
/// number in this process, once the child has ended.
///
/// # Safety
/// This process has one thread, and what `work` changes in memory it may change.
#[cfg(target_arch = "x86_64")]
pub unsafe fn lend(work: extern "C" fn(*const c_void), what: *const c_void) -> Result<i32, i32> {
    let answer: isize;
    // SAFETY: the child only pushes below this frame, so this process finds its stack as it was; the kernel changes
    // `rcx` and `r11` only, and `work` preserves `r12` and `r13`.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov rdi, r13",
            "call r12",
            "xor eax, eax",
            "2:",
            inlateout("rax") numbers::VFORK as isize => answer,
            in("r12") work, in("r13") what,
            clobber_abi("C"),
        );
    }
    decode(answer).map(|pid| pid as i32)
}

/// Does `work` in a child that borrows this process's memory and stack, while this process waits: no page table is
/// copied. The child must not come back from `work`, but a copy that it makes of itself may, and gets 0. The child's
/// number in this process, once the child has ended.
///
/// # Safety
/// This process has one thread, and what `work` changes in memory it may change.
#[cfg(target_arch = "aarch64")]
pub unsafe fn lend(work: extern "C" fn(*const c_void), what: *const c_void) -> Result<i32, i32> {
    // CLONE_VM, CLONE_VFORK, SIGCHLD.
    const FLAGS: isize = 0x100 | 0x4000 | 17;
    let answer: isize;
    // SAFETY: the child only pushes below this frame, so this process finds its stack as it was; `work` preserves
    // `x20` and `x21`.
    unsafe {
        core::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x0, x21",
            "blr x20",
            "mov x0, #0",
            "2:",
            in("x8") numbers::CLONE,
            inlateout("x0") FLAGS => answer,
            in("x1") 0, in("x2") 0, in("x3") 0, in("x4") 0,
            in("x20") work, in("x21") what,
            clobber_abi("C"),
        );
    }
    decode(answer).map(|pid| pid as i32)
}

/// The C library's area for restartable sequences (rseq(2)), if it has one, as glibc has since 2.35. Looked up before the
/// fork, since a look-up goes through all libraries.
pub fn sequences() -> Option<usize> {
    // SAFETY: names are C strings, and a library that has them has a distance and a size there (rseq in its manual).
    unsafe {
        let offset = dlsym(core::ptr::null_mut(), c"__rseq_offset".as_ptr()).cast::<isize>();
        let size = dlsym(core::ptr::null_mut(), c"__rseq_size".as_ptr()).cast::<u32>();
        let has = !offset.is_null() && !size.is_null() && *size > 0;
        has.then(|| thread_pointer().wrapping_add_signed(*offset))
    }
}

/// Registers that area again: the kernel forgets it when memory is lent, and the library does not know.
pub fn renew_sequences(area: usize) {
    const BYTES: usize = 32;
    const SIGNATURE: usize = if cfg!(target_arch = "x86_64") { 0x5305_3053 } else { 0xd428_bc00 };
    // SAFETY: the area is this thread's own, and the library's for this.
    let _ = unsafe { call(numbers::RSEQ, [area, BYTES, 0, SIGNATURE, 0, 0]) };
}

fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads where the C library keeps what belongs to this thread.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        core::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly));
        #[cfg(target_arch = "aarch64")]
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, nomem));
    }
    pointer
}

/// Waits for a child.
pub fn bury(pid: i32) {
    while plain(numbers::WAIT4, pid as usize, 0, 0) == Err(EINTR) {}
}

#[repr(C)]
struct Slice {
    base: *mut c_void,
    length: usize,
}

/// `struct msghdr` as the kernel reads it.
#[repr(C)]
struct Head {
    name: *mut c_void,
    name_length: u32,
    slices: *mut Slice,
    slice_count: usize,
    control: *mut c_void,
    control_length: usize,
    flags: u32,
}

pub const MAX_FDS: usize = 24;
const CONTROL_HEAD: usize = 16;

/// Ancillary data, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; CONTROL_HEAD + 4 * MAX_FDS]);

/// One message with descriptors.
pub struct Message {
    pub length: usize,
    pub fds: [i32; MAX_FDS],
    pub fd_count: usize,
}

/// Waits for one message; its bytes go to `into`. Descriptors are closed at exec.
pub fn receive(socket: i32, into: &mut [u8]) -> Result<Message, i32> {
    const CMSG_CLOEXEC: usize = 0x4000_0000;
    let mut control = Control([0; CONTROL_HEAD + 4 * MAX_FDS]);
    let mut slice = Slice { base: into.as_mut_ptr().cast(), length: into.len() };
    let mut head = Head {
        name: core::ptr::null_mut(),
        name_length: 0,
        slices: &raw mut slice,
        slice_count: 1,
        control: control.0.as_mut_ptr().cast(),
        control_length: control.0.len(),
        flags: 0,
    };
    let length = loop {
        // SAFETY: `head` and all that it points to outlive the call and are as large as it says.
        match unsafe {
            call(numbers::RECVMSG, [socket as usize, &raw mut head as usize, CMSG_CLOEXEC, 0, 0, 0])
        } {
            Err(EINTR) => {}
            other => break other?,
        }
    };
    let mut message = Message { length, fds: [-1; MAX_FDS], fd_count: 0 };
    // One `SCM_RIGHTS` (1) of `SOL_SOCKET` (1), or nothing.
    let word = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&control.0[at..at + 4]);
        i32::from_ne_bytes(bytes)
    };
    if head.control_length >= CONTROL_HEAD && word(8) == 1 && word(12) == 1 {
        let bytes = (word(0) as usize).saturating_sub(CONTROL_HEAD).min(4 * MAX_FDS);
        message.fd_count = bytes / 4;
        for index in 0..message.fd_count {
            message.fds[index] = word(CONTROL_HEAD + 4 * index);
        }
    }
    Ok(message)
}

/// Sends one message without waiting.
pub fn send(socket: i32, bytes: &[u8]) -> Result<usize, i32> {
    const NOSIGNAL_DONTWAIT: usize = 0x4040;
    // SAFETY: the bytes outlive the call.
    unsafe {
        call(
            numbers::SENDTO,
            [socket as usize, bytes.as_ptr() as usize, bytes.len(), NOSIGNAL_DONTWAIT, 0, 0],
        )
    }
}

/// What compiled code of the core library refers to and, without unwinding, never calls.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
