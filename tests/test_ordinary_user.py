"""The whole platform without root: what runs, what is missing and said, and where it refuses to start.

When the suite itself runs as an ordinary user, every other test is this test too.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
import requests
from concurrent.futures import ThreadPoolExecutor

from conftest import ATTEMPT, ROOT, Functions, functions_on, until, zipped_files
from ordinary import OrdinaryHome, started
from test_wasm import component  # noqa: F401 (a fixture)

LIMITS = {"memory limit", "cpu limit", "process limit"}


@pytest.fixture(scope="module")
def home():
    made = OrdinaryHome()
    yield made
    made.close()


@pytest.fixture(scope="module")
def ordinary(home):
    platform = started(home.platform())
    yield platform
    assert platform.stop() == 0, "SIGTERM ends the platform with exit code 0"


own_functions = functions_on("ordinary")


def dayfly(home, platform, *arguments):
    """The command line, run by the ordinary user too."""
    return home.run("env", f"DAYFLY_DATA={platform.data}", str(home.binary), *arguments)


def test_the_platform_and_its_launcher_are_not_root(ordinary):
    if os.getuid() != 0:
        pytest.skip("skipped: this suite runs as an ordinary user already")
    tree = [ordinary.process.pid, *children(ordinary.process.pid)]
    assert len(tree) > 1
    for pid in tree:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        users = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        assert "0" not in users, status


def runs_components(functions, component):
    """A component answers, many calls at once too, and one call's failure is its own."""
    name = functions.create(zipped_files({"guest.wasm": component}), "wasm", "guest.wasm")
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda n: functions.call(name, {"deed": "/echo", "n": n})["n"], range(64))) == list(range(64))
    assert functions.failure(name, {"deed": "/grow"})["errorType"] == "Runtime.OutOfMemory"
    assert functions.failure(name, {"deed": "/recurse"})["errorType"] == "Runtime.Trap"
    assert functions.call(name, {"deed": "/echo"}) == {"deed": "/echo"}


def test_components_run(own_functions, component):
    runs_components(own_functions, component)


