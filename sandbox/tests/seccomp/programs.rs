//! Programs that functions are written in, run whole under the function's filter: they must start and do
//! their work.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandbox::seccomp::{Arch, Network, Policy, compile, install};

fn confined(mut command: Command) -> io::Result<Output> {
    let program = compile(Policy::function(Network::Loopback), Arch::NATIVE);
    // SAFETY: between fork and exec only `install` runs, which makes two system calls and allocates nothing.
    unsafe { command.pre_exec(move || install(&program)) };
    command.output()
}

/// The program must end well and print "ok" last.
fn check(name: &str, command: Command) {
    let output = confined(command).unwrap_or_else(|e| panic!("{name} does not start: {e}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{out}\n{err}", output.status);
    assert_eq!(out.lines().last(), Some("ok"), "{name}: {out}\n{err}");
}

const PYTHON: &str = r#"
import asyncio, ctypes, hashlib, os, random, select, shutil, socket, ssl, subprocess, sys, tempfile, threading, time, zlib
import concurrent.futures, signal, mmap, urllib.request, http.server, sqlite3

where = tempfile.mkdtemp()
path = os.path.join(where, "a")
with open(path, "w") as f:
    f.write("x" * 100_000); f.flush(); os.fsync(f.fileno())
shutil.copy2(path, path + "b"); os.rename(path + "b", path + "c"); os.symlink("a", path + "l")
os.chmod(path, 0o640); os.utime(path); assert sorted(os.listdir(where)) == ["a", "ac", "al"]
os.mkfifo(path + "f")
with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m: m[0] = 65
db = sqlite3.connect(path + "d"); db.execute("create table t(a)"); db.commit(); db.close()
assert subprocess.run([sys.executable, "-c", "print(6*7)"], capture_output=True).stdout == b"42\n"
assert subprocess.run("echo hi | cat", shell=True, capture_output=True).stdout == b"hi\n"
with concurrent.futures.ThreadPoolExecutor(8) as pool: assert sum(pool.map(int, range(100))) == 4950
pid = os.fork()
if pid == 0: os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a): pass
os.chdir(where)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
assert len(urllib.request.urlopen("http://localhost:%d/a" % server.server_port).read()) == 100_000
server.shutdown()
async def work():
    p = await asyncio.create_subprocess_exec("true"); assert await p.wait() == 0
    await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(20)))
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.01)
asyncio.run(work())
got = []
signal.signal(signal.SIGALRM, lambda *a: got.append(1)); signal.setitimer(signal.ITIMER_REAL, 0.02); time.sleep(0.1); assert got
ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 3)(); ssl.create_default_context(); hashlib.sha256(os.urandom(32)); random.SystemRandom().random()
for family in (socket.AF_NETLINK, socket.AF_PACKET, getattr(socket, "AF_ALG", 38), 40):
    try: socket.socket(family, socket.SOCK_RAW); raise SystemExit("family %d was given" % family)
    except OSError as e: assert e.errno == 97, e
shutil.rmtree(where)
print("ok")
"#;

const NODE: &str = r#"
const fs = require('fs'), os = require('os'), path = require('path'), crypto = require('crypto'), http = require('http');
const { execFileSync, spawn } = require('child_process'), { Worker } = require('worker_threads');
const assert = require('assert'), zlib = require('zlib'), { pipeline } = require('stream/promises');
(async () => {
  const dir = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'n')), file = path.join(dir, 'a');
  await fs.promises.writeFile(file, 'x'.repeat(100000));
  await fs.promises.copyFile(file, file + 'b'); await fs.promises.rename(file + 'b', file + 'c');
  await fs.promises.chmod(file, 0o640); await fs.promises.symlink('a', file + 'l');
  await pipeline(fs.createReadStream(file), zlib.createGzip(), fs.createWriteStream(file + 'z'));
  const watcher = fs.watch(dir); watcher.close();
  crypto.scryptSync('a', 'b', 32); await new Promise((y, n) => crypto.pbkdf2('a', 'b', 1000, 32, 'sha256', e => e ? n(e) : y()));
  crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  assert.equal(execFileSync(process.execPath, ['-p', '6*7']).toString(), '42\n');
  await new Promise((y, n) => spawn('sh', ['-c', 'echo hi | cat']).on('exit', c => c ? n(c) : y()));
  await new Promise((y, n) => new Worker('setTimeout(() => {}, 10)', { eval: true }).on('exit', y).on('error', n));
  const server = http.createServer((q, a) => fs.createReadStream(file).pipe(a));
  await new Promise(y => server.listen(0, '127.0.0.1', y));
  const body = await (await fetch('http://localhost:' + server.address().port)).text();
  assert.equal(body.length, 100000); server.closeAllConnections(); server.close();
  await new Promise(y => setTimeout(y, 10)); os.cpus(); os.totalmem(); process.memoryUsage();
  await fs.promises.rm(dir, { recursive: true });
  console.log('ok');
})();
"#;

const GO: &str = r#"
package main

