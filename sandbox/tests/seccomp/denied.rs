//! Denied calls made for real (security checks 18, 19, 20, 25, 26, 28, 29, 30, 31), with the filter alone in
//! the way.

use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicU64;

use libc::{EAFNOSUPPORT, EINVAL, ENOPROTOOPT, ENOSYS, ENOTTY, EOPNOTSUPP, EPERM, EPROTONOSUPPORT};
use sandbox::seccomp::{Action, Arch, Network, Policy, SYSCALLS};

use crate::child::{Ended, call, confined};

fn function() -> &'static Policy {
    Policy::function(Network::Loopback)
}

/// `uretprobe` and `uprobe` of x86: newer kernels let them past every filter, and kill whoever calls them
/// outside the kernel's own trampoline.
const UNFILTERABLE: &[u32] = if cfg!(target_arch = "x86_64") { &[335, 336] } else { &[] };

/// Check 29: each number that is refused whatever its arguments, made once.
#[test]
fn every_refused_number_is_refused() {
    for policy in crate::policies() {
        let refused: Vec<(u32, u16)> = (0..=1023)
            .filter(|number| !UNFILTERABLE.contains(number))
            .filter_map(|number| match policy.decide(Arch::NATIVE, number, &[0; 6]) {
                Action::Errno(errno) => Some((number, errno)),
                _ => None,
            })
            .collect();
        assert!(refused.len() > 600);
        let (answers, ended) =
            confined(policy, refused.len(), |i| call(libc::c_long::from(refused[i].0), [0; 6]));
        assert_eq!(ended, Ended::Exited(0), "{}", policy.name);
        for ((number, errno), answer) in refused.iter().zip(answers) {
            let name = SYSCALLS.iter().find(|call| call.number(Arch::NATIVE) == Some(*number));
            let name = name.map_or("unknown", |call| call.name);
            assert_eq!(answer, -i64::from(*errno), "{}: {number} {name}", policy.name);
        }
    }
}

const FAMILIES: std::ops::RangeInclusive<i32> = 0..=45;
const TYPES: [i32; 9] = [0, 1, 2, 3, 4, 5, 6, 10, 1 | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK];
const PROTOCOLS: [i32; 12] = [0, 1, 2, 6, 17, 58, 115, 132, 136, 255, 256, 262];
const MADE: i64 = 0;

/// The golden table of check 18: which sockets can be had, and what the others answer.
fn golden_socket(policy: &Policy, family: i32, kind: i32, protocol: i32) -> i64 {
    let plain = kind & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
    let routed = std::ptr::eq(policy, Policy::function(Network::Routed));
    let bare = std::ptr::eq(policy, Policy::bare());
    match (family, plain, protocol) {
        (libc::AF_UNIX, ..) | (_, 2, _) if bare => -i64::from(EAFNOSUPPORT),
        (libc::AF_INET | libc::AF_INET6, 1, _) if bare && protocol != 0 && protocol != 6 => {
            -i64::from(EPROTONOSUPPORT)
        }
        (libc::AF_UNIX, 1 | 2, 0 | 1) => MADE,
        (libc::AF_INET | libc::AF_INET6, 1, 0 | 6) => MADE,
        (libc::AF_INET | libc::AF_INET6, 2, 0 | 17) => MADE,
        (libc::AF_NETLINK, 2 | 3, 0) if routed => MADE,
        (libc::AF_UNIX | libc::AF_INET | libc::AF_INET6, 1 | 2, _) => -i64::from(EPROTONOSUPPORT),
        _ => -i64::from(EAFNOSUPPORT),
    }
}

fn golden_pair(family: i32, kind: i32, protocol: i32) -> i64 {
    match family {
        libc::AF_UNIX => golden_socket(function(), family, kind, protocol),
        _ => -i64::from(EAFNOSUPPORT),
    }
}

fn socket(family: i32, kind: i32, protocol: i32) -> i64 {
    let fd = call(libc::SYS_socket, [family as usize, kind as usize, protocol as usize, 0, 0, 0]);
    if fd < 0 {
        return fd;
    }
    call(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0])
}

