"""What a client or a machine does wrong, and the answer that it gets.

Signatures are in test_access.py, failing and misbehaving handlers in test_invoke.py, ports and disks in
test_durability.py, projects that cannot be deployed in test_cli.py.
"""

import base64
import contextlib
import io
import json
import os
import pathlib
import re
import shlex
import socket
import subprocess
import zipfile

import boto3
import botocore.config
import pytest
import requests

from conftest import BINARY, ROLE, Functions, newest, until
from test_access import LIST, signed
from test_lambda_api import refused

HELLO = "def handler(event, context):\n    return 'hello'\n"
FILE, LINK, DEVICE = 0o100644, 0o120777, 0o060644
UNZIPPED_BYTES = 262_144_000


def archive(*entries):
    """A zip of the handler and of `(name, content, mode)`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content, mode in (("app.py", HELLO, FILE), *entries):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr, info.compress_type = 3, mode << 16, zipfile.ZIP_DEFLATED
            made.writestr(info, content)
    return out.getvalue()


def zeros(size):
    """A zip of the handler and of a file of so many zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("app.py", HELLO)
        with made.open("zeros", "w") as file:
            for start in range(0, size, 1 << 20):
                file.write(bytes(min(1 << 20, size - start)))
    return out.getvalue()


GOOD = archive()
UNZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
BAD_ARCHIVES = {
    "climbs-out": (lambda: archive(("../evil", "x", FILE)), f'{UNZIP} (entry "../evil": its name leads out of the package'),
    "climbs-out-later": (lambda: archive(("a/../../evil", "x", FILE)), f'{UNZIP} (entry "a/../../evil"'),
    "absolute": (lambda: archive(("/etc/evil", "x", FILE)), "its name is absolute"),
    "backslash": (lambda: archive(("..\\evil", "x", FILE)), "backslash"),
    "link-out": (lambda: archive(("link", "/etc/passwd", LINK)), "symbolic link"),
    "link-up": (lambda: archive(("link", "../../x", LINK)), "symbolic link"),
    "through-a-link": (lambda: archive(("d", "sub", LINK), ("d/x", "x", FILE)), "it is beneath a symbolic link"),
    "device": (lambda: archive(("dev", "", DEVICE)), "it is a device"),
    "twice": (lambda: archive(("a", "1", FILE), ("a/", "", 0o040755)), f"{UNZIP}"),
    "cut-short": (lambda: GOOD[:-10], "it is not a zip archive"),
    "bit-flipped": (lambda: GOOD[:45] + bytes([GOOD[45] ^ 0xFF]) + GOOD[46:], f'{UNZIP} (entry "app.py"'),
    "no-zip": (lambda: os.urandom(5000), "it is not a zip archive"),
    "no-entries": (lambda: b"PK\x05\x06" + bytes(18), "Uploaded file must be a non-empty zip"),
    "too-large-unzipped": (lambda: zeros(UNZIPPED_BYTES), f"Unzipped size must be smaller than {UNZIPPED_BYTES} bytes"),
    "bomb": (lambda: zeros(1 << 30), f"Unzipped size must be smaller than {UNZIPPED_BYTES} bytes"),
    "too-large-zipped": (lambda: os.urandom((50 << 20) + 1), "Zipped size must be smaller than 52428800 bytes"),
}