def children(pid):
    """Every process below one."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *children(child)]
    return found


PYTHON = "def handler(e, c):\n    return {'got': e, 'language': 'python'}\n"
NODE = "exports.handler = async (event) => ({ got: event, language: 'node' })\n"


def compiled(home):
    """The compiled example, built; skips by name where there is no compiler."""
    example = ROOT / "examples" / "rust-hello"
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "rust-hello"
    try:
        subprocess.run(
            ["cargo", "build", "--release", "--quiet", "--target-dir", target], cwd=example, check=True, timeout=600
        )
    except FileNotFoundError:
        pytest.skip("skipped: cargo is not here to build examples/rust-hello")
    return (target / "release" / "bootstrap").read_bytes()


@pytest.mark.parametrize("language", ["python", "node", "compiled"])
def test_functions_are_deployed_and_called(home, ordinary, language):
    name, folder = f"ordinary-{language}", home.path / f"project-{language}"
    folder.mkdir()
    if language == "python":
        (folder / "app.py").write_text(PYTHON)
    elif language == "node":
        (folder / "index.js").write_text(NODE)
        (folder / "package.json").write_text('{"name":"n","version":"1.0.0","main":"index.js"}')
    else:
        (folder / "bootstrap").write_bytes(compiled(home))
        (folder / "bootstrap").chmod(0o755)
    home.give(folder)
    deployed = dayfly(home, ordinary, "deploy", str(folder), "--name", name, "--public", "--json")
    assert deployed.returncode == 0, deployed.stderr
    for cold in (["--cold"], [], ["--cold"]):
        called = dayfly(home, ordinary, "invoke", name, "--payload", '{"a": 1}', *cold)
        assert called.returncode == 0, called.stderr
        answer = json.loads(called.stdout)
        assert (answer.get("got") or answer.get("event")) == {"a": 1}, answer
    through_url = requests.post(json.loads(deployed.stdout)["url"], data=b"x", timeout=60)
    assert through_url.status_code == 200, through_url.text


def test_what_is_missing_is_said_everywhere(home, ordinary):
    banner = ordinary.banner["protections"]
    status = ordinary.api("status")["Protections"]
    doctor = dayfly(home, ordinary, "doctor")
    missing = {layer["name"]: layer for layer in banner["layers"] if not layer["on"]}
    assert banner["level"] == status["Level"] == 2
    assert "level 2 of 3" in doctor.stdout + doctor.stderr
    assert "own user per sandbox" in missing and set(missing) <= {"own user per sandbox", "own root image", *LIMITS}, missing
    in_status = {layer["Name"]: layer for layer in status["Layers"] if not layer["On"]}
    assert set(in_status) == set(missing)
    for name, layer in missing.items():
        assert layer["why_missing"] and "root" in layer["how_to_fix"], layer
        assert in_status[name]["WhyMissing"] == layer["why_missing"]
        assert in_status[name]["HowToFix"] == layer["how_to_fix"]
        for text in (f"{name}: {layer['why_missing']}", layer["how_to_fix"]):
            assert text in doctor.stdout + doctor.stderr, doctor


def test_limits_hold(own_functions):
    hog = own_functions.create(
        "def handler(e, c):\n    kept = [bytearray(1 << 20) for _ in range(e)]\n    return len(kept)\n", MemorySize=128
    )
    assert own_functions.call(hog, 1) == 1
    assert "Runtime.OutOfMemory" in own_functions.tail(hog, 2000)
    assert own_functions.call(hog, 1) == 1
    slow = own_functions.create("import time\ndef handler(e, c):\n    time.sleep(e)\n    return 'ok'\n", Timeout=1)
    assert own_functions.call(slow, 0) == "ok"
    assert "timed out after 1.00 seconds" in own_functions.failure(slow, 600)["errorMessage"]
    assert own_functions.call(slow, 0) == "ok"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_functions_outlive_the_platform_and_processes_do_not(home, how):
    platform = started(home.platform(f"restart-{how.name}"))
    try:
        functions = Functions(platform)
        name = functions.create("def handler(e, c):\n    return e\n")
        assert functions.call(name, 1) == 1
        below = children(platform.process.pid)
        assert len(below) >= 3, "launcher, a sandbox's first process, and the function"
        platform.stop(how)
        until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in below), "all processes have ended")
        platform.start()
        assert Functions(platform).call(name, 2) == 2
    finally:
        platform.stop()


# Denies one system call, or one with a certain first argument, to a process and all that it starts, then becomes the command.
DENY = """
import ctypes, os, sys
number, *first = map(int, sys.argv[1].split(','))
class Line(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32)]
class Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_uint16), ("lines", ctypes.POINTER(Line))]
LOAD, EQUALS, RETURN, REFUSE, ALLOW, EPERM = 0x20, 0x15, 0x06, 0x00050000, 0x7FFF0000, 1
tests = [test for at, value in zip((0, 16), (number, *first)) for test in ((LOAD, 0, 0, at), (EQUALS, 0, None, value))]
tests = [(code, yes, len(tests) - n if no is None else no, k) for n, (code, yes, no, k) in enumerate(tests)]
lines = [Line(*test) for test in (*tests, (RETURN, 0, 0, REFUSE | EPERM), (RETURN, 0, 0, ALLOW))]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(lines), (Line * len(lines))(*lines))), 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[2], sys.argv[2:])
"""
UNSHARE = {"x86_64": 272, "aarch64": 97}.get(os.uname().machine)


def without_namespaces(home, how):
    """The start of a command that runs where user namespaces cannot be made."""
    if how == "seccomp":
        if UNSHARE is None:
            pytest.skip("skipped: the number of unshare is not known on this machine")
        found = [python for python in (sys.executable, "/usr/bin/python3") if home.run(python, "-c", "").returncode == 0]
        if not found:
            pytest.skip("skipped: the ordinary user can run no Python here")
        return [found[0], "-c", DENY, str(UNSHARE)]
    below = ["unshare", "--user", "--map-root-user", "sh", "-c"]
    if home.run(*below, "true").returncode != 0:
        pytest.skip("skipped: this machine has no user namespaces to begin with")
    return [*below, 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" "$@"']


@pytest.mark.parametrize("how, hint", [("seccomp", "sudo dayfly up"), ("sysctl", "user.max_user_namespaces=")])
def test_no_user_namespaces_is_a_refusal_in_three_lines(home, how, hint):
    wrapper, data = without_namespaces(home, how), home.path / f"refused-{how}"
    refused = home.run(*wrapper, str(home.binary), "up", "--listen", "127.0.0.1:0", "--data", str(data))
    assert refused.returncode != 0, refused
    lines = refused.stderr.strip().splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "why", "hint"], refused.stderr
    assert "functions cannot be kept apart" in lines[0] and "namespaces cannot be made" in lines[1], lines
    assert hint in lines[2], lines
    assert lines[2].endswith(f"dayfly up --sandbox=minimal --data {data}"), lines
    assert not data.exists(), "nothing was made"
    doctor = home.run(*wrapper, str(home.binary), "doctor", "--data", str(data))
    assert "namespaces cannot be made" in doctor.stdout + doctor.stderr, doctor


# Says what of all that must be refused it could do.
TRIES = ATTEMPT + """
import os, socket, subprocess, tempfile

