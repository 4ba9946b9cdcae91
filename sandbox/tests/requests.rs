//! What the launcher does with requests that no server of ours would send, and with more of them than it can hold.

mod arena;

use arena::children;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::collections::BTreeSet;
use std::io::{IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const REQUEST: &str = r#"{"Sandbox":{"furniture":{"binds":[{"host":"/usr/share","guest":"/opt/share"}],
"tmp_bytes":1048576,"memory_bytes":67108864,"cpu_millis":1000,"cpu_weight":1024,"pids":16},"listen":[9001],"control":true,"waits":false,"layers":{
"root":true,"network":true,"cgroup":true,"rlimits":true,"counters":true,"capabilities":true,"keyring":true,
"seccomp":true,"landlock":true,"fault":null}}}"#;
const COMMAND: &str = r#"{"Command":{"argv":["/no/such/program","x"],"env":[["A","b"]]}}"#;
const UNPACK: &str =
    r#"{"Unpack":{"dest":"/no/such/folder/x","limits":{"zip_bytes":1,"unzipped_bytes":1,"entries":1}}}"#;
const TRUE: &str = r#"{"Program":{"argv":["/bin/true"],"env":[],"workdir":"/tmp"}}"#;

/// What takes a value's place.
const NONSENSE: [&str; 12] = [
    "0",
    "-1",
    "18446744073709551615",
    "1e400",
    "null",
    "true",
    "\"\"",
    "\"/\"",
    "\"/../..\"",
    "[]",
    "{}",
    "\"\\u0000\"",
];

/// A launcher and our end of its control socket.
struct Raw {
    child: Child,
    control: OwnedFd,
}

impl Raw {
    fn start() -> Option<Self> {
        let (control, far) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .expect("a pair");
        let child = Command::new("/bin/sh")
            .args(["-c", "exec \"$0\" 3<&0 0</dev/null", env!("CARGO_BIN_EXE_sandbox-launcher")])
            .stdin(Stdio::from(far))
            .spawn()
            .expect("a shell");
        let raw = Self { child, control };
        let hello = receive(&raw.control);
        if hello.contains("\"level\":0") {
            println!("not run: no sandbox can be made here: {hello}");
            return None;
        }
        Some(raw)
    }

    fn send(&self, bytes: &[u8], fds: &[OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(80))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        sendmsg(&self.control, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)
            .expect("it listens");
    }

