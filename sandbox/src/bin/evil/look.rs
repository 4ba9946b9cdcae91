//! What this program is and has.

use crate::tell;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;

/// Real and effective users, and all capabilities in one line.
pub(crate) fn user() {
    // SAFETY: these calls cannot fail and take nothing.
    let (real, effective) = unsafe { (libc::getuid(), libc::geteuid()) };
    println!("user: {real} {effective}");
    for line in fs::read_to_string("/proc/self/status").unwrap_or_default().lines() {
        if line.starts_with("Cap") || line.starts_with("NoNewPrivs") {
            println!("{}", line.replace('\t', " "));
        }
    }
}

/// Open descriptors, and what can be reached through them.
pub(crate) fn descriptors() {
    let mut open = Vec::new();
    for number in 0..4096 {
        // SAFETY: both calls only look at the descriptor; the structure is valid.
        unsafe {
            let mut found: libc::stat = std::mem::zeroed();
            if libc::fstat(number, &raw mut found) == 0 {
                let folder = found.st_mode & libc::S_IFMT == libc::S_IFDIR;
                open.push(format!("{number}{}", if folder { " folder" } else { "" }));
            }
        }
    }
    println!("open: {}", open.join(","));
}

/// What a sandbox shall be like, one fact a line.
pub(crate) fn audit() {
    user();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines() {
        let wanted = ["Umask", "Gid", "Groups", "Seccomp:", "SigBlk", "Pid", "PPid"];
        if wanted.iter().any(|name| line.starts_with(name)) {
            println!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    for line in fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines() {
        let fields: Vec<_> = line.split(' ').collect();
        println!("mount: {} {}", fields[4], fields[5]);
    }
    for kind in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let link = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap_or_default();
        println!("namespace: {}", link.display());
    }
    for line in fs::read_to_string("/proc/self/limits").unwrap_or_default().lines().skip(1) {
        let line = line.trim_end();
        println!(
            "limit: {}",
            line.split("  ").filter(|part| !part.is_empty()).map(str::trim).collect::<Vec<_>>().join("|")
        );
    }
    println!("host: {}", rustix::system::uname().nodename().to_string_lossy());
    println!("folder: {}", std::env::current_dir().unwrap_or_default().display());
    println!(
        "cgroup: {}",
        fs::read_to_string("/proc/self/cgroup").unwrap_or_default().lines().all(|l| l.ends_with(":/"))
    );
    println!("oom: {}", fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default().trim());
    for (name, value) in std::env::vars() {
        println!("environment: {name}={value}");
    }
    let interfaces =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None).map(
            |socket| {
                (1..16)
                    .filter_map(|index| rustix::net::netdevice::index_to_name(&socket, index).ok())
                    .collect::<Vec<_>>()
            },
        );
    println!("interfaces: {}", interfaces.unwrap_or_default().join(","));
    let mut top: Vec<_> = fs::read_dir("/")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.file_name().into_string().unwrap_or_default())
        .collect();
    top.sort();
    println!("top: {}", top.join(","));
}

/// Opens paths for reading.
pub(crate) fn open(paths: &[&str]) {
    for path in paths {
        tell(path, &fs::File::open(path).map(|_| ()));
    }
}

/// Echoes one message on descriptor 3.
pub(crate) fn control() {
    // SAFETY: the sandbox passes the control socket as this descriptor, and nothing else here uses it.
    let mut control = unsafe { UnixStream::from_raw_fd(3) };
    let mut message = [0; 4];
    control.read_exact(&mut message).expect("a message");
    control.write_all(&message).expect("a reader");
}

/// Connects to a port inside, and to what is outside.
pub(crate) fn connect(port: &str) {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).expect("a listener");
    stream.write_all(b"ping").expect("a reader");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    println!("answer: {answer}");
    tell("outside", &TcpStream::connect("192.0.2.1:80").map(|_| ()));
}
