"""WebAssembly components: real ones, deployed, called, and attacking. Numbers in names are those of the threat list."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import requests
from botocore.exceptions import ClientError
from concurrent.futures import ThreadPoolExecutor

from conftest import ROOT, TARGET, Functions, until, zipped_files
from harness import everything_below

COMPONENT = b"\0asm\x0d\0\x01\0"
CORE_MODULE = b"\0asm\x01\0\0\0"


def built(project, name):
    """A component of this repository; skips by name where the compiler has no such target."""
    target = TARGET / "wasm-guests"
    command = ["cargo", "build", "--release", "--quiet", "--target", "wasm32-wasip2", "--target-dir", target]
    done = subprocess.run(command, cwd=ROOT / project, capture_output=True, text=True, timeout=600)
    if done.returncode != 0 and ("target may not be installed" in done.stderr or not shutil.which("cargo")):
        pytest.skip(f"skipped: the target wasm32-wasip2 is not here to build {project} (scripts/setup.sh --test)")
    assert done.returncode == 0, done.stderr
    return target / "wasm32-wasip2" / "release" / f"{name}.wasm"


@pytest.fixture(scope="session")
def component():
    return built("tests/wasm-guest", "wasm_guest").read_bytes()


@pytest.fixture(scope="session")
def shared(platform, component):
    """One function that most tests share, and its URL."""
    functions = Functions(platform)
    name = functions.create(zipped_files({"guest.wasm": component}), "wasm", "guest.wasm", Timeout=5)
    yield functions, name, functions.public_url(name).rstrip("/")
    functions.close()


def ask(shared, deed):
    functions, name, _ = shared
    return functions.invoke(name, {"deed": deed})


def refused(functions, files):
    with pytest.raises(ClientError) as error:
        functions.create(zipped_files(files), "wasm", "bootstrap.wasm")
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


# What it is for.


def test_a_url_call_is_the_request_that_it_is(shared):
    _, _, url = shared
    answer = requests.patch(
        f"{url}/request?a=1&b=%20", data=b"x", headers={"X-Mine": "yes"}, cookies={"c": "1", "d": "2"}, timeout=30
    )
    assert answer.status_code == 200
    lines = answer.text.split("\n")
    assert lines[0] == "Method::Patch /request?a=1&b=%20"
    assert "x-mine: yes" in lines
    assert any(line.startswith("cookie: ") and "c=1" in line and "d=2" in line for line in lines)
    assert any(line.startswith("x-amzn-trace-id: Root=") for line in lines)
    assert answer.headers["x-guest"] == "yes" and answer.headers["content-type"] == "text/plain"
    assert dict(answer.cookies) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("body", [b"", b"text", bytes(range(256)) * 40, b"y" * 1_000_000])
def test_bodies_pass_both_ways(shared, body):
    _, _, url = shared
    answer = requests.post(f"{url}/echo", data=body, headers={"content-type": "application/octet-stream"}, timeout=30)
    assert answer.content == body


def test_statuses_pass(shared):
    functions, name, url = shared
    for status in (201, 404, 500, 599):
        assert requests.get(f"{url}/status?{status}", timeout=30).status_code == status
    # A caller of the API sees no status: from 400 on it is an error, below it the body is the result.
    assert ask(shared, "/status?201")["Payload"] == b"as asked"
    assert functions.failure(name, {"deed": "/status?404"}) == {"errorType": "Http.404", "errorMessage": "as asked"}


def test_a_plain_event_is_posted(shared):
    assert json.loads(ask(shared, "/echo")["Payload"]) == {"deed": "/echo"}
    shown = ask(shared, "/request")["Payload"].decode().split("\n")
    assert shown[0] == "Method::Post /"
    assert "content-type: application/json" in shown
    assert any(line.startswith("x-amzn-requestid: ") for line in shown)


def test_environment_and_output(platform, component):
    functions = Functions(platform)
    name = functions.create(
        zipped_files({"bootstrap.wasm": component}), "wasm", "any", Environment={"Variables": {"MINE": "1"}}
    )
    try:
        for variable, value in {
            "MINE": "1", "AWS_LAMBDA_FUNCTION_NAME": name, "AWS_EXECUTION_ENV": "AWS_Lambda_wasm", "PATH": "unset",
        }.items():
            assert functions.invoke(name, {"deed": f"/env?{variable}"})["Payload"].decode() == value
        tail = functions.tail(name, {"deed": "/print?42"})
        lines = [line.split("\t") for line in tail.splitlines()]
        (request_id,) = [line[0].split()[2] for line in lines if line[0].startswith("START ")]
        assert [request_id, "to stdout 42"] in lines and [request_id, "to stderr 42"] in lines, tail
    finally:
        functions.close()


def test_a_component_is_loaded_before_its_first_call(own, component):
    platform = own()
    functions = Functions(platform)
    name = functions.create(zipped_files({"bootstrap.wasm": component}), "wasm", "x")

    def first(deed):
        platform.api(f"functions/{name}/instances?NextRung=spare", "DELETE")
        answer = functions.invoke(name, {"deed": deed})
        record = functions.record(answer["ResponseMetadata"]["RequestId"])
        assert record["Rung"] == "spare" and "a process that had loaded its component" in record["Reason"], record
        return answer["Payload"].decode()

    assert first("/env?AWS_LAMBDA_FUNCTION_NAME") == name
    # What was loaded for one revision serves no other.
    for mine in ("1", "2"):
        functions.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"MINE": mine}})
        assert first("/env?MINE") == mine

    def loaded():
        below = [pathlib.Path(f"/proc/{pid}/cmdline") for pid in everything_below(platform.process.pid)]
        return sum(b"\0__wasm\0loaded\0" in held(path) for path in below)

    until(lambda: loaded() == 2, "there is one for the next start beside the instance")
    functions.client.delete_function(FunctionName=name)
    until(lambda: not loaded(), "it goes with its function")


def test_each_request_has_an_instance_of_its_own(shared):
    assert [ask(shared, f"/seen?{n}")["Payload"] for n in range(3)] == [b"0", b"1", b"2"]
    # The folder is the worker's, as it is that of a warm instance elsewhere.
    ask(shared, "/tmp?first")
    assert ask(shared, "/tmp?second")["Payload"] == b"first"


def test_calls_at_once(shared):
    functions, name, _ = shared
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: functions.invoke(name, {"deed": f"/seen?{n}"})["Payload"], range(64)))
    assert answers == [str(n).encode() for n in range(64)]


def test_calls_share_a_worker(platform, component):
    functions = Functions(platform)
    name = functions.create(zipped_files({"bootstrap.wasm": component}), "wasm", "x", Timeout=3)
    try:
        functions.call(name, {"deed": "/echo"})
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: functions.invoke(name, {"deed": "/sleep?700"}), range(8)))
        assert [answer["Payload"] for answer in answers] == [b"slept"] * 8
        records = [functions.record(answer["ResponseMetadata"]["RequestId"]) for answer in answers]
        assert len({record["Instance"] for record in records}) == 1, records
        # One that computes without end harms none of the others, and is stopped.
        with ThreadPoolExecutor(4) as pool:
            runaway = pool.submit(functions.failure, name, {"deed": "/loop"})
            others = [functions.call(name, {"deed": "/echo"}) for _ in range(10)]
        assert others == [{"deed": "/echo"}] * 10
        assert runaway.result()["errorType"] == "Sandbox.Timedout"
    finally:
        functions.close()


def test_calls_that_trap_or_lose_their_clients_leave_the_others_alone(platform, component):
    functions = Functions(platform)
    name = functions.create(zipped_files({"bootstrap.wasm": component}), "wasm", "x", Timeout=5)
    url = functions.public_url(name).rstrip("/")

    def records():
        return platform.api(f"functions/{name}/invocations?Limit=200")["Invocations"]

    try:
        assert requests.get(f"{url}/seen?first", timeout=30).text == "first"
        (worker,) = {record["Instance"] for record in records()}

        def one(number):
            match number % 4:
                case 0:
                    return requests.get(f"{url}/panic", timeout=30).status_code == 502
                case 1:
                    with contextlib.suppress(requests.exceptions.ReadTimeout):
                        requests.get(f"{url}/sleep?300", timeout=0.05)
                    return True
                case 2:
                    return requests.get(f"{url}/sleep?100", timeout=30).text == "slept"
            body = bytes([number]) * (number * 500)
            return requests.post(f"{url}/echo", data=body, timeout=30).content == body

        with ThreadPoolExecutor(12) as pool:
            assert all(pool.map(one, range(96)))
        until(lambda: len(records()) == 97, "every call leaves its record, whoever has left")
        outcomes = [record["Outcome"] for record in records()]
        assert (outcomes.count("error"), outcomes.count("success")) == (24, 73)
        assert {record["Instance"] for record in records()} == {worker}, "it lives on"
        # One that only sleeps while others compute may have used nothing that can be measured.
        used = [record["Usage"]["UserUs"] + record["Usage"]["SystemUs"] for record in records()]
        assert sum(1 for us in used if us > 0) > len(used) / 2, used
    finally:
        functions.close()


def test_it_reaches_the_platform_and_nothing_else(platform, shared):
    functions, name, _ = shared
    inside = functions.invoke(name, {"deed": "/env?AWS_ENDPOINT_URL"})["Payload"].decode()
    # Unsigned, so refused; but by the platform.
    assert ask(shared, f"/fetch?{inside}/2015-03-31/functions")["Payload"] == b"status 403"
    for url in ("http://example.com/", "https://127.0.0.1/", "http://10.0.0.1/", "http://127.0.0.1:1/"):
        answer = ask(shared, f"/fetch?{url}")["Payload"].decode()
        assert answer.startswith("failed: ErrorCode::"), (url, answer)


# What is wrong with a package is told to whoever deploys it.


@pytest.mark.parametrize(
    "files, why",
    [
        ({"bootstrap.wasm": CORE_MODULE}, "it is a core module, not a component; build it for wasm32-wasip2"),
        ({"bootstrap.wasm": COMPONENT}, "it does not export wasi:http/incoming-handler 0.2 but nothing"),
        ({"bootstrap.wasm": b"#!/bin/sh\n"}, "it is not WebAssembly"),
        ({"bootstrap.wasm": COMPONENT + b"\xff" * 64}, "bootstrap.wasm cannot be served: "),
        ({"a.txt": b"x"}, "the package holds no bootstrap.wasm and no other .wasm file at its top"),
        ({"a.wasm": COMPONENT, "b.wasm": COMPONENT}, "holds 2 .wasm files and none is named bootstrap.wasm"),
    ],
)
def test_unfit_packages_are_refused(functions, files, why):
    code, message = refused(functions, files)
    assert code == "InvalidParameterValueException"
    assert why in message, message


def test_150_damaged_components_are_errors(functions, component):
    whole = component
    for step in range(24):
        at = 8 + (len(whole) - 8) * step // 24
        cut = whole[:at] if step % 2 else whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        try:
            name = functions.create(zipped_files({"bootstrap.wasm": cut}), "wasm", "x", Timeout=3)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidParameterValueException", error
            continue
        # A changed byte of code or data may leave a component that runs.
        answer = functions.invoke(name, {"deed": "/echo"})
        assert answer["StatusCode"] == 200


def test_new_code_is_judged_too(shared):
    functions, name, _ = shared
    with pytest.raises(ClientError) as error:
        functions.client.update_function_code(FunctionName=name, ZipFile=zipped_files({"x.wasm": CORE_MODULE}))
    assert error.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert json.loads(ask(shared, "/echo")["Payload"]) == {"deed": "/echo"}


# What a component does wrong is a typed error, and the next call works.


@pytest.mark.parametrize(
    "deed, kind, message",
    [
        ("/panic", "Runtime.Trap", "wasm `unreachable` instruction executed"),
        ("/recurse", "Runtime.Trap", "call stack exhausted"),
        ("/grow", "Runtime.OutOfMemory", "more than the function's 128 MB of memory"),
        ("/exit", "Runtime.ExitError", "Runtime exited with error: exit status"),
        ("/silent", "Runtime.NoResponse", "without setting a response"),
        ("/error", "Runtime.BrokenResponse", "as asked"),
        ("/large", "Function.ResponseSizeTooLarge", "(6291556 bytes)"),
        ("/late-trap", "Runtime.Trap", "unreachable"),
        ("/random", "Runtime.Failed", "exceeds limit 65536"),
        ("/handles", "Runtime.Failed", "resource table has no free keys"),
        ("/fields", "Runtime.Failed", "total size of fields exceeds limit"),
        ("/status?503", "Http.503", "as asked"),
    ],
)
def test_145_147_failures_are_typed(shared, deed, kind, message):
    functions, name, _ = shared
    answer = functions.invoke(name, {"deed": deed})
    assert answer.get("FunctionError") == "Unhandled", answer
    error = json.loads(answer["Payload"])
    assert error["errorType"] == kind, error
    assert message in error["errorMessage"], error
    assert json.loads(ask(shared, "/echo")["Payload"]) == {"deed": "/echo"}


@pytest.mark.parametrize("deed", ["/loop", "/sleep?60000"])
def test_145_runaways_are_stopped(platform, component, deed):
    functions = Functions(platform)
    name = functions.create(zipped_files({"bootstrap.wasm": component}), "wasm", "x", Timeout=1)
    try:
        error = functions.failure(name, {"deed": deed})
        assert error["errorType"] == "Sandbox.Timedout"
        assert error["errorMessage"].endswith("Task timed out after 1.00 seconds")
        assert functions.call(name, {"deed": "/echo"}) == {"deed": "/echo"}
    finally:
        functions.close()


def test_146_files_outside_tmp_stay_out_of_reach(shared):
    lines = ask(shared, "/files")["Payload"].decode().split("\n")
    assert lines[-1] == "still mine"
    assert [line for line in lines[:-1] if not line.endswith(": denied")] == []
    assert len(lines) == 11


def test_147_sockets_are_closed(shared):
    assert ask(shared, "/sockets")["Payload"].startswith(b"Err(")


def test_148_memory_of_an_instance_is_gone_with_it(shared):
    for _ in range(5):
        assert ask(shared, "/canary")["Payload"] == b"0 words were not zero"


def test_145_a_bomb_hits_the_compiler_alone(functions, component):
    """Many large functions: the compiler's own bounds hold, and other functions run meanwhile."""
    bystander = functions.create(zipped_files({"bootstrap.wasm": component}), "wasm", "x")
    with ThreadPoolExecutor(1) as pool:
        bomb = pool.submit(refused, functions, {"bootstrap.wasm": core_bomb(200, 20_000)})
        while not bomb.done():
            assert functions.call(bystander, {"deed": "/echo"}) == {"deed": "/echo"}
    code, message = bomb.result()
    assert code == "InvalidParameterValueException", message


