"""More of the attacks that the project's list of security checks names (`tests/checks.toml`), on the running platform."""

import concurrent.futures
import hashlib
import mmap
import os
import secrets
import socket
import threading

import pytest

from conftest import Functions, until, zipped_files
from harness import ATTACKER, place  # noqa: F401

# More rounds where there is time: `cargo xtask secure --tier 1` and above.
TIER = int(os.environ.get("DAYFLY_TIER", "0"))


def test_a_program_for_another_machine_is_named(place):
    """Check 28: answered as AWS answers, and known by a type of its own."""
    head = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9) + (2).to_bytes(2, "little") + (3).to_bytes(2, "little")
    package = zipped_files({"bootstrap": (head + bytes(4096)).decode("latin-1")}, {"bootstrap": 0o755})
    name = place.functions.create(package, runtime="provided.al2023", handler="any")
    answer = place.functions.invoke(name, 1, LogType="Tail")
    assert b'"errorType":"Runtime.InvalidEntrypoint"' in answer["Payload"], answer
    assert b"fork/exec /var/task/bootstrap: exec format error" in answer["Payload"], answer
    record = place.functions.record(answer["ResponseMetadata"]["RequestId"])
    assert record["ErrorType"] == "Runtime.BadArch", record


# Exhaustion ---------------------------------------------------------------------------------------------------------

KERNEL_OBJECTS = {
    # What is taken, and the most of it that one instance may have.
    "descriptors in flight": ("""
def pass_on():
    one, two = socket.socketpair()
    for _ in range(64):
        try:
            socket.send_fds(one, [b'x'], [one.fileno(), two.fileno()] * 100)
        except OSError as error:
            return errno.errorcode[error.errno]
def flood():
    for _ in range(4096):
        said = pass_on()
        if said and said not in ('EAGAIN', 'ENOBUFS'):
            return said
    return 'no end'
answer = flood()
""", {"ETOOMANYREFS"}),
    "signals": ("""
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
def flood():
    for sent in range(4096):
        if libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), None) < 0:
            return errno.errorcode[ctypes.get_errno()]
    return 'no end'
answer = flood()
""", {"EAGAIN"}),
    "timers": ("""
def flood():
    for made in range(4096):
        timer = ctypes.c_void_p()
        if libc.timer_create(1, None, ctypes.byref(timer)) < 0:
            return errno.errorcode[ctypes.get_errno()]
    return 'no end'
answer = flood()
""", {"EAGAIN", "EPERM"}),
    "message queues": ("answer = outcome(lambda: libc.mq_open(b'/x', 0o102, 0o600, None) >= 0 or call('mq_open', b'/x', 0o102, 0o600, None))",
                       {"'ENOSYS'"}),
    "fanotify": ("answer = call('fanotify_init', 0, 0)", {"EPERM", "ENOSYS", "EMFILE"}),
    "locked memory": ("answer = call('mlock', ctypes.create_string_buffer(1 << 20), 1 << 20)", {"ENOMEM", "EPERM"}),
}


@pytest.mark.parametrize("what", KERNEL_OBJECTS)
def test_kernel_objects_have_an_end(place, what):
    """Checks 6 and 7: there is a limit, it is inside only, and nothing is left."""
    code, ends = KERNEL_OBJECTS[what]
    with place.leaves_nothing():
        assert place.bystander_answers_during(lambda: place.attack(code)) in ends
        fresh, others = place.elsewhere(code)
        assert others in ends, "somebody else has as much"
        place.platform.api(f"functions/{fresh}/instances", method="DELETE")


def test_a_flood_of_output_is_cut_and_marked(place):
    """Check 5: what nobody can store is not stored, and that is said."""
    code = "line = b'x' * 1023 + b'\\n'\nfor _ in range(event['lines']):\n    os.write(1, line)\nanswer = 'said'"
    with place.leaves_nothing():
        lines = 200_000 if TIER else 50_000
        assert place.bystander_answers_during(lambda: place.attack(code, lines=lines)) == "said"
    stored = sum(file.stat().st_size for file in place.platform.data.rglob("*") if file.is_file())
    assert stored < 1 << 30
    place.all_is_well()