fn socketpair(family: i32, kind: i32, protocol: i32) -> i64 {
    let mut pair = [0_i32; 2];
    let arguments = [family as usize, kind as usize, protocol as usize, pair.as_mut_ptr() as usize, 0, 0];
    let answer = call(libc::SYS_socketpair, arguments);
    if answer == 0 {
        for fd in pair {
            call(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]);
        }
    }
    answer
}

#[test]
fn only_these_sockets_can_be_had() {
    let all: Vec<(i32, i32, i32)> = FAMILIES
        .flat_map(|family| TYPES.map(|kind| (family, kind)))
        .flat_map(|(family, kind)| PROTOCOLS.map(|protocol| (family, kind, protocol)))
        .collect();
    let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    for policy in [function(), Policy::function(Network::Routed), Policy::bare()] {
        let (answers, ended) = confined(policy, all.len() * 2, |i| {
            let (family, kind, protocol) = all[i / 2];
            if i % 2 == 0 { socket(family, kind, protocol) } else { socketpair(family, kind, protocol) }
        });
        assert_eq!(ended, Ended::Exited(0));
        for (&(family, kind, protocol), answers) in all.iter().zip(answers.chunks(2)) {
            if family == libc::AF_INET6 && !has_ipv6 {
                continue;
            }
            let golden = [golden_socket(policy, family, kind, protocol), golden_pair(family, kind, protocol)];
            assert_eq!(answers, golden, "{} family {family} type {kind:#x} protocol {protocol}", policy.name);
        }
    }
}

/// One thing to try under the function's filter, and the error that must come.
struct Attempt {
    name: &'static str,
    number: libc::c_long,
    arguments: [usize; 6],
    wanted: i32,
}

const fn attempt(name: &'static str, number: libc::c_long, arguments: [usize; 6], wanted: i32) -> Attempt {
    Attempt { name, number, arguments, wanted }
}

fn check(attempts: &[Attempt]) {
    check_under(function(), attempts);
}

fn check_under(policy: &Policy, attempts: &[Attempt]) {
    let (answers, ended) =
        confined(policy, attempts.len(), |i| call(attempts[i].number, attempts[i].arguments));
    assert_eq!(ended, Ended::Exited(0));
    for (attempt, answer) in attempts.iter().zip(answers) {
        assert_eq!(answer, -i64::from(attempt.wanted), "{}", attempt.name);
    }
}

#[test]
fn io_uring_looks_unimplemented() {
    let parameters = [0_u8; 120];
    let parameters = parameters.as_ptr() as usize;
    check(&[
        attempt("setup", libc::SYS_io_uring_setup, [8, parameters, 0, 0, 0, 0], ENOSYS),
        attempt("enter", libc::SYS_io_uring_enter, [0, 1, 1, 0, 0, 0], ENOSYS),
        attempt("register", libc::SYS_io_uring_register, [0, 0, 0, 0, 0, 0], ENOSYS),
    ]);
}

/// Check 19: a ring that was made outside. Its memory can be mapped, but nothing that is put into it is ever taken up:
/// neither a socket of a refused family nor a file.
#[test]
fn an_inherited_ring_is_of_no_use() {
    let Some(ring) = Ring::make() else {
        eprintln!("not run: this kernel makes no ring even without the filter");
        return;
    };
    assert!(ring.submit_socket() && ring.answered() == 1, "without the filter the ring works");
    let (answers, ended) = confined(function(), 5, |i| match i {
        0 => i64::from(ring.submit_socket()),
        1 => call(libc::SYS_io_uring_enter, [ring.fd, 1, 1, 1, 0, 0]),
        2 => call(libc::SYS_io_uring_register, [ring.fd, 12, 0, 0, 0, 0]),
        3 => call(libc::SYS_mmap, [0, 4096, 3, libc::MAP_SHARED as usize, ring.fd, 0]).min(0),
        _ => i64::from(ring.answered()),
    });
    assert_eq!(ended, Ended::Exited(0));
    assert_eq!(answers, [0, -i64::from(ENOSYS), -i64::from(ENOSYS), 0, 1], "nothing was answered");
}

