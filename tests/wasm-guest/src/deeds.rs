//! What a request can ask for. Each answers with a status and a text.

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use wasip2::filesystem::preopens;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingRequest, Method, OutgoingRequest, Scheme};

thread_local! {
    /// Shows whether an instance has served before.
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

static SLATE: [AtomicU32; 1 << 18] = [const { AtomicU32::new(0) }; 1 << 18];

pub fn run(deed: &str, request: &IncomingRequest, body: &[u8]) -> (u16, Vec<u8>) {
    let (path, query) = deed.split_once('?').unwrap_or((deed, ""));
    let text = match path {
        "/" => "fine".into(),
        "/echo" => return (200, body.to_vec()),
        "/status" => return (query.parse().unwrap_or(500), b"as asked".to_vec()),
        "/request" => shown(request),
        "/env" => std::env::var(query).unwrap_or_else(|_| "unset".into()),
        "/print" => {
            println!("to stdout {query}");
            eprintln!("to stderr {query}");
            "printed".into()
        }
        "/loop" => loop {
            std::hint::black_box(0);
        },
        "/sleep" => {
            std::thread::sleep(std::time::Duration::from_millis(query.parse().unwrap_or(0)));
            "slept".into()
        }
        "/recurse" => recurse(1).to_string(),
        "/panic" => panic!("as asked"),
        "/exit" => std::process::exit(3),
        "/grow" => grow(),
        "/seen" => SEEN.with_borrow_mut(|seen| {
            seen.push(query.to_owned());
            seen.join(",")
        }),
        "/canary" => canary(),
        "/files" => files(),
        "/tmp" => tmp(query),
        "/sockets" => format!("{:?}", std::net::TcpStream::connect("127.0.0.1:4566").map(drop)),
        "/fields" => fields(),
        "/random" => wasip2::random::random::get_random_bytes(1 << 30).len().to_string(),
        "/handles" => {
            let all: Vec<Fields> = (0..1_000_000).map(|_| Fields::new()).collect();
            all.len().to_string()
        }
        "/fetch" => fetch(query),
        other => return (404, format!("no deed {other}").into_bytes()),
    };
    (200, text.into_bytes())
}

fn shown(request: &IncomingRequest) -> String {
    let mut lines = vec![format!("{:?} {}", request.method(), request.path_with_query().unwrap_or_default())];
    for (name, value) in request.headers().entries() {
        lines.push(format!("{name}: {}", String::from_utf8_lossy(&value)));
    }
    lines.join("\n")
}

/// Uses no memory, so that the stack of the engine ends and not the component's own.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if depth == u64::MAX { 0 } else { recurse(depth + 1).wrapping_mul(3) ^ depth }
}

fn grow() -> String {
    let mut all = Vec::new();
    loop {
        all.push(vec![1_u8; 1 << 20]);
        std::hint::black_box(&all);
    }
}

/// Looks for the mark of an earlier instance in memory that must be zero, then leaves one.
fn canary() -> String {
    let dirty = SLATE.iter().filter(|cell| cell.load(Ordering::Relaxed) != 0).count();
    SLATE.iter().for_each(|cell| cell.store(0x6b72_616d, Ordering::Relaxed));
    format!("{dirty} words were not zero")
}

/// Tries to leave /tmp, and to do in it what is not allowed. One word per try: what came of it.
fn files() -> String {
    let name = "/tmp/inside";
    let _ = fs::remove_file("/tmp/link");
    let _ = fs::remove_file("/tmp/hard");
    fs::write(name, "mine").expect("/tmp can be written");
    let tries: Vec<(&str, Result<(), std::io::Error>)> = vec![
        ("read /etc/passwd", fs::read("/etc/passwd").map(drop)),
        ("read ..", fs::read("/tmp/../etc/passwd").map(drop)),
        ("list /", fs::read_dir("/").map(drop)),
        ("read code", fs::read("/var/runtime/component.cwasm").map(drop)),
        ("rename out", fs::rename(name, "/etc/outside")),
        ("rename up", fs::rename(name, "/tmp/../outside")),
        ("hard link in", fs::hard_link("/etc/passwd", "/tmp/hard")),
        ("link to /", {
            link("/etc/passwd");
            fs::read("/tmp/link").map(drop)
        }),
        ("link up", {
            let _ = fs::remove_file("/tmp/link");
            link("../etc/passwd");
            fs::read("/tmp/link").map(drop)
        }),
        ("truncate without right", {
            let file = fs::File::open(name).expect("readable");
            file.set_len(0)
        }),
    ];
    let mut lines: Vec<String> = tries
        .into_iter()
        .map(|(what, outcome)| format!("{what}: {}", if outcome.is_ok() { "ALLOWED" } else { "denied" }))
        .collect();
    lines.push(format!("still {}", fs::read_to_string(name).unwrap_or_default()));
    lines.join("\n")
}

/// Makes /tmp/link, if that is allowed.
fn link(to: &str) {
    for (folder, path) in preopens::get_directories() {
        if path == "/tmp" {
            let _ = folder.symlink_at(to, "link");
        }
    }
}

fn tmp(text: &str) -> String {
    let before = fs::read_to_string("/tmp/kept").unwrap_or_default();
    let mut file = fs::File::create("/tmp/kept").expect("created");
    file.write_all(text.as_bytes()).expect("written");
    before
}

fn fields() -> String {
    let fields = Fields::new();
    let mut refused = 0;
    for number in 0..40_000 {
        refused += usize::from(fields.append(&format!("x-{number}"), b"value").is_err());
    }
    format!("{refused} refused")
}

fn fetch(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let request = OutgoingRequest::new(Fields::new());
    request.set_method(&Method::Get).expect("method");
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).expect("scheme");
    request.set_authority(Some(authority)).expect("authority");
    request.set_path_with_query(Some(&format!("/{path}"))).expect("path");
    let pending = match outgoing_handler::handle(request, None) {
        Ok(pending) => pending,
        Err(code) => return format!("refused: {code:?}"),
    };
    pending.subscribe().block();
    match pending.get().expect("ready").expect("once") {
        Ok(response) => format!("status {}", response.status()),
        Err(code) => format!("failed: {code:?}"),
    }
}