def test_zombies_are_buried(place):
    """Check 38: children that nobody waits for do not use up the processes."""
    code = """
for _ in range(event['count']):
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.waitpid(child, 0)
end = time.monotonic() + 20
while time.monotonic() < end:
    left = [p for p in os.listdir('/proc') if p.isdigit() and int(p) not in (1, os.getpid())]
    if not left:
        break
answer = left
"""
    assert place.attack(code, count=10_000 if TIER else 600) == []
    place.all_is_well()


# Escape -------------------------------------------------------------------------------------------------------------

CORE = """
import resource
canary = event['canary']
for size in (resource.RLIM_INFINITY, 4096, 0):
    with open('/proc/self/limits') as before:
        limits = before.read()
    tries = [lambda: resource.setrlimit(resource.RLIMIT_CORE, (size, size)), lambda: resource.prlimit(0, resource.RLIMIT_CORE, (size, size)),
             lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (size, 1))]
    for attempt in tries:
        try:
            attempt()
        except (OSError, ValueError):
            pass
    assert open('/proc/self/limits').read() == limits, size
if event['aborts']:
    os.abort()
answer = [line.split()[4:6] for line in limits.splitlines() if line.startswith('Max core file size')]
"""


def test_a_crash_leaves_no_core(place):
    """Check 23: with a limit of one byte the kernel writes no file and starts no handler of the host's, while at 0 it would
    start one; so nothing else can be set."""
    assert place.attack(CORE, canary="x" * 64, aborts=False) == [["1", "1"]]
    with place.leaves_nothing():
        place.typed_failure(CORE, "Runtime.ExitError", canary="x" * 64, aborts=True)
    assert place.attack("answer = [name for name in os.listdir('/tmp') if 'core' in name]") == []
    assert not list(place.platform.data.rglob("core*"))


def test_the_page_cache_of_read_only_files_stays_as_it_is(place):
    """Check 26: every known door to it is shut, and the cached file is still the one on the disk."""
    code = """
import fcntl
path = event['path']
opened = os.open(path, os.O_RDONLY)
reader, writer = os.pipe()
one, two = socket.socketpair()
def number(x86, others):
    return x86 if os.uname().machine == 'x86_64' else others
answer = {
    'write': outcome(lambda: os.write(opened, b'x')),
    'reopen': outcome(lambda: os.open(f'/proc/self/fd/{opened}', os.O_WRONLY)),
    'splice': call(number(275, 76), opened, 0, writer, 0, 4096, 0),
    'splice to a socket': call(number(275, 76), opened, 0, one.fileno(), 0, 4096, 0),
    'vmsplice': call(number(278, 75), writer, 0, 0, 0),
    'tee': call(number(276, 77), reader, writer, 1, 0),
    'AF_ALG': outcome(lambda: socket.socket(38, socket.SOCK_SEQPACKET, 0)),
    'AF_RXRPC': outcome(lambda: socket.socket(33, socket.SOCK_DGRAM, 2)),
    'NETLINK_XFRM': outcome(lambda: socket.socket(16, socket.SOCK_RAW, 6)),
    'AF_KEY': outcome(lambda: socket.socket(15, socket.SOCK_RAW, 2)),
    'UDP_ENCAP': outcome(lambda: socket.socket(2, 2).setsockopt(17, 100, 2)),
    'TCP_ULP': outcome(lambda: socket.socket(2, 1).setsockopt(6, 31, b'tls')),
    'add_key': call(number(248, 217), b'rxrpc', b'x', b'x', 1, -3),
}
"""
    path = os.path.realpath("/usr/bin/env")
    before = cached_and_stored(path)
    tried = place.attack(code, path=path)
    refused = {"EPERM", "EBADF", "EINVAL", "EAFNOSUPPORT", "EACCES", "EROFS", "ENOSYS", "ENOPROTOOPT", "ETXTBSY"}
    assert set(tried.values()) <= refused, tried
    after = cached_and_stored(path)
    assert before == after and len(set(after)) == 1