import ("crypto/rand"; "fmt"; "io"; "net"; "os"; "os/exec"; "os/signal"; "path/filepath"; "sync"; "syscall"; "time")

func must(err error) { if err != nil { panic(err) } }

// A proxy of one connection: io.Copy between sockets asks for splice first.
func proxy(from net.Listener, to string) {
	in, err := from.Accept(); must(err)
	out, err := net.Dial("tcp", to); must(err)
	go func() { io.Copy(out, in); out.(*net.TCPConn).CloseWrite() }()
	io.Copy(in, out); in.Close()
}

func main() {
	dir, err := os.MkdirTemp("", "g"); must(err)
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "a")
	must(os.WriteFile(file, make([]byte, 100000), 0o640)); must(os.Chmod(file, 0o600)); must(os.Rename(file, file+"b"))
	from, err := os.Open(file + "b"); must(err)
	to, err := os.Create(file); must(err)
	n, err := io.Copy(to, from); must(err)
	if n != 100000 { panic("short copy") }
	var group sync.WaitGroup
	for i := 0; i < 50; i++ { group.Add(1); go func() { defer group.Done(); time.Sleep(time.Millisecond) }() }
	group.Wait()
	out, err := exec.Command("sh", "-c", "echo hi | cat").Output(); must(err)
	if string(out) != "hi\n" { panic(string(out)) }
	rand.Read(make([]byte, 32))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1); must(syscall.Kill(os.Getpid(), syscall.SIGUSR1)); <-signals
	end, err := net.Listen("tcp", "127.0.0.1:0"); must(err)
	go func() { c, err := end.Accept(); must(err); io.Copy(c, c); c.Close() }()
	front, err := net.Listen("tcp", "127.0.0.1:0"); must(err)
	go proxy(front, end.Addr().String())
	c, err := net.Dial("tcp", front.Addr().String()); must(err)
	go func() { c.Write(make([]byte, 1000000)); c.(*net.TCPConn).CloseWrite() }()
	got, err := io.Copy(io.Discard, c); must(err)
	if got != 1000000 { panic(fmt.Sprint("echoed ", got)) }
	fmt.Println("ok")
}
"#;

const C: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void *work(void *x) { free(malloc(1 << 20)); return x; }
int main(void) {
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) if (pthread_create(&threads[i], 0, work, 0)) return 1;
    for (int i = 0; i < 8; i++) pthread_join(threads[i], 0);
    FILE *file = tmpfile();
    if (!file || fputs("x", file) < 0 || fclose(file)) return 2;
    if (system("true") || fork() == 0) _exit(0);
    wait(0);
    puts("ok");
    return 0;
}
"#;

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn pythons() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = on_path("python3").into_iter().chain(["/usr/bin/python3".into()]).collect();
    let versions = std::env::home_dir().map(|home| home.join(".pyenv/versions"));
    for entry in versions.and_then(|dir| dir.read_dir().ok()).into_iter().flatten().flatten() {
        found.push(entry.path().join("bin/python3"));
    }
    found.retain(|python| python.is_file() && is_served(python));
    found
}

fn is_served(python: &Path) -> bool {
    let newer = "import sys, sqlite3, ssl, ctypes; sys.exit(sys.version_info < (3, 9))";
    Command::new(python).args(["-c", newer]).output().is_ok_and(|output| output.status.success())
}

#[test]
fn python_works() {
    let pythons = pythons();
    if pythons.is_empty() {
        eprintln!("skipped: no Python of 3.9 or later is here");
    }
    for python in pythons {
        let mut command = Command::new(&python);
        command.args(["-c", PYTHON]);
        check(&python.display().to_string(), command);
    }
}

#[test]
fn node_works() {
    let Some(node) = on_path("node") else {
        eprintln!("skipped: no Node is here");
        return;
    };
    let mut command = Command::new(node);
    command.args(["-e", NODE]);
    check("node", command);
}

#[test]
fn a_static_go_program_works() {
    let Some(go) = on_path("go") else {
        eprintln!("skipped: no Go is here");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    std::fs::write(dir.path().join("main.go"), GO).unwrap();
    let mut build = Command::new(go);
    build.args(["build", "-o"]).arg(&program).arg("main.go").current_dir(&dir).env("CGO_ENABLED", "0");
    assert!(build.status().unwrap().success());
    check("go", Command::new(program));
}

#[test]
fn c_programs_work() {
    let Some(cc) = on_path("cc") else {
        eprintln!("skipped: no C compiler is here");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("main.c");
    std::fs::write(&source, C).unwrap();
    for (name, flags) in [("dynamic", ["-O1", "-pthread"].as_slice()), ("static", &["-static", "-pthread"])] {
        let program = dir.path().join(name);
        let built = Command::new(&cc).args(flags).arg("-o").arg(&program).arg(&source).status().unwrap();
        assert!(built.success(), "{name}");
        check(name, Command::new(program));
    }
}

/// This very test program is a dynamic Rust one: it lists its own tests.
#[test]
fn a_rust_program_works() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--list");
    let output = confined(command).unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("a_rust_program_works"));
}
