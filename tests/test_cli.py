"""The command line as a user meets it."""

import json
import os
import pathlib
import shlex
import shutil
import subprocess
import time

import idna
import pytest
import requests

from conftest import BINARY, ROOT, until

PYTHON = {"app.py": "def handler(event, context):\n    print('hello log')\n    return {'got': event}\n"}
NODE_ESM = {
    "package.json": '{"name":"n","version":"1.0.0","type":"module","main":"index.js"}',
    "index.js": "export const handler = async (event) => ({ got: event })\n",
}
NODE_CJS = {
    "package.json": '{"name":"n","version":"1.0.0","main":"index.js"}',
    "index.js": "exports.handler = async (event) => ({ got: event })\n",
}


def project(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def deployed(platform):
    names = []

    def deploy(folder, name, *flags, check=True):
        names.append(name)
        return platform.cli("deploy", str(folder), "--name", name, *flags, check=check)

    yield deploy
    for name in set(names):
        platform.cli("delete", name, check=False)


@pytest.mark.parametrize("files", [PYTHON, NODE_ESM, NODE_CJS], ids=["python", "node-esm", "node-cjs"])
def test_deploy_and_invoke(platform, deployed, tmp_path, files):
    said = deployed(project(tmp_path / "p", files), "cli-basic")
    assert "cli-basic" in said.stdout
    called = platform.cli("invoke", "cli-basic", "--payload", '{"a": 1}')
    assert json.loads(called.stdout) == {"got": {"a": 1}}
    assert "user" in called.stderr and "ms" in called.stderr, called.stderr


def test_deploying_the_same_again_uploads_nothing(platform, deployed, tmp_path):
    folder = project(tmp_path / "p", PYTHON)
    deployed(folder, "cli-same")
    client = platform.client("lambda")
    before = client.get_function_configuration(FunctionName="cli-same")["RevisionId"]
    again = deployed(folder, "cli-same")
    assert "no change" in again.stdout.lower() or "unchanged" in again.stdout.lower(), again.stdout
    assert client.get_function_configuration(FunctionName="cli-same")["RevisionId"] == before
    project(folder, {"app.py": PYTHON["app.py"].replace("got", "changed")})
    deployed(folder, "cli-same")
    assert "changed" in platform.cli("invoke", "cli-same", "--payload", "1").stdout


def test_settings_by_flag_and_by_file(platform, deployed, tmp_path):
    files = {**PYTHON, "dayfly.toml": 'memory = 256\ntimeout = 12\n[env]\nONE = "file"\nTWO = "file"\n'}
    deployed(project(tmp_path / "p", files), "cli-settings", "--env", "ONE=flag", "--memory", "320")
    got = platform.client("lambda").get_function_configuration(FunctionName="cli-settings")
    assert (got["MemorySize"], got["Timeout"]) == (320, 12)
    assert got["Environment"]["Variables"] == {"ONE": "flag", "TWO": "file"}


def test_a_public_url_works_without_dns(platform, deployed, tmp_path):
    said = deployed(project(tmp_path / "p", PYTHON), "cli-public", "--public", "--json")
    url = json.loads(said.stdout)["url"]
    assert requests.get(url).json()["got"]["rawPath"] == "/"


def test_python_dependencies_come_from_the_index_not_from_the_venv(platform, deployed, tmp_path):
    files = {
        "app.py": "import idna\ndef handler(e, c):\n    return idna.encode('grüße.example').decode()\n",
        "requirements.txt": "idna==3.10\n",
        ".venv/lib/junk.py": "raise SystemExit",
    }
    deployed(project(tmp_path / "p", files), "cli-deps")
    assert json.loads(platform.cli("invoke", "cli-deps").stdout) == idna.encode("grüße.example").decode()


def test_a_pyproject_is_recognised(platform, deployed, tmp_path):
    files = {
        "main.py": "import idna\ndef handler(e, c):\n    return idna.__version__\n",
        "pyproject.toml": '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["idna==3.10"]\n',
    }
    deployed(project(tmp_path / "p", files), "cli-pyproject")
    assert json.loads(platform.cli("invoke", "cli-pyproject").stdout) == "3.10"


def test_node_dependencies(platform, deployed, tmp_path):
    files = {
        "package.json": '{"name":"n","version":"1.0.0","main":"index.js","dependencies":{"is-number":"7.0.0"}}',
        "index.js": "const n = require('is-number');\nexports.handler = async (event) => n(event)\n",
    }
    deployed(project(tmp_path / "p", files), "cli-node-deps")
    assert platform.cli("invoke", "cli-node-deps", "--payload", "5").stdout.strip() == "true"


def test_payload_from_file_and_from_standard_input(platform, deployed, tmp_path):
    deployed(project(tmp_path / "p", PYTHON), "cli-payload")
    event = tmp_path / "event.json"
    event.write_text('{"from": "file"}')
    assert "file" in platform.cli("invoke", "cli-payload", "--payload", f"@{event}").stdout
    assert "stdin" in platform.cli("invoke", "cli-payload", "--payload", "-", stdin='{"from": "stdin"}').stdout


def test_cold_is_cold(platform, deployed, tmp_path):
    deployed(project(tmp_path / "p", PYTHON), "cli-cold")
    platform.cli("invoke", "cli-cold")

    def rung(*flags):
        return json.loads(platform.cli("invoke", "cli-cold", "--json", *flags).stdout)["record"]["rung"]

    assert rung() == "idle"
    assert rung("--cold") in ("spare", "fork", "spawn")
    for wanted in ("spawn", "fork", "spare"):
        assert rung(f"--cold={wanted}") == wanted
    assert rung() == "idle"


def test_a_failing_function_has_its_own_exit_code(platform, deployed, tmp_path):
    deployed(project(tmp_path / "p", {"app.py": "def handler(e, c):\n    raise ValueError('why')\n"}), "cli-fails")
    failed = platform.cli("invoke", "cli-fails", check=False)
    assert failed.returncode not in (0, 1, 2)
    assert "ValueError" in failed.stdout + failed.stderr


def test_list_describe_logs_delete(platform, deployed, tmp_path):
    deployed(project(tmp_path / "p", PYTHON), "cli-tour")
    platform.cli("invoke", "cli-tour")
    assert "cli-tour" in platform.cli("list").stdout
    assert "cli-tour" in [f["name"] for f in json.loads(platform.cli("list", "--json").stdout)["functions"]]
    described = platform.cli("describe", "cli-tour").stdout
    assert "128" in described and "first instance" in described, described
    assert "hello log" in platform.cli("logs", "cli-tour").stdout
    assert "hello log" in platform.cli("logs", "cli-tour", "--since", "1h").stdout
    platform.cli("delete", "cli-tour")
    gone = platform.cli("describe", "cli-tour", check=False)
    assert gone.returncode == 1 and "hint:" in gone.stderr


def test_versions(platform, deployed, tmp_path):
    folder = project(tmp_path / "p", PYTHON)
    made = json.loads(deployed(folder, "cli-versions", "--publish", "--json").stdout)
    assert made["published"] == {"version": "1", "arn": made["arn"] + ":1", "new": True}
    again = deployed(folder, "cli-versions", "--publish")
    assert "version 1 is the same" in again.stdout and "unchanged" in again.stdout, again.stdout
    assert json.loads(deployed(folder, "cli-versions", "--json").stdout)["published"] is None
    changed = {"app.py": PYTHON["app.py"].replace("got", "changed"), "dayfly.toml": 'publish = true\ndescription = "later"\n'}
    said = deployed(project(folder, changed), "cli-versions")
    assert "version 2 (dayfly" in said.stdout and "cli-versions:2)" in said.stdout, said.stdout
    for name, word in (("cli-versions:1", "got"), ("cli-versions:2", "changed"), ("cli-versions", "changed")):
        assert json.loads(platform.cli("invoke", name).stdout) == {word: {}}
    described = platform.cli("describe", "cli-versions").stdout
    assert "published versions:" in described and "later" in described, described
    shown = json.loads(platform.cli("describe", "cli-versions", "--json").stdout)
    assert (shown["version"], [one["version"] for one in shown["versions"]]) == ("$LATEST", ["2", "1"])
    first = json.loads(platform.cli("describe", "cli-versions:1", "--json").stdout)
    assert (first["arn"], first["version"]) == (shown["versions"][1]["arn"], "1")
    assert [one["version"] for one in first["invocations"]] == ["1"] and len(shown["invocations"]) == 3
    lines = [json.loads(line) for line in platform.cli("logs", "cli-versions:1", "--json").stdout.splitlines()]
    assert lines and all("[1]" in line["stream"] for line in lines), lines
    platform.cli("delete", "cli-versions:1")
    gone = platform.cli("invoke", "cli-versions:1", check=False)
    assert gone.returncode == 1 and 'cli-versions has no version "1"' in gone.stderr, gone.stderr
    assert platform.cli("delete", "cli-versions:1", check=False).returncode == 1
    assert json.loads(platform.cli("invoke", "cli-versions:2").stdout) == {"changed": {}}


def test_following_logs_shows_each_line_once(platform, deployed, tmp_path):
    deployed(project(tmp_path / "p", PYTHON), "cli-follow")
    follower = subprocess.Popen(
        [BINARY, "logs", "cli-follow", "-f"], env=platform.shell, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    os.set_blocking(follower.stdout.fileno(), False)
    seen = b""

    def count(wanted):
        nonlocal seen
        seen += follower.stdout.read() or b""
        return seen.count(b"hello log") >= wanted

    try:
        for number in range(1, 4):
            platform.cli("invoke", "cli-follow")
            until(lambda: count(number), f"line {number} is shown")
        time.sleep(2)
        count(99)
        assert seen.count(b"hello log") == 3
    finally:
        follower.terminate()
        follower.wait()


def test_env_can_be_evaluated(platform):
    said = platform.cli("env").stdout
    done = subprocess.run(["sh", "-c", said + "\nenv"], capture_output=True, text=True, check=True)
    assert f"AWS_ENDPOINT_URL={platform.endpoint}" in done.stdout
    assert f"AWS_ACCESS_KEY_ID={platform.access_key}" in done.stdout


def test_doctor_and_limits(platform):
    assert platform.cli("doctor").stdout
    doctor = json.loads(platform.cli("doctor", "--json").stdout)
    assert doctor
    nodes = [check["found"] for check in doctor["checks"] if check["name"] == "starts"]
    assert all("is forked" in node or "waits" in node for node in nodes)
    assert len(nodes) == sum(r["language"] == "node" for r in platform.banner["runtimes"])
    limits = json.loads(platform.cli("limits", "--json").stdout)["limits"]
    assert {"sync-payload", "zip-bytes", "account-concurrency"} <= {row["name"] for row in limits}
    assert all(row["lifted_by"] for row in limits)


def test_errors_have_three_lines(tmp_path):
    environment = {**os.environ, "DAYFLY_DATA": str(tmp_path / "none"), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    done = subprocess.run([BINARY, "list"], env=environment, capture_output=True, text=True)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and len(lines) == 3, done.stderr
    assert lines[2].strip().startswith("hint:") and "dayfly up" in lines[2]


def hint(done):
    """The command of a failure's hint, as a shell would read it."""
    line = done.stderr.strip().splitlines()[-1]
    assert done.returncode and line.startswith("hint: "), done.stderr
    return shlex.split(line.removeprefix("hint: "))


def test_hints_can_be_pasted(platform, tmp_path):
    folder = project(tmp_path / "it's mine", {"app.py": "def handlr(event, context):\n    return 1\n"})
    deploying = platform.cli("deploy", str(folder), check=False)
    assert hint(deploying) == ["dayfly", "deploy", str(folder), "--handler", "app.handlr"]

    def elsewhere(*arguments):
        shell = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DAYFLY_"))}
        return subprocess.run([BINARY, *arguments], env=shell, capture_output=True, text=True)

    data = str(tmp_path / "no platform")
    assert hint(elsewhere("list", "--data", data))[-2:] == ["--data", data]
    gone = elsewhere("describe", "cli-never", "--data", platform.data, "--endpoint", platform.endpoint)
    assert hint(gone)[-4:] == ["--data", str(platform.data), "--endpoint", platform.endpoint]
    taken = elsewhere("up", "--data", data, "--listen", platform.endpoint.removeprefix("http://"))
    assert hint(taken) == ["dayfly", "up", "--listen", "127.0.0.1:0", "--data", data]
    never = str(tmp_path / "never made")
    for address in ("nonsense", "127.0.0.1:99999"):
        refused = elsewhere("up", "--data", never, "--listen", address)
        assert refused.returncode == 2 and hint(refused) == ["dayfly", "up", "--help"], refused.stderr
        assert "127.0.0.1:4566" in refused.stderr and not os.path.exists(never)


def test_the_banner_can_be_pasted(tmp_path):
    shell = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DAYFLY_"))}
    data = str(tmp_path / "my data")
    up = [BINARY, "up", "--data", data, "--listen", "127.0.0.1:0"]
    running = subprocess.Popen(up, env=shell, stdout=subprocess.PIPE, text=True)
    try:
        said = ""
        while "Ctrl-C stops" not in said:
            line = running.stdout.readline()
            assert line, said
            said += line
        assert f"eval \"$(dayfly env --data '{data}')\"" in said and f"dayfly deploy DIR --data '{data}'" in said, said
    finally:
        running.terminate()
        assert running.wait(60) == 0


def test_the_key_of_a_platform_that_has_stopped_goes_to_no_other(own):
    stopped = own()
    stopped.stop()
    shell = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DAYFLY_"))}
    listing = subprocess.run([BINARY, "list"], env={**shell, "DAYFLY_DATA": stopped.data}, capture_output=True, text=True)
    assert "no platform runs on" in listing.stderr and hint(listing) == ["dayfly", "up"], listing.stderr


@pytest.mark.parametrize("files, says", [
    ({}, "recognise"),
    ({"app.py": "x = 1\n"}, "handler"),
    ({"app.py": PYTHON["app.py"], "dayfly.toml": "memori = 128\n"}, "memory"),
    ({"app.py": PYTHON["app.py"], "requirements.txt": "no-such-package-dayfly-test==1.0\n"}, "no-such-package-dayfly-test"),
])
def test_projects_that_cannot_be_deployed(platform, tmp_path, files, says):
    folder = project(tmp_path / "p", files)
    done = platform.cli("deploy", str(folder), "--name", "cli-never", check=False)
    assert done.returncode in (1, 2)
    assert says in done.stderr and "hint:" in done.stderr, done.stderr
    assert "cli-never" not in platform.cli("list").stdout


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "examples").iterdir() if p.is_dir()))
def test_examples(platform, deployed, tmp_path, name):
    folder = tmp_path / name
    shutil.copytree(ROOT / "examples" / name, folder, ignore=shutil.ignore_patterns("target", "node_modules"))
    is_wasm = 'runtime = "wasm"' in (folder / "dayfly.toml").read_text()
    if (folder / "Cargo.toml").exists() and not shutil.which("cargo"):
        pytest.skip("skipped: cargo is not here to build it")
    if is_wasm:
        targets = subprocess.run(["rustc", "--print", "target-libdir", "--target", "wasm32-wasip2"], text=True, stdout=subprocess.PIPE)
        if not os.path.isdir(targets.stdout.strip()):
            pytest.skip("skipped: the target wasm32-wasip2 is not here (scripts/setup.sh --test)")
    elif (folder / "Cargo.toml").exists():
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=folder, check=True,
                       env={**os.environ, "CARGO_TARGET_DIR": str(folder / "target")})
    deployed(folder, f"example-{name}")
    assert platform.cli("invoke", f"example-{name}").stdout


