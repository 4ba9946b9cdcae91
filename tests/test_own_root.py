"""Root images of our own, and platforms for several tenants, which have one: what runs on them, and what is not there."""

import json
import os
import pathlib
import subprocess

import pytest

from conftest import ATTEMPT, BINARY, Functions, Platform, functions_on, identifier, version, zipped_files
from test_java import PLAIN, compiled, java  # noqa: F401 (a fixture)
from test_wasm import component  # noqa: F401 (a fixture)

# `cargo xtask secure --tier 1` and above.
TIER = int(os.environ.get("DAYFLY_TIER", "0"))
# Where sandboxes have something of their own, whatever their root is made of.
NOT_OF_IMAGES = ("/proc", "/dev", "/tmp", "/var", "/run", "/home", "/opt")
WALK = """
import os

def handler(event, context):
    found = []
    for folder, folders, files in os.walk('/'):
        folders[:] = [f for f in folders if not (folder + '/' + f).replace('//', '/') in event['skip']]
        found += [os.path.join(folder, name) for name in files + folders]
    return found
"""


def only_one_protection_is_missing(platform):
    return [one["name"] for one in platform.banner["protections"]["layers"] if not one["on"]] == ["own root image"]


@pytest.fixture(scope="module")
def tenants(workspace, platform):
    """A platform for several tenants, for real."""
    if not only_one_protection_is_missing(platform):
        pytest.skip("skipped: this machine or user lacks what several tenants need")
    started = Platform(workspace / "several-tenants", "--multi-tenant").start()
    yield started
    assert started.stop() == 0


tenant_functions = functions_on("tenants")


def manifest(platform):
    (found,) = (platform.data / "images").glob("*/manifest")
    lines = [line.split(" ", 1) for line in found.read_text().splitlines()]
    return {rest.split("\t")[0] if kind != "f" else rest.split(" ", 3)[3] for kind, rest in lines}


def test_nothing_is_missing_and_the_banner_says_what_the_root_is(tenants):
    layers = tenants.banner["protections"]["layers"]
    assert tenants.banner["protections"]["level"] == 3 and all(layer["on"] for layer in layers), layers
    assert tenants.banner["root"].startswith("own image "), tenants.banner["root"]


def test_every_file_inside_is_one_of_the_image(tenants, tenant_functions):
    listed = manifest(tenants)
    name = tenant_functions.create(WALK, MemorySize=512)
    # Listed in parts: a synchronous answer is bounded.
    for part in ("usr", "etc", ""):
        skip = [*NOT_OF_IMAGES, *(f"/{other}" for other in ("usr", "etc") if other != part)]
        inside = {path for path in tenant_functions.call(name, {"skip": skip}) if not path.startswith(NOT_OF_IMAGES)}
        assert inside, part
        assert inside <= listed | {"/usr", "/etc"}, sorted(inside - listed)[:20]


def test_what_the_machine_has_besides_is_not_there(tenants, tenant_functions):
    listed = manifest(tenants)
    outside = [str(path) for path in pathlib.Path("/usr/bin").iterdir() if str(path) not in listed][:200]
    assert outside, "this machine has nothing but what functions need"
    name = tenant_functions.create("import os\ndef handler(e, c):\n    return [p for p in e if os.path.lexists(p)]\n")
    assert tenant_functions.call(name, [*outside, str(tenants.data), "/root", "/boot", "/sys"]) in ([], ["/root"])
    seen = tenant_functions.create("def handler(e, c):\n    return open('/proc/self/mountinfo').read()\n")
    assert "images" not in tenant_functions.call(seen) and str(tenants.data) not in tenant_functions.call(seen)


def test_the_image_cannot_be_changed_from_inside(tenant_functions):
    code = ATTEMPT + """
def handler(e, c):
    return [attempt(lambda: open('/usr/bin/new', 'w')), attempt(lambda: open('/etc/passwd', 'a')),
            attempt(lambda: os.remove('/etc/passwd')), attempt(lambda: os.chmod('/etc/passwd', 0o777))]
"""
    assert "done" not in tenant_functions.call(tenant_functions.create(code))


def test_every_python_and_node_runs(tenants, tenant_functions):
    python = """
import bz2, ctypes, datetime, hashlib, json, lzma, sqlite3, ssl, subprocess, zoneinfo
def handler(event, context):
    ssl.create_default_context()
    zoneinfo.ZoneInfo('Europe/Berlin')
    assert subprocess.run(['sh', '-c', 'echo ok | tr a-z A-Z'], capture_output=True).stdout == b'OK\\n'
    return event
"""
    node = """
const tls = require('tls'), zlib = require('zlib'), crypto = require('crypto');
exports.handler = async (event) => {
  if (!tls.rootCertificates.length || !crypto.createHash('sha256')) throw new Error('incomplete');
  new Intl.DateTimeFormat('de', { timeZone: 'Europe/Berlin' }).format(new Date());
  return event;
};
"""
    ran = 0
    for runtime in tenants.banner["runtimes"]:
        language = runtime["language"]
        if language not in ("python", "node"):
            continue
        name = identifier(language, version(runtime))
        files = {"app.py": python} if language == "python" else {"app.js": node}
        function = tenant_functions.create(zipped_files(files), name, MemorySize=256)
        for _ in range(2):
            assert tenant_functions.call(function, {"runtime": name}) == {"runtime": name}
        ran += 1
    if not ran:
        pytest.skip("neither Python nor Node on this machine")