def handler(event, context):
    with tempfile.NamedTemporaryFile() as file:
        file.write(b'x')
    parent = os.getppid()
    return {
        'got': event.get('got'),
        'runs programs': subprocess.run(['/bin/sh', '-c', 'exit 7']).returncode,
        'could do': [name for name, deed in {
            'the root key': lambda: open(event['data'] + '/root-key.json'),
            'the data directory': lambda: os.listdir(event['data']),
            'the folder of all': lambda: open('/tmp/dayfly-minimal-test', 'w'),
            'shared memory': lambda: open('/dev/shm/dayfly-minimal-test', 'w'),
            'other processes': lambda: open(f'/proc/{parent}/environ'),
            'a signal': lambda: os.kill(parent, 0),
            'a local socket': lambda: socket.socket(socket.AF_UNIX),
            'a datagram': lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            'the port of the platform': lambda: socket.create_connection(('127.0.0.1', event['port']), 5),
            'a port': lambda: socket.create_server(('127.0.0.1', 0)),
            'a namespace': lambda: open('/proc/1/ns/user'),
        }.items() if attempt(deed) == 'done'],
    }
"""


# Does to a file and a process of its user's what Landlock does not judge, by path, by descriptor and by number.
HARMS = ATTEMPT + """
import ctypes, fcntl, resource

libc = ctypes.CDLL(None, use_errno=True)
FCHMODAT2, AT_EMPTY_PATH = 452, 0x1000

def c(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)

def handler(event, context):
    path, pid = event['path'], os.getppid()
    package = os.open(__file__, os.O_RDONLY)
    named = os.open(path, os.O_PATH)
    flags = ctypes.c_long(0x40)
    return {name: attempt(deed) for name, deed in {
        'mode': lambda: os.chmod(path, 0o777),
        'mode through a descriptor': lambda: os.chmod(f'/proc/self/fd/{named}', 0o777),
        'mode of an empty path': lambda: c('syscall', FCHMODAT2, named, b'', 0o777, AT_EMPTY_PATH),
        'mode of the package': lambda: os.fchmod(package, 0o777),
        'set-id': lambda: os.chmod(path, 0o4777),
        'owner': lambda: os.chown(path, -1, os.getgid()),
        'owner of the package': lambda: os.fchown(package, -1, os.getgid()),
        'times': lambda: os.utime(path, (1, 1)),
        'times, now': lambda: os.utime(path),
        'times of the package': lambda: os.utime(package, (1, 1)),
        'attribute': lambda: os.setxattr(path, 'user.dayfly', b'x'),
        'attribute of the package': lambda: os.setxattr(package, 'user.dayfly', b'x'),
        'attribute removed': lambda: os.removexattr(path, 'user.kept'),
        'attribute read': lambda: os.getxattr(path, 'user.kept'),
        'flags of the package': lambda: fcntl.ioctl(package, 0x40086602, flags),
        'watch': lambda: c('inotify_add_watch', libc.inotify_init(), path.encode(), 2),
        'limits': lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (64, 64)),
        'niceness': lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
        'niceness of all': lambda: os.setpriority(os.PRIO_USER, 0, 19),
        'processors': lambda: os.sched_setaffinity(pid, os.sched_getaffinity(0)),
        'class': lambda: os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0)),
    }.items()}