def test_149_the_worker_is_confined_as_native_code_is(platform, shared):
    """Were the engine broken out of, this process is where the attacker would be."""
    if os.geteuid() != 0:
        pytest.skip("only root can look into the worker")
    functions, name, _ = shared
    functions.call(name, {"deed": "/echo"})
    workers = [
        path for path in pathlib.Path("/proc").glob("[0-9]*")
        if held(path / "cmdline").startswith(b"/var/runtime/dayfly\0__wasm\0") and b"component.cwasm" in held(path / "maps")
    ]
    assert workers
    server = pathlib.Path(f"/proc/{platform.process.pid}")
    for worker in workers:
        status = dict(line.split(":\t", 1) for line in worker.joinpath("status").read_text().splitlines() if ":\t" in line)
        assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == "0" * 16
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert status["Uid"].split()[0] != "0"
        for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
            assert os.readlink(worker / "ns" / kind) != os.readlink(server / "ns" / kind), kind
        descriptors = {os.readlink(path).split(":")[0] for path in worker.joinpath("fd").iterdir()}
        # Standard streams, the control socket, the machine code, what the event loop and the engine made, which pages the
        # worker itself has written, and /tmp.
        known = {"pipe", "socket", "anon_inode", "/dev/null", "/tmp", "/var/runtime/component.cwasm"}
        others = {path for path in descriptors - known if not path.startswith("/memfd")}
        assert all(re.fullmatch(r"/proc/\d+/pagemap", path) for path in others) and len(others) <= 1, descriptors
        writable = [line for line in worker.joinpath("mountinfo").read_text().splitlines() if line.split()[5].startswith("rw")]
        assert all(line.split()[4] in ("/tmp", "/proc", "/dev", "/dev/shm") or line.split()[4].startswith("/dev/") for line in writable), writable
        assert platform.secret_key.encode() not in memory(worker)