def test_java_runs(tenant_functions, workspace, java):
    package = compiled(workspace, Plain=PLAIN)
    for runtime in java:
        function = tenant_functions.create(package, runtime, "Plain::handle", MemorySize=256)
        assert tenant_functions.call(function, {"text": "é"})["execution"] == f"AWS_Lambda_{runtime}"


def test_scripts_and_components_run(tenant_functions, component):
    script = """#!/bin/sh
while true; do
  head=$(mktemp)
  event=$(curl -sS -D "$head" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next")
  id=$(grep -i lambda-runtime-aws-request-id "$head" | tr -d '[:space:]' | cut -d: -f2)
  curl -sS -d "$event" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response" > /dev/null
done
"""
    package = zipped_files({"bootstrap": script}, {"bootstrap": 0o755})
    function = tenant_functions.create(package, "provided.al2023", "none")
    assert tenant_functions.call(function, {"from": "a script"}) == {"from": "a script"}
    function = tenant_functions.create(zipped_files({"guest.wasm": component}), "wasm", "guest.wasm")
    assert tenant_functions.call(function, {"deed": "/echo"}) == {"deed": "/echo"}


def test_two_tenants_share_nothing_to_copy(tenant_functions):
    code = """
import os, socket
def handler(event, context):
    if event.get('listen'):
        open('/tmp/secret', 'w').write('of one')
        globals()['kept'] = socket.create_server(('127.0.0.1', 7777))
        return os.getpid()
    try:
        socket.create_connection(('127.0.0.1', 7777), 1)
        reached = True
    except OSError:
        reached = False
    return [reached, os.path.exists('/tmp/secret'), 'Kept' in globals()]
"""
    one, other = tenant_functions.create(code), tenant_functions.create(code)
    tenant_functions.call(one, {"listen": True})
    assert tenant_functions.call(other, {}) == [False, False, False]
    for name in (one, other):
        answer = tenant_functions.invoke(name, {})
        record = tenant_functions.record(answer["ResponseMetadata"]["RequestId"])
        assert record["Rung"] in ("idle", "spawn"), record


def test_an_image_is_made_once_and_checked_at_every_start(own, platform):
    if not only_one_protection_is_missing(platform):
        pytest.skip("skipped: this machine or user lacks what several tenants need")
    one = own("--own-root")
    assert " made in " in one.banner["root"], one.banner["root"]
    functions = Functions(one)
    name = functions.create("def handler(e, c):\n    return e\n")
    functions.invoke(name, 1)
    one.api(f"functions/{name}/instances?NextRung=fork", method="DELETE")
    answer = functions.invoke(name, 1)
    record = functions.record(answer["ResponseMetadata"]["RequestId"])
    assert record["Rung"] == "fork", f"templates are made of the image, too: {record}"
    first = one.banner["root"].split(":")[0]
    one.restart()
    assert one.banner["root"].startswith(f"{first}: ") and " checked in " in one.banner["root"], one.banner["root"]
    one.stop()
    (passwd,) = (one.data / "images").glob("*/tree/etc/passwd")
    passwd.chmod(0o644)
    passwd.write_text("root::0:0::/:/bin/sh\n")
    one.start()
    assert one.banner["root"].startswith(f"{first}: ") and " made in " in one.banner["root"], one.banner["root"]
    # A given one is not made again, but refused.
    (folder,) = (one.data / "images").iterdir()
    (folder / "tree" / "etc" / "more").write_text("")
    refused = subprocess.run(
        [BINARY, "up", "--listen", "127.0.0.1:0", "--data", f"{one.data}-2", "--root", folder],
        capture_output=True, text=True, timeout=300,
    )
    assert refused.returncode == 1 and "the image is damaged: /: something was added" in refused.stderr, refused


def test_a_built_image_runs_functions(platform, workspace):
    """What `dayfly root build` makes is a root for every interpreter, for processes of their own and for copies."""
    if not TIER:
        pytest.skip("skipped: in tier 1, since a whole image is made and checked byte by byte")
    if not only_one_protection_is_missing(platform):
        pytest.skip("skipped: this machine or user lacks what several tenants need")
    folder = workspace / "built-image"
    subprocess.run([BINARY, "root", "build", folder], check=True, timeout=300)
    built = Platform(workspace / "built", "--root", folder)
    built.start()
    try:
        assert "given image" in built.banner["root"] and built.banner["protections"]["level"] == 3, built.banner
        functions = Functions(built)
        code = {
            "python": {"app.py": "def handler(e, c):\n    return []\n"},
            "node": {"app.js": "exports.handler = async () => []\n"},
        }
        for runtime in built.banner["runtimes"]:
            language = runtime["language"]
            if language not in code:
                continue
            name = functions.create(
                zipped_files(code[language]), identifier(language, version(runtime)),
                SnapStart={"ApplyOn": "PublishedVersions"},
            )
            for rung in ("spawn", "fork"):
                built.api(f"functions/{name}/instances?NextRung={rung}", method="DELETE")
                answer = functions.invoke(name, 1)
                record = functions.record(answer["ResponseMetadata"]["RequestId"])
                assert (json.loads(answer["Payload"]), record["Rung"]) == ([], rung), (runtime, record)
    finally:
        assert built.stop() == 0