def cached_and_stored(path):
    """Hashes of a file as everybody reads it and as it lies on the disk, where this can be read."""
    with open(path, "rb") as file:
        cached = file.read()
    hashes = [hashlib.sha256(cached).hexdigest()]
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        return hashes
    with open(opened, "rb", buffering=0) as file, mmap.mmap(-1, (len(cached) | 4095) + 1) as aligned:
        got = file.readinto(aligned)
        return [*hashes, hashlib.sha256(aligned[:got]).hexdigest()]


def test_exec_tricks_stay_inside(place):
    """Check 31: a program from memory is confined like any other, and a function's settings are not the launcher's."""
    code = """
program = open('/bin/cat', 'rb').read()
memory = os.memfd_create('x', 0)
os.write(memory, program)
done = subprocess.run([f'/proc/self/fd/{memory}', '/proc/self/status'], pass_fds=[memory], capture_output=True, text=True)
status = dict(line.split(':\\t', 1) for line in done.stdout.splitlines() if ':\\t' in line)
answer = [{name: status[name] for name in ('CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp')}, os.environ.get('LD_PRELOAD')]
"""
    preloaded = {"Variables": {"LD_PRELOAD": "/tmp/none.so", "LD_LIBRARY_PATH": "/tmp", "GCONV_PATH": "/tmp"}}
    name = place.functions.create(ATTACKER, Environment=preloaded)
    status, preload = place.functions.call(name, {"code": code})
    none = "0" * 16
    assert status == {"CapEff": none, "CapBnd": none, "NoNewPrivs": "1", "Seccomp": "2"}
    assert preload == "/tmp/none.so", "the function's own variable is the function's own business"
    for pid in [place.platform.process.pid]:
        assert "none.so" not in open(f"/proc/{pid}/cmdline").read()