/// A ring of io_uring (io_uring(7)), by hand, mapped by this process and by the children that it forks.
struct Ring {
    fd: usize,
    rings: usize,
    entries: usize,
    offsets: [u32; 30],
}

impl Ring {
    const SQ_TAIL: usize = 11;
    const SQ_ARRAY: usize = 16;
    const CQ_TAIL: usize = 21;

    /// `None` where the kernel or the machine's settings have none.
    fn make() -> Option<Ring> {
        let mut offsets = [0_u32; 30];
        let fd = call(libc::SYS_io_uring_setup, [4, offsets.as_mut_ptr() as usize, 0, 0, 0, 0]);
        let fd = usize::try_from(fd).ok()?;
        let map = |offset| {
            let shared = (libc::MAP_SHARED | libc::MAP_POPULATE) as usize;
            usize::try_from(call(libc::SYS_mmap, [0, 4096, 3, shared, fd, offset])).ok()
        };
        Some(Ring { fd, rings: map(0)?, entries: map(0x1000_0000)?, offsets })
    }

    /// A word of the rings' shared page.
    fn word(&self, offset: u32) -> &std::sync::atomic::AtomicU32 {
        // SAFETY: the kernel has said that this word lies there, in a mapping that is never given back.
        unsafe { &*((self.rings + offset as usize) as *const std::sync::atomic::AtomicU32) }
    }

    /// Asks for a socket; whether that was taken up.
    fn submit_socket(&self) -> bool {
        const IORING_OP_SOCKET: u8 = 45;
        let mut entry = [0_u8; 64];
        (entry[0], entry[4]) = (IORING_OP_SOCKET, libc::AF_INET as u8);
        entry[8] = libc::SOCK_STREAM as u8;
        let tail = self.word(self.offsets[Self::SQ_TAIL]);
        let next = tail.load(std::sync::atomic::Ordering::Acquire);
        let slot = (next % 4) as usize;
        // SAFETY: four entries of 64 bytes lie in the mapping, which is never given back.
        unsafe { ((self.entries + slot * 64) as *mut [u8; 64]).write_volatile(entry) };
        self.word(self.offsets[Self::SQ_ARRAY] + 4 * slot as u32)
            .store(slot as u32, std::sync::atomic::Ordering::Release);
        tail.store(next + 1, std::sync::atomic::Ordering::Release);
        call(libc::SYS_io_uring_enter, [self.fd, 1, 1, 1, 0, 0]) == 1
    }

    /// How many answers there are.
    fn answered(&self) -> u32 {
        self.word(self.offsets[Self::CQ_TAIL]).load(std::sync::atomic::Ordering::Acquire)
    }
}

#[test]
fn namespaces_are_out_of_reach() {
    let new = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ];
    let mut attempts = Vec::new();
    for flag in new {
        let flag = flag as usize;
        attempts.push(attempt("unshare", libc::SYS_unshare, [flag, 0, 0, 0, 0, 0], EPERM));
        attempts.push(attempt("setns", libc::SYS_setns, [0, flag, 0, 0, 0, 0], EPERM));
        let chld = libc::SIGCHLD as usize;
        attempts.push(attempt("clone", libc::SYS_clone, [flag | chld, 0, 0, 0, 0, 0], EPERM));
        let upper = 1 << 40;
        attempts.push(attempt("clone", libc::SYS_clone, [flag | upper | chld, 0, 0, 0, 0, 0], EPERM));
    }
    let clone3 = [0_u64, 0, 0, 0, 17, 0, 0, 0];
    let clone3 = clone3.as_ptr() as usize;
    attempts.push(attempt("clone3", libc::SYS_clone3, [clone3, 64, 0, 0, 0, 0], ENOSYS));
    check(&attempts);
}