def stored(platform):
    """The files of all packages: archives and what was unpacked of them."""
    places = [platform.data / "blobs", platform.data / "code"]
    return {path for place in places for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_a_bad_archive_is_refused_whole(functions, platform, case):
    made, says = BAD_ARCHIVES[case]
    package = made()
    name = functions.create(HELLO)
    before = stored(platform)
    refused(lambda: functions.create(package), "InvalidParameterValueException", 400, says)
    refused(lambda: functions.client.update_function_code(FunctionName=name, ZipFile=package),
            "InvalidParameterValueException", 400, says)
    assert not stored(platform) - before, "nothing of it stays"
    assert functions.call(name) == "hello"


def test_the_largest_package_is_taken(functions):
    name = functions.create(zeros(UNZIPPED_BYTES - len(HELLO)))
    assert functions.call(name) == "hello"


def post(platform, body, path=LIST):
    headers = signed(platform, "POST", path, body, {"content-type": "application/json"})
    answer = requests.post(platform.endpoint + path, data=body, headers=headers)
    return answer.status_code, answer.headers.get("x-amzn-errortype"), answer


@pytest.mark.parametrize("body, code", [
    (b"{not json", "SerializationException"),
    (b"[]", "SerializationException"),
    (b'"text"', "SerializationException"),
    (b"\xff\xfe", "SerializationException"),
    (b'{"Code": {"ZipFile": "%%% not base64"}}', "SerializationException"),
    (b'{"Timeout": 1e99}', "SerializationException"),
    (b'{"MemorySize": "128"}', "SerializationException"),
    (b'{"Environment": {"Variables": {"AB": 1}}}', "SerializationException"),
    (b'{"Code":' * 200_000 + b"1" + b"}" * 200_000, "ValidationException"),
    (b"{}", "ValidationException"),
])
def test_a_body_that_is_not_the_operations(platform, body, code):
    status, kind, answer = post(platform, body)
    assert (status, kind) == (400, code), answer.text


def test_unknown_members_are_passed_over(functions, platform):
    functions.names.append("unknown-members")
    body = {
        "FunctionName": "unknown-members", "Runtime": newest(platform, "python"), "Handler": "app.handler", "Role": ROLE,
        "Code": {"ZipFile": base64.b64encode(GOOD).decode(), "FromTheFuture": 1}, "NoSuchMember": {"deep": [1, None]},
    }
    status, _, answer = post(platform, json.dumps(body).encode())
    assert status == 201, answer.text
    assert "NoSuchMember" not in answer.json()
    assert functions.call("unknown-members") == "hello"


def test_an_unknown_path_or_target_is_named(platform):
    status, kind, _ = post(platform, b"{}", "/2015-03-31/nothing")
    assert (status, kind) == (404, "UnknownOperationException")
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "Logs_20140328.Nothing"}
    signed_headers = signed(platform, "POST", "/", b"{}", headers, service="logs")
    answer = requests.post(platform.endpoint, data=b"{}", headers=signed_headers)
    assert (answer.status_code, answer.json()["__type"].split("#")[-1]) == (404, "UnknownOperationException"), answer.text


@pytest.mark.parametrize("said", ["Transfer-Encoding: chunked", "Content-Length: 71000000"])
def test_a_body_that_is_too_long_is_refused(platform, said):
    host, port = platform.endpoint.split("//")[1].split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"POST {LIST} HTTP/1.1\r\nhost: {host}\r\n{said}\r\n\r\n".encode())
        if "chunked" in said:
            chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
            try:
                for _ in range(80):
                    connection.sendall(chunk)
            except OSError:
                pass
        answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 413 ") and b"for the CreateFunction operation" in answer, answer


def interpreters():
    """The interpreters that lie in folders where every platform looks, whatever its environment."""
    folders = [pathlib.Path(folder) for pattern in ("usr/bin", "usr/local/bin", "opt/*/bin", "opt/python/*/bin")
               for folder in pathlib.Path("/").glob(pattern)]
    files = [path for folder in folders for path in folder.iterdir()]
    found = {path.resolve() for path in files if re.match(r"(python|node)[0-9.js]*$", path.name)}
    return [path for path in sorted(found) if path.is_file()]