NAMES = ["..", "a/b", "a\\b", "a\x00b", "x" * 300, "аdmin", "-rf;", "a b", "%2e%2e", "", "$(id)"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_paths(place, name):
    """Check 33: refused, and nothing outside the data directory or by that name within it."""
    before = sorted(path.name for path in place.platform.data.parent.iterdir())
    with pytest.raises(Exception) as refused:
        place.functions.create("def handler(e, c):\n    return e\n", name=name or "/")
    text = str(refused.value)
    assert "ValidationException" in text or "InvalidParameterValue" in text or "alidat" in text or "404" in text, text
    assert sorted(path.name for path in place.platform.data.parent.iterdir()) == before
    assert not [path for path in place.platform.data.rglob("*") if name and path.name == name]


# Leftovers ----------------------------------------------------------------------------------------------------------

def test_what_is_left_in_tmp_is_the_same_instances_only(place):
    """Check 39."""
    mark = "mark-" + secrets.token_hex(8)
    leave = """
import tempfile
for folder in ('/tmp', '/dev/shm'):
    open(f"{folder}/{event['mark']}", 'w').write(event['mark'])
kept = globals().setdefault('kept', [])
unlinked = open(f"/tmp/gone-{event['mark']}", 'w')
os.unlink(unlinked.name)
sock = socket.socket(socket.AF_UNIX)
sock.bind('\\0' + event['mark'])
sock.listen()
import builtins
builtins.kept = [unlinked, sock, os.memfd_create(event['mark'])]
answer = 'left'
"""
    look = """
found = [f for f in ('/tmp', '/dev/shm') if os.path.exists(f"{f}/{event['mark']}")]
def connect():
    with socket.socket(socket.AF_UNIX) as one:
        one.connect('\\0' + event['mark'])
found += ['socket'] if outcome(connect) == 'None' else []
for fd in os.listdir('/proc/self/fd'):
    target = outcome(lambda: os.readlink(f'/proc/self/fd/{fd}'))
    found += [target] if event['mark'] in target else []
answer = found
"""
    place.afresh()
    assert place.attack(leave, mark=mark) == "left"
    assert {"/tmp", "/dev/shm", "socket"} <= set(place.attack(look, mark=mark)), "the same instance is used again"
    assert place.elsewhere(look, mark=mark)[1] == [], "another function sees none of it"
    place.functions.client.update_function_configuration(FunctionName=place.attacker, Description=mark)
    place.functions.client.get_waiter("function_updated_v2").wait(FunctionName=place.attacker)
    assert place.attack(look, mark=mark) == [], "another revision sees none of it"
    place.attack(leave, mark=mark)
    place.afresh()
    assert place.attack(look, mark=mark) == [], "the next instance sees none of it"


def test_a_function_cannot_change_itself(place):
    """Check 40: its code is read-only, and what it makes of its runtime ends with the instance."""
    code = """
answer = [outcome(lambda: open('/var/task/app.py', 'a')), outcome(lambda: open('/var/task/new', 'w')),
          outcome(lambda: os.rename('/var/task/app.py', '/var/task/x')), outcome(lambda: os.unlink('/var/task/app.py')),
          outcome(lambda: open('/var/runtime/x', 'w'))]
"""
    assert set(place.attack(code)) <= {"EROFS", "EACCES"}
    place.afresh()
    place.attack("import app\napp.handler = lambda event, context: 'patched'\nsys.modules['app'].outcome = None\nanswer = 1")
    place.afresh()
    place.all_is_well()


# Frames of the channel's own form: a length, a kind, and then what should not be said now.
FRAMES = {
    "nonsense": "b'\\xff' * 64",
    "half a frame": "b'\\x10\\x00\\x00'",
    "a gigabyte announced": "(1 << 30).to_bytes(4, 'little') + b'\\x12' + bytes(64)",
    "an answer to another request": "((39).to_bytes(4, 'little') + b'\\x12' + bytes([36]) + b'0' * 36 + b'{}') * 8",
    "ready again": "(bytes(4) + b'\\x11') * 4",
    "a million empty ones": "bytes(1 << 20)",
}


@pytest.mark.parametrize("frame", FRAMES)
def test_what_a_runtime_may_not_say(place, frame):
    """Checks 40, 41: the instance is retired with a typed error, the server's memory stays, the next call is clean."""
    code = f"""
import threading
def flood():
    for number in range(3, 64):
        try:
            os.set_blocking(number, False)
            os.write(number, {FRAMES[frame]})
        except OSError:
            pass
flood()
answer = 'said'
"""
    place.afresh()
    before = resident(place.platform.process.pid)
    answer = place.functions.invoke(place.attacker, {"code": code})
    if "FunctionError" in answer:
        assert b'"errorType":"Runtime.' in answer["Payload"] or b"Sandbox.Timedout" in answer["Payload"], answer
    place.afresh()
    place.all_is_well()
    assert resident(place.platform.process.pid) < before + (64 << 20)


def resident(pid):
    return int(open(f"/proc/{pid}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_no_caller_gets_anothers_answer(place):
    """Check 42: answers that come too late, from threads that live on, beside others that are in time."""
    code = """
import threading, time
def handler(event, context):
    time.sleep(event['wait'])
    return event
"""
    name = place.functions.create(code, Timeout=1)
    rounds = 2000 if TIER else 200

    def one(number):
        wait = 1.5 if number % 20 == 0 else (number % 7) / 100
        event = {"number": number, "wait": wait}
        answer = Functions(place.platform).invoke(name, event)
        if "FunctionError" in answer:
            return b"Sandbox.Timedout" in answer["Payload"] and wait > 1
        return answer["Payload"] == __import__("json").dumps(event).encode() or \
            __import__("json").loads(answer["Payload"]) == event

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(rounds)))


def test_a_change_is_seen_by_all_or_none(place):
    """Check 43: once a change is acknowledged, no call sees what was before, whatever instances are warm."""
    code = "import os, time\ndef handler(event, context):\n    time.sleep(0.01)\n    return int(os.environ['ROUND'])\n"
    name = place.functions.create(code, Environment={"Variables": {"ROUND": "0"}})
    acknowledged, over, wrong = [0], threading.Event(), []

    def ask():
        functions = Functions(place.platform)
        while not over.is_set():
            least = acknowledged[0]
            seen = functions.call(name)
            if seen < least:
                wrong.append((seen, least))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            for number in range(1, 40 if TIER else 10):
                place.functions.client.update_function_configuration(
                    FunctionName=name, Environment={"Variables": {"ROUND": str(number)}}
                )
                place.functions.client.get_waiter("function_updated_v2").wait(FunctionName=name)
                acknowledged[0] = number
        finally:
            over.set()
        [one.result() for one in asking]
    assert wrong == []


def test_late_output_is_the_functions_own(place):
    """Check 46: what is printed after the answer stands in the log of the function that printed it, once, marked."""
    mark = "late-" + secrets.token_hex(8)
    code = """
import threading
def later():
    time.sleep(0.3)
    print(event['mark'], flush=True)
threading.Thread(target=later).start()
answer = 'answered'
"""
    name, answer = place.elsewhere(code, mark=mark)
    assert answer == "answered"
    place.functions.call(place.bystander, 1)
    lines = until(lambda: place.logged(name, mark), "the late line is there")
    assert len(lines) == 1 and lines[0].startswith(mark) and place.logged(place.bystander, mark) == []
    marked = "[dayfly] printed after the end of RequestId: "
    assert len(place.logged(name, marked)) == 1 and place.logged(place.bystander, marked) == []


LINES = {
    "carriage return": "a\\rEND RequestId: forged",
    "escape": "\\x1b[2J\\x1b]0;title\\x07",
    "a record": '{"type":"platform.report","record":{}}',
    "bad UTF-8": "\\udcff\\udcfe",
    "a report": "REPORT RequestId: forged\\tDuration: 0 ms",
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_a_line(place, line):
    """Check 47: one event per printed line, no field of it the function's to set."""
    mark = "line-" + secrets.token_hex(8)
    code = f"os.write(1, ('{mark}' + '{LINES[line]}').encode('utf-8', 'surrogateescape') + b'\\n')\nanswer = 1"
    name, answer = place.elsewhere(code)
    assert answer == 1
    lines = until(lambda: place.logged(name, mark), "the line")
    assert len(lines) == 1, lines
    assert "\x1b" not in lines[0] or lines[0].startswith(mark)


def test_a_line_of_ten_megabytes_is_cut(place):
    """Check 47."""
    mark = "long-" + secrets.token_hex(8)
    code = f"os.write(1, b'{mark}')\nfor _ in range(10):\n    os.write(1, b'y' * (1 << 20))\nos.write(1, b'\\n')\nanswer = 1"
    name, answer = place.elsewhere(code)
    assert answer == 1
    lines = until(lambda: place.logged(name, mark), "the line")
    assert len(lines) == 1 and len(lines[0]) <= 1 << 20


# Network ------------------------------------------------------------------------------------------------------------

def test_a_listening_function_is_reached_by_nobody(place):
    """Check 53: not from the host, not from another function."""
    port = 20_000 + secrets.randbelow(20_000)
    code = """
import threading
listening = socket.create_server(('0.0.0.0', event['port']))
import builtins
builtins.kept = listening
with socket.create_connection(('127.0.0.1', event['port']), timeout=5):
    answer = 'itself'
"""
    connect = "answer = outcome(lambda: socket.create_connection(('127.0.0.1', event['port']), timeout=5))"
    place.afresh()
    assert place.attack(code, port=port) == "itself"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert place.elsewhere(connect, port=port)[1] == "ECONNREFUSED"
    place.afresh()


def test_a_forged_host_leads_to_the_platform_only(place):
    """Check 51: whatever a function calls itself, its request goes to the platform's own endpoint."""
    code = """
import http.client
endpoint = os.environ['AWS_ENDPOINT_URL'].split('//')[1]
answer = {}
for host in event['hosts']:
    connection = http.client.HTTPConnection(endpoint, timeout=10)
    connection.putrequest('GET', '/', skip_host=True)
    connection.putheader('Host', host)
    connection.endheaders()
    said = connection.getresponse()
    answer[host] = [said.status, said.read(2000).decode()]
    connection.close()
"""
    with socket.create_server(("127.0.0.1", 0)) as somewhere:
        port = somewhere.getsockname()[1]
        hosts = [f"127.0.0.1:{port}", "169.254.169.254", "x.lambda-url.localhost", "localhost:9001"]
        answers = place.attack(code, hosts=hosts)
        somewhere.settimeout(0)
        with pytest.raises(BlockingIOError):
            somewhere.accept()
    assert all(400 <= status < 500 for status, _ in answers.values()), answers
