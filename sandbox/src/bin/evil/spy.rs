//! Seeing what belongs to others.

use crate::{name, tell, tell_call};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

/// Takes hold of other processes: the first process inside, and guessed ones of the host.
pub(crate) fn debug(pids: &[&str]) {
    for pid in ["1"].iter().chain(pids) {
        let number: libc::pid_t = pid.parse().expect("a pid");
        let mut byte = 0_u8;
        let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let remote = libc::iovec { iov_base: debug as *mut libc::c_void, iov_len: 1 };
        // SAFETY: both vectors are valid; all else are integers.
        unsafe {
            tell_call(&format!("attach {pid}"), libc::ptrace(libc::PTRACE_ATTACH, number, 0, 0));
            tell_call(&format!("seize {pid}"), libc::ptrace(libc::PTRACE_SEIZE, number, 0, 0));
            let read = libc::process_vm_readv(number, &raw const local, 1, &raw const remote, 1, 0);
            tell_call(&format!("read memory {pid}"), read as i64);
            let written = libc::process_vm_writev(number, &raw const local, 1, &raw const remote, 1, 0);
            tell_call(&format!("write memory {pid}"), written as i64);
            let pidfd = libc::syscall(libc::SYS_pidfd_open, number, 0);
            tell_call(&format!("take descriptor {pid}"), libc::syscall(libc::SYS_pidfd_getfd, pidfd, 0, 0));
            let own = libc::getpid();
            tell_call(&format!("compare {pid}"), libc::syscall(libc::SYS_kcmp, own, number, 0, 0, 0));
        }
        for file in ["mem", "environ", "maps", "fd", "root", "cwd", "auxv"] {
            let path = format!("/proc/{pid}/{file}");
            tell(&path, &File::open(&path).and_then(|mut file| file.read(&mut [0; 8])).map(|_| ()));
        }
    }
}

/// Opens what tells of the machine.
pub(crate) fn read_system() {
    let paths = [
        "/proc/kallsyms",
        "/proc/kcore",
        "/proc/keys",
        "/proc/key-users",
        "/proc/timer_list",
        "/proc/config.gz",
        "/proc/cmdline",
        "/proc/modules",
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
        "/proc/net/tcp",
        "/proc/bus",
        "/proc/1/environ",
        "/proc/1/root",
        "/proc/1/cwd",
        "/proc/1/fd",
        "/proc/1/maps",
        "/proc/1/status",
        "/sys",
        "/sys/kernel",
        "/sys/fs/cgroup",
        "/root",
        "/etc/shadow",
        "/etc/machine-id",
        "/boot",
        "/dev/mem",
        "/dev/kmsg",
        "/dev/vda",
        "/dev/pts",
        "/dev/tty",
    ];
    for path in paths {
        tell(path, &fs::metadata(path).and_then(|_| File::open(path)).map(|_| ()));
    }
}

/// Reads every file that can be read outside `/usr`, looking for a text (given reversed, so as not to find itself).
pub(crate) fn search(reversed: &str) {
    let canary: String = reversed.chars().rev().collect();
    let mut found = 0;
    let mut read = 0;
    let mut folders = vec![Path::new("/").to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            let skipped =
                ["/usr", "/etc/alternatives", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
            if skipped.iter().any(|skipped| path == Path::new(skipped)) || kind.is_symlink() {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = Vec::new();
            let whole = File::open(&path).and_then(|file| file.take(1 << 20).read_to_end(&mut bytes));
            read += usize::from(whole.is_ok());
            if bytes.windows(canary.len()).any(|window| window == canary.as_bytes()) {
                println!("found: {}", path.display());
                found += 1;
            }
        }
    }
    println!("files with it: {found}");
    println!("files read: {}", if read > 20 { "many" } else { "few" });
}

/// Looks for a key in all keyrings, and tries to make one.
pub(crate) fn keys(wanted: &str) {
    let wanted = CString::new(wanted).expect("a name");
    let nothing = std::ptr::null::<libc::c_char>();
    const SESSION: i64 = -3;
    const USER: i64 = -4;
    const KEYCTL_SEARCH: i64 = 10;
    for (ring, number) in [("session", SESSION), ("user", USER)] {
        // SAFETY: the strings are valid C strings.
        let key = unsafe {
            libc::syscall(libc::SYS_keyctl, KEYCTL_SEARCH, number, c"user".as_ptr(), wanted.as_ptr(), 0)
        };
        tell_call(&format!("search {ring}"), key);
    }
    // SAFETY: as above.
    unsafe {
        let key = libc::syscall(libc::SYS_request_key, c"user".as_ptr(), wanted.as_ptr(), nothing, 0);
        tell_call("request", key);
        let key =
            libc::syscall(libc::SYS_add_key, c"user".as_ptr(), c"evil".as_ptr(), c"x".as_ptr(), 1, SESSION);
        tell_call("add", key);
    }
}

/// Connects to sockets of the host.
pub(crate) fn sockets(abstract_name: &str, path: &str) {
    let address = SocketAddr::from_abstract_name(abstract_name).expect("a name");
    tell("abstract", &UnixStream::connect_addr(&address).map(|_| ()));
    for path in [path, "/run/docker.sock", "/run/containerd/containerd.sock", "/run/dbus/system_bus_socket"] {
        let outcome = UnixStream::connect(path).map(|_| ());
        println!("path: {}", outcome.map_or_else(|error| name(&error), |()| "done".to_owned()));
    }
}