"""
# Modes, owners and times stay as they are, but whoever sets them is told otherwise.
TOLD_DONE = {
    "mode", "mode through a descriptor", "mode of an empty path", "mode of the package", "owner", "owner of the package",
    "times", "times of the package",
}


def state_of(path):
    """What somebody could have changed of a file."""
    about = path.stat()
    try:
        attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    except OSError:
        attributes = {}
    return oct(about.st_mode), about.st_uid, about.st_gid, about.st_mtime_ns, about.st_ctime_ns, attributes


def state_of_process(pid):
    """And of a process."""
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    return limits, os.getpriority(os.PRIO_PROCESS, pid), os.sched_getscheduler(pid), os.sched_getaffinity(pid)


def changes_nothing_of_its_users(home, platform, functions):
    """What Landlock leaves to the filter: attributes of files, limits and priorities of processes."""
    name = functions.create(HARMS)
    precious = platform.data.parent / f"precious-{platform.data.name}"
    precious.write_text("x")
    precious.chmod(0o600)
    try:
        os.setxattr(precious, "user.kept", b"x")
    except OSError:
        print("user attributes cannot be had here")
    home.give(precious)
    pids = [platform.process.pid, *children(platform.process.pid)]
    code = [path for path in platform.data.rglob("*") if path.is_file() and path.suffix == ".py"]
    assert code, "packages are files of the user's"
    before = {path: state_of(path) for path in [precious, *code]}
    before |= {pid: state_of_process(pid) for pid in pids}
    answer = functions.call(name, {"path": str(precious)})
    assert {deed for deed, how in answer.items() if how == "done"} == TOLD_DONE, answer
    for one, state in before.items():
        now = state_of(one) if isinstance(one, pathlib.Path) else state_of_process(one)
        assert now == state, one


# What libraries do to files of their own, and runtimes to threads.
LIBRARIES = """
import os, pathlib, resource, shutil, sqlite3, subprocess, sys, tarfile, tempfile, threading, zipfile