def held(path):
    """A file of a process that may end meanwhile."""
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


def memory(process):
    """All that a process holds in writable memory."""
    out = bytearray()
    with open(process / "mem", "rb", buffering=0) as mem:
        for line in (process / "maps").read_text().splitlines():
            bounds, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(part, 16) for part in bounds.split("-"))
                with contextlib.suppress(OSError):
                    mem.seek(start)
                    out += mem.read(end - start)
    return bytes(out)


def leb(number):
    out = b""
    while True:
        number, low = number >> 7, number & 0x7F
        out += bytes([low | (0x80 if number else 0)])
        if not number:
            return out


def section(number, content):
    return bytes([number]) + leb(len(content)) + content


def core_bomb(functions, blocks):
    """A component around a core module whose functions nest and join: it exports nothing, so it is refused in the end."""
    body = b"\x00" + b"\x41\x00\x04\x40\x05\x0b" * blocks + b"\x0b"
    code = leb(functions) + (leb(len(body)) + body) * functions
    module = CORE_MODULE + section(1, b"\x01\x60\x00\x00") + section(3, leb(functions) + b"\x00" * functions)
    module += section(10, code)
    return COMPONENT + section(1, module)


# What is kept.


def test_compiled_code_is_checked_before_it_is_loaded(own, component):
    platform = own()
    functions = Functions(platform)
    name = functions.create(zipped_files({"bootstrap.wasm": component}), "wasm", "x")
    folder = platform.data / "wasm"
    (code,) = folder.glob("*.cwasm")
    whole = code.read_bytes()
    changed = {
        "cut": whole[: len(whole) // 2],
        "changed": whole[:-4000] + bytes(byte ^ 1 for byte in whole[-4000:]),
        "foreign": pathlib.Path("/bin/true").read_bytes(),
    }
    for case, bytes_ in changed.items():
        platform.stop()
        code.write_bytes(bytes_)
        platform.start()
        functions = Functions(platform)
        assert patient(functions, name) == {"deed": "/echo"}, case
        assert code.read_bytes() == whole, f"{case}: compiled anew"
    platform.stop()
    code.unlink()
    platform.start()
    functions = Functions(platform)
    assert patient(functions, name) == {"deed": "/echo"}
    functions.client.delete_function(FunctionName=name)
    platform.restart()
    assert not [path for path in folder.iterdir() if path.suffix != ".key"], "it goes with its package"


def patient(functions, name):
    """A call whose instance waits for the compiler, longer than for an init on a slow machine."""

    def called():
        with contextlib.suppress(functions.client.exceptions.ServiceException):
            return functions.call(name, {"deed": "/echo"})

    return until(called, "the component is compiled anew")


# The tool.


def test_deploy_a_file_a_folder_and_the_example(platform, component, tmp_path):
    functions = Functions(platform)
    (tmp_path / "greeter.wasm").write_bytes(component)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "any.wasm").write_bytes(component)
    built("examples/wasm-hello", "wasm_hello")
    try:
        for path, name in (
            (tmp_path / "greeter.wasm", "greeter"), (tmp_path / "folder", "folder"), (ROOT / "examples/wasm-hello", "wasm-hello"),
        ):
            functions.names.append(name)
            deployed = json.loads(platform.cli("deploy", str(path), "--json", "--memory", "256").stdout)
            assert (deployed["function"], deployed["runtime"]) == (name, "wasm")
            assert json.loads(platform.cli("invoke", name, "--json").stdout)["record"]["outcome"] == "success"
            again = platform.cli("deploy", str(path), "--memory", "256")
            assert "unchanged" in again.stdout + again.stderr
    finally:
        functions.close()


def test_deploy_says_what_is_no_component(platform, tmp_path):
    cases = {
        "module.wasm": (CORE_MODULE, "it is a core module, not a component", "wasm-tools component new"),
        "text.wasm": (b"hello", "it is not WebAssembly", "file "),
    }
    for name, (content, why, hint) in cases.items():
        (tmp_path / name).write_bytes(content)
        done = platform.cli("deploy", str(tmp_path / name), check=False)
        assert done.returncode == 2, done.stderr
        assert why in done.stderr and hint in done.stderr, done.stderr