    /// A request for a sandbox that must come up and end well.
    fn expect_good(&self) {
        let (connection, far_connection) = pair();
        let (boot, far_boot) = pair();
        rustix::net::send(&boot, TRUE.as_bytes(), SendFlags::NOSIGNAL).expect("room");
        let mut fds = vec![far_connection, far_boot];
        fds.extend((0..3).map(|_| null()));
        self.send(REQUEST.as_bytes(), &fds);
        drop(fds);
        let made = receive(&connection);
        assert!(made.starts_with(r#"{"Made""#), "{made}");
        assert_eq!(receive(&boot), "", "no failure");
        let ended = receive(&connection);
        assert!(ended.starts_with(r#"{"Ended":{"exit":{"Code":0}"#), "{ended}");
    }

    /// How many descriptors are open when it has made ahead what it makes ahead.
    fn settled(&self) -> usize {
        let (mut count, mut same) = (self.descriptors(), 0);
        while same < 10 {
            std::thread::sleep(Duration::from_millis(10));
            let now = self.descriptors();
            (count, same) = if now == count { (count, same + 1) } else { (now, 0) };
        }
        count
    }

    /// Waits until so many descriptors are open, and stay so.
    fn wait_for(&self, descriptors: usize) {
        let mut tries = 0..100;
        while self.settled() != descriptors {
            assert!(tries.next().is_some(), "{} descriptors are open, not {descriptors}", self.descriptors());
        }
    }

    fn descriptors(&self) -> usize {
        self.numbers().len()
    }

    /// The limit below which so many descriptors are free.
    fn limit_with_room(&self, room: usize) -> u64 {
        let taken = self.numbers();
        let last = (0..).filter(|number| !taken.contains(number)).nth(room - 1);
        last.expect("numbers have no end") + 1
    }

    /// Bounds its descriptors. Nobody may but the same user, and while it forks a sandbox it is another one.
    fn limit(&self, limit: Rlimit) {
        let launcher = Pid::from_raw(self.child.id().cast_signed()).expect("a pid");
        let mut tries = 0..1000;
        while let Err(error) = prlimit(Some(launcher), Resource::Nofile, limit) {
            assert!(tries.next().is_some() && error == rustix::io::Errno::PERM, "own child: {error}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn numbers(&self) -> BTreeSet<u64> {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("own child");
        let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        entries.filter_map(|entry| number(entry.ok()?)).collect()
    }

    /// Ends it as a server does.
    fn close(mut self, before: usize) {
        for _ in 0..1000 {
            if children(self.child.id()) <= arena::AHEAD && self.descriptors() == before {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.descriptors(), before, "something is left");
        assert!(children(self.child.id()) <= arena::AHEAD, "something is left");
        let launcher = self.child.id();
        drop(self.control);
        assert!(self.child.wait().expect("own child").success());
        assert_eq!(arena::cgroups(launcher), Vec::<std::path::PathBuf>::new());
    }
}

fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a pair")
}

fn null() -> OwnedFd {
    std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").expect("it is everywhere").into()
}

/// The next message; empty at the end.
fn receive(socket: &OwnedFd) -> String {
    let mut bytes = vec![0; 1 << 16];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(80))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
    bytes.truncate(got.map_or(0, |got| got.bytes));
    String::from_utf8(bytes).expect("text")
}

/// A small generator of its own, so that a failure comes again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % most
    }
}

/// One of many ways to spoil a request.
fn spoiled(request: &str, chance: &mut Chance) -> Vec<u8> {
    let mut bytes = request.as_bytes().to_vec();
    match chance.below(4) {
        0 => bytes.truncate(1 + chance.below(bytes.len())),
        1 => {
            let at = chance.below(bytes.len());
            bytes[at] = u8::try_from(chance.below(256)).expect("a byte");
        }
        2 => bytes.resize(bytes.len() + chance.below(4096), b'['),
        _ => {
            let colons: Vec<_> = request.match_indices(':').map(|(at, _)| at + 1).collect();
            let at = colons[chance.below(colons.len())];
            let end = request[at..].find([',', '}']).map_or(request.len(), |length| at + length);
            bytes.splice(at..end, NONSENSE[chance.below(NONSENSE.len())].bytes());
        }
    }
    bytes
}

#[test]
fn nonsense_is_refused_and_harms_nobody() {
    let _turn = arena::turn();
    let Some(raw) = Raw::start() else { return };
    raw.expect_good();
    let before = raw.settled();
    let mut chance = Chance(7);
    for _ in 0..1500 {
        let request = [REQUEST, REQUEST, COMMAND, UNPACK][chance.below(4)];
        let bytes = spoiled(request, &mut chance);
        let (connection, far_connection) = pair();
        let mut fds = vec![far_connection];
        for _ in 0..chance.below(7) {
            fds.push(match chance.below(3) {
                0 => null(),
                1 => pair().0,
                _ => {
                    let (mut reader, writer) = std::io::pipe().expect("a pipe");
                    drop(writer);
                    let _ = reader.read(&mut [0]);
                    reader.into()
                }
            });
        }
        if chance.below(8) == 0 {
            fds.clear();
        }
        raw.send(&bytes, &fds);
        drop(fds);
        if chance.below(4) == 0 {
            drop(connection);
            continue;
        }
        while !receive(&connection).is_empty() {}
    }
    raw.expect_good();
    raw.send(&vec![b' '; 170 * 1024], &[null()]);
    raw.send(b"{}", &(0..70).map(|_| null()).collect::<Vec<_>>());
    raw.expect_good();
    raw.close(before);
}

#[test]
fn a_launcher_short_of_descriptors_says_so_and_goes_on() {
    let _turn = arena::turn();
    let Some(raw) = Raw::start() else { return };
    raw.expect_good();
    let before = raw.settled();
    let usual = rustix::process::getrlimit(Resource::Nofile);
    for room in 1..12 {
        // It makes things ahead again once it has served somebody.
        raw.expect_good();
        raw.wait_for(before);
        let limit = Rlimit { current: Some(raw.limit_with_room(room)), maximum: usual.maximum };
        raw.limit(limit);
        let (connection, far_connection) = pair();
        let (boot, far_boot) = pair();
        rustix::net::send(&boot, TRUE.as_bytes(), SendFlags::NOSIGNAL).expect("room");
        let mut fds = vec![far_connection, far_boot];
        fds.extend((0..3).map(|_| null()));
        raw.send(REQUEST.as_bytes(), &fds);
        drop(fds);
        let answer = receive(&connection);
        let refused = answer.starts_with(r#"{"Failed""#) && answer.contains(r#""errno":24"#);
        // What it has made ahead may do, from some point on.
        assert!(refused || (room >= 5 && answer.starts_with(r#"{"Made""#)), "{room}: {answer}");
        raw.limit(usual);
    }
    raw.expect_good();
    raw.close(before);
}