def test_egress_by_flag_and_by_file(platform, tmp_path):
    (tmp_path / "app.py").write_text("def handler(event, context):\n    return event\n")
    (tmp_path / "dayfly.toml").write_text('name = "way-out"\negress = "public"\n')
    first = json.loads(platform.cli("deploy", tmp_path, "--json").stdout)
    tags = lambda: platform.client("lambda").list_tags(Resource=first["arn"])["Tags"]
    assert tags() == {"dayfly:egress": "public"} and "egress platform -> public" in first["changes"]
    again = json.loads(platform.cli("deploy", tmp_path, "--json").stdout)
    assert again["changes"] == []
    changed = json.loads(platform.cli("deploy", tmp_path, "--json", "--egress", "none").stdout)
    assert tags() == {"dayfly:egress": "none"} and changed["changes"] == ["egress public -> none"]
    refused = platform.cli("deploy", tmp_path, "--egress", "some", check=False)
    assert refused.returncode == 2 and "none, platform, public, all" in refused.stderr
    platform.client("lambda").delete_function(FunctionName="way-out")


def test_doctor_reports_the_posture_of_the_machine(platform):
    """Check 27: side channels and the kernel's switches, each with what closes its gap."""
    done = platform.cli("doctor", "--json", check=False)
    posture = [one for one in json.loads(done.stdout)["checks"] if one["name"] == "posture"]
    found = " ".join(one["found"] for one in posture)
    for subject in ("mitigate", "SMT", "KSM", "memory"):
        assert subject in found, posture
    for one in posture:
        assert one["state"] in ("ok", "weak") and (one["state"] == "ok") == (one["fix"] is None), one
    vulnerable = [
        path.name
        for path in pathlib.Path("/sys/devices/system/cpu/vulnerabilities").glob("*")
        if path.read_text().startswith("Vulnerable")
    ]
    assert all(name in found for name in vulnerable), (vulnerable, found)


def test_several_tenants_need_every_protection(workspace, platform):
    """Check 161: each missing one is listed, with what helps, and nothing is made. A root image would be made."""
    missing = [layer["name"] for layer in platform.banner["protections"]["layers"] if not layer["on"]]
    missing.remove("own root image")
    if not missing:
        pytest.skip("skipped: nothing is missing here (tests/test_own_root.py starts such a platform)")
    data = workspace / "tenants"
    refused = platform.cli("up", "--multi-tenant", "--listen", "127.0.0.1:0", "--data", data, check=False)
    assert refused.returncode == 1 and not data.exists()
    lines = refused.stderr.strip().splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "why", "hint"], refused.stderr
    for name in missing:
        assert f"{name}: " in lines[1], (name, lines)