#[test]
fn ways_into_old_kernel_code_are_shut() {
    let file = tempfile::tempfile().unwrap();
    let (left, _right) = UnixStream::pair().unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let [file, unix, udp, tcp] =
        [file.as_raw_fd(), left.as_raw_fd(), udp.as_raw_fd(), listener.as_raw_fd()].map(|fd| fd as usize);
    let (kind, name, ulp) = (c"rxrpc".as_ptr() as usize, c"x".as_ptr() as usize, c"tls".as_ptr() as usize);
    let two = 2_i32;
    let two = (&raw const two) as usize;
    let vector = [name, 1];
    let vector = vector.as_ptr() as usize;
    let ring = -2_i32 as usize;
    let set = libc::SYS_setsockopt;
    check(&[
        attempt("AF_ALG", libc::SYS_socket, [38, 5, 0, 0, 0, 0], EAFNOSUPPORT),
        attempt("AF_RXRPC", libc::SYS_socket, [33, 2, 2, 0, 0, 0], EAFNOSUPPORT),
        attempt("AF_VSOCK", libc::SYS_socket, [40, 1, 0, 0, 0, 0], EAFNOSUPPORT),
        attempt("AF_PACKET", libc::SYS_socket, [17, 3, 0, 0, 0, 0], EAFNOSUPPORT),
        attempt("AF_XDP", libc::SYS_socket, [44, 3, 0, 0, 0, 0], EAFNOSUPPORT),
        attempt("NETLINK_XFRM", libc::SYS_socket, [16, 3, 6, 0, 0, 0], EAFNOSUPPORT),
        attempt("UDP_ENCAP", set, [udp, 17, 100, two, 4, 0], EPERM),
        attempt("TCP_ULP", set, [tcp, 6, 31, ulp, 4, 0], EPERM),
        attempt("SO_ATTACH_FILTER", set, [udp, 1, 26, two, 16, 0], EPERM),
        attempt("SO_ATTACH_BPF", set, [udp, 1, 50, two, 4, 0], EPERM),
        attempt("SOL_TLS", set, [tcp, 282, 1, two, 4, 0], ENOPROTOOPT),
        attempt("SOL_PACKET", set, [udp, 263, 1, two, 4, 0], ENOPROTOOPT),
        attempt("add_key", libc::SYS_add_key, [kind, name, name, 1, ring, 0], EPERM),
        attempt("request_key", libc::SYS_request_key, [kind, name, 0, ring, 0, 0], EPERM),
        attempt("keyctl", libc::SYS_keyctl, [0, ring, 0, 0, 0, 0], EPERM),
        attempt("splice", libc::SYS_splice, [file, 0, unix, 0, 1, 0], EINVAL),
        attempt("vmsplice", libc::SYS_vmsplice, [unix, vector, 1, 0, 0, 0], EINVAL),
        attempt("tee", libc::SYS_tee, [file, unix, 1, 0, 0, 0], EINVAL),
        attempt("bpf", libc::SYS_bpf, [0, 0, 0, 0, 0, 0], EPERM),
        attempt("perf_event_open", libc::SYS_perf_event_open, [0, 0, 0, 0, 0, 0], EPERM),
        attempt("userfaultfd", libc::SYS_userfaultfd, [0, 0, 0, 0, 0, 0], EPERM),
        attempt("memfd_secret", libc::SYS_memfd_secret, [0, 0, 0, 0, 0, 0], EPERM),
        attempt("remap_file_pages", libc::SYS_remap_file_pages, [0, 0, 0, 0, 0, 0], EPERM),
    ]);
}