@pytest.fixture
def without_interpreters(tmp_path):
    """A platform on a machine that has no interpreter: none at home, and those of the system are hidden from it."""
    if os.geteuid() != 0:
        pytest.skip("hiding the system's interpreters needs root")
    hide = "".join(f"mount --bind /dev/null {shlex.quote(str(path))}\n" for path in interpreters())
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "NO_COLOR": "1"}
    bare = {**environment, "PATH": "/nonexistent"}
    start = f"set -e\n{hide}export PATH=/nonexistent\nexec {BINARY} up --json --listen 127.0.0.1:0 --data {tmp_path}/data"
    process = subprocess.Popen(["unshare", "--mount", "sh", "-c", start], env=environment, stdout=subprocess.PIPE)
    try:
        banner = json.loads(process.stdout.readline())
        yield banner, lambda *arguments: subprocess.run(
            [BINARY, *arguments, "--data", tmp_path / "data"], env=bare, capture_output=True, text=True, timeout=60
        )
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_a_machine_without_python(without_interpreters, tmp_path):
    banner, dayfly = without_interpreters
    # A Java may stand where every machine has it.
    assert [found for found in banner["runtimes"] if found["language"] != "java"] == []
    assert "interpreters" in dayfly("doctor").stdout
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "app.py").write_text(HELLO)
    deployed = dayfly("deploy", folder)
    assert deployed.returncode == 1
    assert "no Python was found on the platform's machine" in deployed.stderr and "hint:" in deployed.stderr

    key = json.loads((tmp_path / "data" / "root-key.json").read_text())
    client = boto3.client(
        "lambda", endpoint_url=banner["endpoint"], region_name="us-east-1", aws_access_key_id=key["accessKeyId"],
        aws_secret_access_key=key["secretAccessKey"],
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )
    client.create_function(
        FunctionName="hello", Runtime="python3.12", Handler="app.handler", Role=ROLE, Code={"ZipFile": GOOD}
    )
    refused(lambda: client.invoke(FunctionName="hello"), "InvalidRuntimeException", 502,
            "python3.12 is not installed on this machine (found: ")
    (folder / "app.py").unlink()
    (folder / "bootstrap").write_text("#!/bin/sh\nexit 3\n")
    (folder / "bootstrap").chmod(0o755)
    assert dayfly("deploy", folder, "--name", "compiled").returncode == 0, "programs need no interpreter"


def test_many_large_bodies_at_once_fill_their_room_and_no_more(own):
    platform = own()
    made = Functions(platform)
    url = made.public_url(made.create("def handler(e, c):\n    return len(e['body'])\n"))
    host, port = platform.endpoint.split("//")[1].split(":")
    head = f"POST /{url.split('/', 3)[3]} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 6200000\r\n\r\n".encode()
    connections = [socket.create_connection((host, int(port)), timeout=30) for _ in range(60)]
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.sendall(head + b"x" * 6_199_999)
    status = pathlib.Path(f"/proc/{platform.process.pid}/status").read_text()
    resident_mb = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1024
    answers = [said_already(connection) for connection in connections]
    assert any(answer.startswith(b"HTTP/1.1 503 ") and b"\r\nretry-after: 1\r\n" in answer for answer in answers)
    assert resident_mb < 340, "bodies of 370 MB were sent, 268 are kept"
    until(lambda: requests.post(url, data=b"y" * 4_000_000).status_code == 200, "there is room again")


def said_already(connection):
    """What the other side has said so far; closes the connection."""
    with connection, contextlib.suppress(OSError):
        connection.setblocking(False)
        return connection.recv(4096)
    return b""


HOARDER = """
import os, socket
kept = []
def send(host, port, megabytes):
    one = socket.create_connection((host, int(port)))
    kept.append(one)
    try:
        one.sendall(b'POST /2015-03-31/functions HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 60000000\\r\\n\\r\\n')
        for _ in range(megabytes):
            one.sendall(bytes(1_000_000))
        return 'taken'
    except OSError:
        return 'refused'
def handler(event, context):
    host, port = os.environ['AWS_ENDPOINT_URL'].split('//')[1].split(':')
    return [send(host, port, megabytes) for megabytes in [58] * 6 + [2] * 20]
"""


def test_a_function_that_hoards_bodies_takes_no_room_from_outside(own):
    made = Functions(own())
    answers = made.call(made.create(HOARDER, Timeout=60))
    assert answers[0] == "taken" and "refused" in answers, answers
    url = made.public_url(made.create("def handler(e, c):\n    return len(e['body'])\n"))
    assert requests.post(url, data=b"y" * 4_000_000).status_code == 200