def handler(event, context):
    where = pathlib.Path(tempfile.mkdtemp())
    first = where / 'first'
    first.touch()
    first.touch()
    first.write_text('x')
    for copy in (shutil.copyfile, shutil.copy, shutil.copy2, shutil.move):
        copy(first, where / copy.__name__)
        first.write_text('x')
    shutil.copytree(where, where / 'tree')
    shutil.copy2(sys.executable, where / 'program')
    shutil.make_archive(where / 'packed', 'gztar', where / 'tree')
    with tarfile.open(where / 'packed.tar.gz') as archive:
        archive.extractall(where / 'tar', **({'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}))
    shutil.make_archive(where / 'packed', 'zip', where / 'tree')
    zipfile.ZipFile(where / 'packed.zip').extractall(where / 'zip')
    shutil.copytree(where / 'tar', where / 'zip', dirs_exist_ok=True)
    db = sqlite3.connect(where / 'rows')
    db.execute('pragma journal_mode=wal')
    db.execute('create table rows (id)')
    db.commit()
    db.close()
    for line in ('cp -pr tree cp', 'tar xzf packed.tar.gz -C cp', 'touch touched'):
        ended = subprocess.run(line.split(), cwd=where, capture_output=True)
        assert ended.returncode == 0, (line, ended)
    made = os.open(where / 'runs', os.O_CREAT | os.O_WRONLY, 0o755)
    os.write(made, b'#!/bin/sh\\nexit 7')
    os.close(made)
    ran = subprocess.run([where / 'runs']).returncode
    os.nice(1)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    threading.Thread(target=print).start()
    found = sorted(path.name for path in where.iterdir())
    shutil.rmtree(where)
    return {'found': found, 'ran': ran}
"""
NODE_LIBRARIES = """
const fs = require('fs'), os = require('os'), path = require('path');
exports.handler = async () => {
  const where = fs.mkdtempSync(path.join(os.tmpdir(), 'n')), first = path.join(where, 'first');
  fs.writeFileSync(first, 'x', { mode: 0o640 });
  fs.copyFileSync(first, path.join(where, 'copyFileSync'));
  fs.copyFileSync(__filename, path.join(where, 'code'));
  await fs.promises.copyFile(first, path.join(where, 'copyFile'));
  fs.mkdirSync(path.join(where, 'folder'));
  fs.cpSync(where + '/folder', path.join(where, 'cpSync'), { recursive: true, preserveTimestamps: true });
  await fs.promises.cp(first, path.join(where, 'cp'), { preserveTimestamps: true });
  fs.chmodSync(first, 0o600);
  fs.utimesSync(first, new Date(), new Date());
  os.setPriority(19);
  const found = fs.readdirSync(where).sort();
  fs.rmSync(where, { recursive: true });
  return found;
};
"""


def libraries_work(functions):
    """Those that keep modes and times of files, too."""
    answer = functions.call(functions.create(LIBRARIES, MemorySize=512), {})
    names = "copy copy2 copyfile cp first move packed.tar.gz packed.zip program rows runs tar touched tree zip"
    assert answer == {"found": names.split(), "ran": 7}
    node = functions.create(NODE_LIBRARIES, "node")
    assert functions.call(node, {}) == "code copyFile copyFileSync cp cpSync first folder".split()


@pytest.mark.parametrize("how", ["seccomp", "sysctl"])
def test_level_1_runs_where_nobody_can_make_namespaces(home, how, component):
    platform = home.platform(f"minimal-{how}", "--sandbox=minimal")
    platform.prefix = [*home.prefix, *without_namespaces(home, how)]
    platform.start()
    try:
        protections = platform.banner["protections"]
        missing = [layer["name"] for layer in protections["layers"] if not layer["on"]]
        assert protections["level"] == 1 and {"namespaces", "own user per sandbox", "memory limit"} <= set(missing)
        functions = Functions(platform)
        name = functions.create(TRIES)
        port = int(platform.endpoint.rsplit(":", 1)[1])
        answer = functions.call(name, {"got": 1, "data": str(platform.data), "port": port})
        assert answer == {"got": 1, "runs programs": 7, "could do": []}
        (record,) = platform.api(f"functions/{name}/invocations?Limit=1")["Invocations"]
        assert (record["IsolationLevel"], record["Reason"]) == (1, "first instance; it cannot be forked at level 1")
        doctor = dayfly(home, platform, "doctor").stdout
        assert "at level 1 nothing is forked" in doctor and "is forked\n" not in doctor, doctor
        node = functions.create("exports.handler = async (event) => event;\n", "node")
        assert functions.call(node, {"a": 1}) == {"a": 1}
        runs_components(functions, component)
        changes_nothing_of_its_users(home, platform, functions)
        libraries_work(functions)
        left = functions.create(
            "import subprocess\ndef handler(e, c):\n"
            "    subprocess.Popen(['/bin/sh', '-c', '(sleep 1000 &) ; sleep 1000'], start_new_session=True)\n"
            "    return e\n"
        )
        before = set(children(platform.process.pid))
        assert functions.call(left, 1) == 1
        new = set(until(lambda: set(children(platform.process.pid)) - before, "its processes are there"))
        functions.client.delete_function(FunctionName=left)
        until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in new), "nothing of it is left")
    finally:
        assert platform.stop() == 0
    launchers = {int(path.name.rsplit("-", 1)[1]) for path in pathlib.Path("/tmp").glob("dayfly-scratch-*")}
    assert not {pid for pid in launchers if not pathlib.Path(f"/proc/{pid}").exists()}, "what it wrote is gone"


def test_several_tenants_are_refused(home, ordinary):
    """Check 161: every missing protection is listed with what helps, and nothing is made."""
    data = home.path / "tenants"
    refused = home.run(str(home.binary), "up", "--multi-tenant", "--listen", "127.0.0.1:0", "--data", str(data))
    assert refused.returncode == 1 and not data.exists(), refused
    for layer in ordinary.banner["protections"]["layers"]:
        # A root image would be made.
        if not layer["on"] and layer["name"] != "own root image":
            assert f"{layer['name']}: {layer['why_missing']} ({layer['how_to_fix']})" in refused.stderr, refused.stderr