#[test]
fn neighbours_and_the_host_are_out_of_reach() {
    let path = c"/tmp/never".as_ptr() as usize;
    let here = -100_i32 as usize;
    let device = (libc::S_IFCHR | 0o600) as usize;
    check(&[
        attempt("ptrace", libc::SYS_ptrace, [0, 0, 0, 0, 0, 0], EPERM),
        attempt("process_vm_readv", libc::SYS_process_vm_readv, [1, 0, 0, 0, 0, 0], EPERM),
        attempt("process_vm_writev", libc::SYS_process_vm_writev, [1, 0, 0, 0, 0, 0], EPERM),
        attempt("pidfd_getfd", libc::SYS_pidfd_getfd, [0, 0, 0, 0, 0, 0], EPERM),
        attempt("kcmp", libc::SYS_kcmp, [1, 1, 0, 0, 0, 0], EPERM),
        attempt("mount", libc::SYS_mount, [0, path, 0, 0, 0, 0], EPERM),
        attempt("open_tree", libc::SYS_open_tree, [here, path, 0, 0, 0, 0], EPERM),
        attempt("chroot", libc::SYS_chroot, [path, 0, 0, 0, 0, 0], EPERM),
        attempt("mknodat", libc::SYS_mknodat, [here, path, device, 0x103, 0, 0], EPERM),
        attempt("fchmodat u+s", libc::SYS_fchmodat, [here, path, 0o4755, 0, 0, 0], EPERM),
        attempt("fchmodat g+s", libc::SYS_fchmodat, [here, path, 0o2755, 0, 0, 0], EPERM),
        attempt("TIOCSTI", libc::SYS_ioctl, [0, 0x5412, path, 0, 0, 0], EPERM),
        attempt("TIOCSTI with upper bits", libc::SYS_ioctl, [0, 0x5412 | (1 << 32), path, 0, 0, 0], EPERM),
        attempt("TIOCLINUX", libc::SYS_ioctl, [0, 0x541c, path, 0, 0, 0], EPERM),
        attempt("name_to_handle_at", libc::SYS_name_to_handle_at, [here, path, 0, 0, 0, 0], EPERM),
        attempt("open_by_handle_at", libc::SYS_open_by_handle_at, [here, path, 0, 0, 0, 0], EPERM),
        attempt("ADDR_NO_RANDOMIZE", libc::SYS_personality, [0x004_0000, 0, 0, 0, 0, 0], EPERM),
        attempt("READ_IMPLIES_EXEC", libc::SYS_personality, [0x040_0000, 0, 0, 0, 0, 0], EPERM),
        attempt("PR_SET_MM", libc::SYS_prctl, [35, 1, 0, 0, 0, 0], EPERM),
        attempt("PR_CAP_AMBIENT", libc::SYS_prctl, [47, 2, 0, 0, 0, 0], EPERM),
        attempt("reboot", libc::SYS_reboot, [0, 0, 0, 0, 0, 0], EPERM),
    ]);
}

/// Without namespaces: a file that the child owns and holds open, and the process that started it.
#[test]
fn without_namespaces_nothing_of_the_users_changes() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"x").unwrap();
    let path = CString::new(file.path().to_str().unwrap()).unwrap();
    let (path, fd) = (path.as_ptr() as usize, file.as_raw_fd() as usize);
    let before = attributes(file.path());
    check_under(Policy::bare(), &of_a_file(path, fd));
    assert_eq!(attributes(file.path()), before);
    check_under(Policy::bare(), &of_a_process());
}

fn attributes(path: &std::path::Path) -> [i64; 6] {
    let about = std::fs::metadata(path).unwrap();
    let [mode, user, group] = [about.mode(), about.uid(), about.gid()].map(i64::from);
    [mode, user, group, about.atime(), about.mtime(), about.ctime()]
}