# What is in the image, and what the platform says of it.
HOSTILE = {
    "a link for /dev": (["l /dev\t/"], "an image has no /dev"),
    "a link for /proc": (["l /proc\t/etc"], "an image has no /proc"),
    "a folder for /tmp": (["d /tmp"], "an image has no /tmp"),
    "a link for /var": (["l /var\t../../.."], "an image has no /var"),
    "a link for /run": (["l /run\t/run"], "an image has no /run"),
    "a link for /opt": (["l /opt\t/root"], "/opt: File exists"),
    "a link for /home": (["l /home\t/etc"], "/home: File exists"),
    "a pipe": (["d /etc", "p /etc/passwd"], "damaged: /etc/passwd"),
    "a device": (["d /etc", "c /etc/zero"], "damaged: /etc/zero"),
    "a name that leads out": (["l /../../link\t/"], "damaged: /: something was added"),
}


def hostile_image(folder, lines):
    """An image whose manifest is true, and whose content is not what an image may be."""
    tree = folder / "tree"
    tree.mkdir(parents=True)
    for line in lines:
        kind, rest = line.split(" ", 1)
        path = tree / rest.split("\t")[0].strip("/")
        if kind == "d":
            path.mkdir()
        elif kind == "l":
            path.symlink_to(rest.split("\t")[1])
        elif kind == "p":
            os.mkfifo(path)
        else:
            os.mknod(path, 0o20666, os.makedev(1, 5))
    (folder / "manifest").write_text("".join(line + "\n" for line in sorted(lines)))


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_image_is_refused(workspace, platform, what):
    """Check 13: what an image puts where sandboxes have something of their own, or what is no file, is not taken."""
    if not only_one_protection_is_missing(platform):
        pytest.skip("skipped: this machine or user lacks what several tenants need")
    folder = workspace / "hostile-image" / str(list(HOSTILE).index(what)) / "below"
    lines, why = HOSTILE[what]
    hostile_image(folder, lines)
    refused = subprocess.run(
        [BINARY, "up", "--listen", "127.0.0.1:0", "--data", f"{folder}-data", "--root", folder],
        capture_output=True, text=True, timeout=60,
    )
    said = refused.stderr.splitlines()
    assert refused.returncode == 1 and [line.split(":")[0] for line in said[1:]] == ["error", "why", "hint"], said
    assert why in said[2], said


def test_links_of_an_image_lead_nowhere_outside_of_it(request, workspace):
    """Check 13: an image whose files are links to the machine's own, at the places where the platform mounts something."""
    if not TIER:
        pytest.skip("skipped: in tier 1, since a whole image is checked byte by byte once more")
    (made,) = (request.getfixturevalue("tenants").data / "images").iterdir()
    folder, secret = workspace / "image-of-links", workspace / "of-the-machine"
    secret.write_text("a secret of the machine")
    subprocess.run(["cp", "-al", made, folder], check=True)
    links = {"/etc/passwd": f"/proc/1/root{secret}", "/etc/resolv.conf": str(secret), "/etc/hosts": f"../../../../../..{secret}"}
    lines = (folder / "manifest").read_text().splitlines()
    kept = [line for line in lines if not line.endswith(tuple(f" {path}" for path in links))]
    assert len(kept) == len(lines) - len(links)
    for path, target in links.items():
        (folder / "tree" / path[1:]).unlink()
        (folder / "tree" / path[1:]).symlink_to(target)
        kept.append(f"l {path}\t{target}")
    (folder / "manifest").unlink()
    (folder / "manifest").write_text("".join(line + "\n" for line in kept))
    before = {path: pathlib.Path(path).read_bytes() for path in links}
    platform = Platform(workspace / "links", "--root", folder)
    try:
        platform.start()
    except RuntimeError as refused:
        assert "error" in str(refused) and "panicked" not in str(refused), refused
    else:
        functions = Functions(platform)
        code = ATTEMPT + "def handler(e, c):\n    return [[attempt(lambda: open(p).read()), os.path.realpath(p)] for p in e]\n"
        seen = functions.call(functions.create(code), [*links, str(secret)])
        assert "done" not in [how for how, _ in seen], seen
        assert platform.stop() == 0
    assert {path: pathlib.Path(path).read_bytes() for path in links} == before, "the machine's own files are as they were"
