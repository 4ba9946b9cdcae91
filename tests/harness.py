"""The rules that every attack is judged by, and the platforms on which they are tried.

* bystander: somebody else's function answers every call meanwhile (`Place.bystander_answers_during`);
* residue: what the host held before, it holds afterwards (`Place.leaves_nothing`);
* leak: secrets that are planted where the platform and others have theirs are found nowhere (`CANARY`);
* typed error: the caller gets an error with a type and a request id and without anything of the host
  (`Place.typed_failure`).
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import secrets
import socket
import threading
import time

import pytest

from conftest import Functions, Platform, until
from ordinary import OrdinaryHome, started

# Runs whatever the test sends, so that each attack is data.
ATTACKER = """
import ctypes, errno, os, signal, socket, stat, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)

def outcome(attempt):
    try:
        return repr(attempt())
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))

def call(name, *arguments):
    '''The error of a C library function or, by number, a system call; 'ok' if it worked.'''
    ctypes.set_errno(0)
    function = getattr(libc, name) if isinstance(name, str) else lambda *rest: libc.syscall(name, *rest)
    answer = function(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return 'ok' if answer >= 0 else errno.errorcode.get(ctypes.get_errno(), str(ctypes.get_errno()))

def walk(*skipped):
    for folder, folders, files in os.walk('/'):
        folders[:] = [f for f in folders if os.path.join(folder, f) not in skipped]
        yield folder, files

def handler(event, context):
    scope = dict(globals(), event=event)
    exec(event['code'], scope)
    return scope.get('answer')
"""

# Open connections that the attacked platforms take.
CONNECTIONS = 200

CANARY = "canary-" + secrets.token_hex(16)
BYSTANDER = f"""
import os
{CANARY.replace('-', '_')} = 'code'
def handler(event, context):
    print('{CANARY} in the log')
    with open('/tmp/{CANARY}', 'w') as out:
        out.write('{CANARY}')
    return event
"""


# What one spare instance holds. `test_nothing_is_left_however_often_it_is_tried` shows that no leak hides behind it.
SPARE = {"processes": 2, "descriptors": 10, "descriptors of the launcher": 26, "control groups": 4}

# More than the second in which the platform looks whether it should make something, or let go of it.
STEADY_S = 1.5


class Place:
    """A platform with an attacker and somebody who minds its own business."""

    def __init__(self, platform):
        self.platform = platform
        self.functions = Functions(platform)
        self.attacker = self.functions.create(ATTACKER, MemorySize=256, Timeout=60)
        self.bystander = self.functions.create(
            BYSTANDER, Environment={"Variables": {"SECRET": f"{CANARY} in the environment"}}, Timeout=60
        )
        assert self.functions.call(self.bystander, 1) == 1

    def attack(self, code, **event):
        return self.functions.call(self.attacker, {"code": code, **event})

    def fails(self, code, **event):
        return self.functions.failure(self.attacker, {"code": code, **event})

    def elsewhere(self, code, **event):
        """The same attack by another function, and its name."""
        name = self.functions.create(ATTACKER)
        return name, self.functions.call(name, {"code": code, **event})

    def logged(self, name, mark):
        """Events in a function's log with a mark in them."""
        found = self.platform.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [event["message"] for event in found if mark in event["message"]]

    def afresh(self):
        """The next attack finds nothing of the ones before it."""
        self.platform.api(f"functions/{self.attacker}/instances", method="DELETE")

    def protected(self, layer):
        """Whether the platform says that it has a layer of protection."""
        return {one["name"]: one["on"] for one in self.platform.banner["protections"]["layers"]}[layer]

    def typed_failure(self, code, *types, **event):
        """The type of an attack's error: one of `types`, without anything of the host."""
        answer = self.functions.invoke(self.attacker, {"code": code, **event})
        said = answer["Payload"].decode()
        assert answer.get("FunctionError") == "Unhandled" and answer["ResponseMetadata"]["RequestId"], answer
        error = json.loads(said)
        assert error["errorType"] in types, said
        assert re.match("RequestId: [0-9a-f-]{36} Error: ", error["errorMessage"]), said
        for foreign in (str(self.platform.data), CANARY, "panicked", self.bystander, ".rs:"):
            assert foreign not in said, said
        return error["errorType"]

    @contextlib.contextmanager
    def leaves_nothing(self):
        """What is done within leaves nothing on the host, once the attacker's instances have ended. The platform may
        have come to keep one spare more, for it has seen more calls."""
        held = self.resting()
        yield
        now = held

        def more():
            nonlocal now
            now = self.resting()
            return {what: now[what] for what in held if now[what] > held[what] + SPARE.get(what, 0)}

        with contextlib.suppress(AssertionError):
            until(lambda: not more(), "no more than before", 20)
        assert not more(), f"before {held}, now {now}"

    def resting(self):
        """What the platform holds while nobody calls and it has made all that it keeps to start others from."""
        assert self.attack("answer = 'warm'") == "warm"
        self.afresh()
        held, since = None, 0

        def steady():
            nonlocal held, since
            now = self.settled()
            if now is None or now != held:
                held, since = now, time.monotonic()
            return time.monotonic() - since > STEADY_S

        until(steady, "it holds no more and no less for a while")
        return held

    def settled(self):
        """What the platform holds while nothing of the attacker lives."""
        instances = self.platform.api("status")["Instances"]
        if any(one["FunctionName"] == self.attacker for one in instances):
            return None
        server = self.platform.process.pid
        launcher = launcher_of(server)
        count = lambda folder: len(os.listdir(folder)) if os.access(folder, os.R_OK) else 0
        groups = [line for line in os.popen(f"find /sys/fs/cgroup -path '*dayfly-{launcher}*' -type d").read().split()]
        return {
            "processes": len(below(launcher)),
            "descriptors": descriptors(server),
            "descriptors of the launcher": count(f"/proc/{launcher}/fd"),
            "control groups": len(groups),
            "mounts": pathlib.Path("/proc/self/mountinfo").read_text().count("\n"),
            "temporary folders": len(list(self.platform.data.glob("tmp/*"))),
        }

    def all_is_well(self):
        assert self.attack("answer = 'well'") == "well"
        assert self.functions.call(self.bystander, "well") == "well"

    def bystander_answers_during(self, attack):
        """Runs an attack beside a bystander that must answer every call."""
        answered, over = [], threading.Event()

        def ask():
            while not over.is_set() or not answered:
                answered.append(self.functions.call(self.bystander, len(answered)) == len(answered))
                time.sleep(0.02)

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asking = pool.submit(ask)
            try:
                result = attack()
            finally:
                over.set()
            asking.result()
        assert answered and all(answered)
        return result


@pytest.fixture(scope="module", params=["root", "ordinary"])
def place(request, workspace):
    root = os.getuid() == 0
    if request.param == "root" and not root:
        pytest.skip("skipped: this suite does not run as root")
    home = OrdinaryHome() if request.param == "ordinary" else None
    few = ["--connections", str(CONNECTIONS)]
    platform = started(home.platform("data", *few)) if home else Platform(workspace / "attacked", *few).start()
    made = Place(platform)
    yield made
    made.functions.close()
    assert platform.stop() == 0
    if home:
        home.close()


def host_addresses():
    """Addresses of this machine that are not its loopback."""
    found = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            found.add(probe.getsockname()[0])
        except OSError:
            pass
    return [address for address in found if not address.startswith("127.")] or ["192.0.2.1"]


def descriptors(pid):
    """Open ones, without the connections of clients, who come and go, and the logs of functions, which stay."""
    network = set()
    for table in ("tcp", "tcp6"):
        lines = pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        network |= {f"socket:[{line.split()[9]}]" for line in lines}
    found = 0
    for number in os.listdir(f"/proc/{pid}/fd") if os.access(f"/proc/{pid}/fd", os.R_OK) else []:
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/{pid}/fd/{number}")
            found += target not in network and not target.endswith(".seg")
    return found


def running(word):
    """Processes of this machine with a word in their command line."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and word in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            pass
    return found


def everything_below(pid):
    found = [int(child) for child in below(pid)]
    return found + [deeper for child in found for deeper in everything_below(child)]


def below(pid):
    """Children; none of one that has just ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def launcher_of(platform):
    return int(below(platform)[0])