fn of_a_file(path: usize, fd: usize) -> Vec<Attempt> {
    let here = -100_i32 as usize;
    let empty = c"".as_ptr() as usize;
    let at_empty = libc::AT_EMPTY_PATH as usize;
    let (name, value) = (c"user.x".as_ptr() as usize, c"x".as_ptr() as usize);
    let (own, others) = (-1_i32 as usize, 1);
    let times = TIMES.as_ptr() as usize;
    let flags = NO_FLAGS.as_ptr() as usize;
    vec![
        attempt("fchmodat", libc::SYS_fchmodat, [here, path, 0o777, 0, 0, 0], 0),
        attempt("fchmod", libc::SYS_fchmod, [fd, 0o777, 0, 0, 0, 0], 0),
        attempt("fchmod u+s", libc::SYS_fchmod, [fd, 0o4777, 0, 0, 0, 0], EPERM),
        attempt("fchmodat2", FCHMODAT2, [fd, empty, 0o777, at_empty, 0, 0], 0),
        attempt("fchownat", libc::SYS_fchownat, [here, path, own, own, 0, 0], 0),
        attempt("fchownat of nothing", libc::SYS_fchownat, [fd, empty, others, others, at_empty, 0], 0),
        attempt("fchown", libc::SYS_fchown, [fd, others, others, 0, 0, 0], 0),
        attempt("utimensat", libc::SYS_utimensat, [here, path, times, 0, 0, 0], 0),
        attempt("utimensat, now", libc::SYS_utimensat, [here, path, 0, 0, 0, 0], EPERM),
        attempt("futimens", libc::SYS_utimensat, [fd, 0, times, 0, 0, 0], 0),
        attempt("setxattr", libc::SYS_setxattr, [path, name, value, 1, 0, 0], EOPNOTSUPP),
        attempt("fsetxattr", libc::SYS_fsetxattr, [fd, name, value, 1, 0, 0], EOPNOTSUPP),
        attempt("removexattr", libc::SYS_removexattr, [path, name, 0, 0, 0, 0], EOPNOTSUPP),
        attempt("getxattr", libc::SYS_getxattr, [path, name, 0, 0, 0, 0], EOPNOTSUPP),
        attempt("file_setattr", FILE_SETATTR, [here, path, flags, 24, 0, 0], EPERM),
        attempt("FS_IOC_SETFLAGS", libc::SYS_ioctl, [fd, 0x4008_6602, flags, 0, 0, 0], ENOTTY),
        attempt("FS_IOC_FSSETXATTR", libc::SYS_ioctl, [fd, 0x401c_5820, flags, 0, 0, 0], ENOTTY),
        attempt("inotify_add_watch", libc::SYS_inotify_add_watch, [0, path, 2, 0, 0, 0], EPERM),
        attempt("fanotify_mark", libc::SYS_fanotify_mark, [0, 1, 2, here, path, 0], EPERM),
    ]
}

const FCHMODAT2: libc::c_long = 452;
const FILE_SETATTR: libc::c_long = 469;
static NO_FLAGS: [u64; 4] = [0; 4];
static ROOM: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static TIMES: [u64; 4] = [1_000_000_000, 0, 1_000_000_000, 0];

fn of_a_process() -> Vec<Attempt> {
    let parent = std::process::id() as usize;
    let buffer = ROOM.as_ptr() as usize;
    vec![
        attempt("prlimit64", libc::SYS_prlimit64, [parent, 7, 0, buffer, 0, 0], EPERM),
        attempt("setpriority", libc::SYS_setpriority, [0, parent, 19, 0, 0, 0], EPERM),
        attempt("setpriority of all", libc::SYS_setpriority, [2, 0, 19, 0, 0, 0], EPERM),
        attempt("ioprio_set", libc::SYS_ioprio_set, [1, parent, 0x6000, 0, 0, 0], EPERM),
        attempt("sched_setaffinity", libc::SYS_sched_setaffinity, [parent, 8, buffer, 0, 0, 0], EPERM),
        attempt("sched_setscheduler", libc::SYS_sched_setscheduler, [parent, 3, buffer, 0, 0, 0], EPERM),
        attempt("sched_setparam", libc::SYS_sched_setparam, [parent, buffer, 0, 0, 0, 0], EPERM),
        attempt("sched_setattr", libc::SYS_sched_setattr, [parent, buffer, 0, 0, 0, 0], EPERM),
        attempt("process_madvise", libc::SYS_process_madvise, [0, 0, 0, 0, 0, 0], EPERM),
        attempt("process_mrelease", libc::SYS_process_mrelease, [0, 0, 0, 0, 0, 0], EPERM),
        attempt("migrate_pages", libc::SYS_migrate_pages, [parent, 0, 0, 0, 0, 0], EPERM),
        attempt("move_pages", libc::SYS_move_pages, [parent, 0, 0, 0, 0, 0], EPERM),
        attempt("one's own limits", libc::SYS_prlimit64, [0, 7, 0, buffer, 0, 0], 0),
        attempt("one's own niceness", libc::SYS_setpriority, [0, 0, 19, 0, 0, 0], 0),
    ]
}

