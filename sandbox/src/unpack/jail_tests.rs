//! Each layer of the jail by itself: what a child that a package has taken over could still do.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use rustix::fs::ResolveFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

use super::super::child::{Child, Ended};
use super::super::job::memory_bytes;
use super::*;
use crate::seccomp::{Arch, Policy, compile};

/// What the child tries; the answers come back in this order.
const ATTEMPTS: [&str; 8] = [
    "read a file of the host",
    "read a file of the host by way of ..",
    "make a file of the host",
    "overwrite what is in the destination",
    "connect to the host",
    "look into its parent",
    "start a process",
    "have two gigabytes",
];

fn attempts(root: &OwnedFd, outside: &Path, port: u16) -> [Result<(), Errno>; 8] {
    let opens = |at: BorrowedFd<'_>, path: &Path, flags| {
        rustix::fs::openat2(at, path, flags, Mode::empty(), ResolveFlags::empty()).map(drop)
    };
    let by_dots = Path::new("../../../../../../../../etc/passwd");
    let connects = || {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::net::connect(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], port)))
    };
    [
        opens(root.as_fd(), Path::new("/etc/passwd"), OFlags::RDONLY),
        opens(root.as_fd(), by_dots, OFlags::RDONLY),
        rustix::fs::mkdirat(root, outside, Mode::RWXU),
        opens(root.as_fd(), Path::new("there"), OFlags::RDWR),
        connects(),
        opens(root.as_fd(), Path::new("/proc/self/status"), OFlags::RDONLY),
        start_process(),
        have(2 << 30),
    ]
}

fn start_process() -> Result<(), Errno> {
    // SAFETY: the child ends at once.
    match unsafe { libc::fork() } {
        -1 => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap()),
        0 => kernel::exit_now(0),
        _ => Ok(()),
    }
}

fn have(bytes: usize) -> Result<(), Errno> {
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| Errno::NOMEM)
}

/// Runs the attempts under some layers; `None` for what succeeded.
fn tried(layers: Layers) -> Vec<Option<i32>> {
    let dir = tempfile::tempdir().unwrap();
    let (dest, outside) = (dir.path().join("dest"), dir.path().join("outside"));
    std::fs::create_dir(&dest).unwrap();
    std::fs::write(dest.join("there"), "x").unwrap();
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let jail = Jail {
        layers,
        filter: compile(Policy::unpacker(), Arch::NATIVE),
        file_bytes: 1000,
        memory_bytes: memory_bytes().unwrap(),
        owner: (rustix::process::geteuid(), rustix::process::getegid()),
    };
    let destination = rustix::fs::open(&dest, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let keep = [std::os::fd::AsRawFd::as_raw_fd(&destination)];
    let (child, mut answer) = Child::fork(&keep, |answer| {
        let text = match jail.enter(destination) {
            Ok(root) => {
                let codes =
                    attempts(&root, &outside, port).map(|result| result.err().map(Errno::raw_os_error));
                serde_json::to_string(&codes).unwrap()
            }
            Err(error) => format!("\"{error}\""),
        };
        answer.write_all(text.as_bytes()).unwrap();
    })
    .unwrap();
    let mut text = String::new();
    answer.read_to_string(&mut text).unwrap();
    assert_eq!(child.end(), Ended::Code(0), "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn each_layer_by_itself() {
    use libc::{EACCES, ECONNREFUSED, ENETUNREACH, ENOENT, ENOMEM, EPERM};
    const OPEN: &[i32] = &[];
    let none = Layers { namespaces: false, landlock: false, seccomp: false };
    let unreachable: &[i32] = &[ENETUNREACH, ECONNREFUSED];
    let memory: &[i32] = &[ENOMEM];
    let cases: [(&str, Layers, [&[i32]; 8]); 5] = [
        ("none", none, [OPEN, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN, memory]),
        (
            "namespaces",
            Layers { namespaces: true, ..none },
            [&[ENOENT], &[ENOENT], &[ENOENT], OPEN, unreachable, &[ENOENT], OPEN, memory],
        ),
        (
            "landlock",
            Layers { landlock: true, ..none },
            [&[EACCES], &[EACCES], &[EACCES], &[EACCES], &[EACCES], &[EACCES], OPEN, memory],
        ),
        (
            "seccomp",
            Layers { seccomp: true, ..none },
            [OPEN, OPEN, OPEN, OPEN, &[EPERM], OPEN, &[EPERM], memory],
        ),
        (
            "all",
            Layers::ALL,
            [&[ENOENT], &[ENOENT], &[ENOENT], &[EACCES], &[EPERM], &[ENOENT], &[EPERM], memory],
        ),
    ];
    for (name, layers, wanted) in cases {
        for ((attempt, got), wanted) in ATTEMPTS.iter().zip(tried(layers)).zip(wanted) {
            let as_wanted = got.map_or(wanted.is_empty(), |errno| wanted.contains(&errno));
            assert!(as_wanted, "{name}: {attempt}: {got:?}, not one of {wanted:?}");
        }
    }
}