/// Check 30: a filter of its own may only add to ours, and nobody may listen to a filter's questions.
#[test]
fn the_filter_cannot_be_loosened() {
    const SET_FILTER: usize = 1;
    const NEW_LISTENER: usize = 8;
    let allow_all = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
    let program = libc::sock_fprog { len: 1, filter: allow_all.as_ptr().cast_mut() };
    let program = (&raw const program) as usize;
    let seccomp = |flags| call(libc::SYS_seccomp, [SET_FILTER, flags, program, 0, 0, 0]);
    let (answers, ended) = confined(function(), 4, |i| match i {
        0 => seccomp(NEW_LISTENER),
        1 => seccomp(0),
        2 => socket(libc::AF_ALG, 5, 0),
        _ => call(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0, 0]),
    });
    assert_eq!(ended, Ended::Exited(0));
    assert_eq!(answers, [-i64::from(EPERM), 0, -i64::from(EAFNOSUPPORT), -i64::from(EPERM)]);
}

/// The unpacker may have memory, but no code and no file in it, and no way out.
#[test]
fn the_unpacker_can_do_next_to_nothing() {
    let path = c"/".as_ptr() as usize;
    let executable = [0, 4096, 5, 0x22, usize::MAX, 0];
    let of_a_file = [0, 4096, 1, 2, 0, 0];
    let attempts = [
        (libc::SYS_execve, [path, 0, 0, 0, 0, 0]),
        (libc::SYS_openat, [-100_i32 as usize, path, 0, 0, 0, 0]),
        (libc::SYS_socket, [1, 1, 0, 0, 0, 0]),
        (libc::SYS_kill, [1, 0, 0, 0, 0, 0]),
        (libc::SYS_clone, [17, 0, 0, 0, 0, 0]),
        (libc::SYS_mmap, executable),
        (libc::SYS_mmap, of_a_file),
        (libc::SYS_mprotect, [0, 4096, 4, 0, 0, 0]),
        (libc::SYS_ioctl, [0, 0x5401, 0, 0, 0, 0]),
        (libc::SYS_prctl, [22, 0, 0, 0, 0, 0]),
    ];
    let (answers, ended) =
        confined(Policy::unpacker(), attempts.len(), |i| call(attempts[i].0, attempts[i].1));
    assert_eq!(ended, Ended::Exited(0));
    assert_eq!(answers, [-i64::from(EPERM); 10]);
}

/// Check 28. `getpid` by the 32-bit gate and by its x32 number.
#[cfg(target_arch = "x86_64")]
mod foreign {
    use super::*;

    fn by_interrupt() -> i64 {
        const GETPID_32: u64 = 20;
        let answer: u64;
        // SAFETY: the 32-bit gate reads and writes registers only for this call; all that it may clobber is
        // declared.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("rax") GETPID_32 => answer,
                lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _);
        }
        answer as i64
    }

    #[test]
    fn the_32_bit_gate_kills() {
        let (_, ended) = confined(function(), 1, |_| by_interrupt());
        if ended == Ended::Signalled(libc::SIGSEGV) {
            eprintln!("skipped: this kernel has no 32-bit gate");
            return;
        }
        assert_eq!(ended, Ended::Signalled(libc::SIGSYS));
    }

    #[test]
    fn x32_numbers_kill() {
        for number in [0x4000_0000 + libc::SYS_getpid, 0x4000_0000 + 512, 0x4000_0000 + 1023] {
            let (_, ended) = confined(function(), 1, |_| call(number, [0; 6]));
            assert_eq!(ended, Ended::Signalled(libc::SIGSYS), "{number:#x}");
        }
    }
}
