"""Where instances come from: fresh processes, copies of templates, copies that wait. What they share and what not."""

import json
import os

import pytest

from conftest import Functions, until, zipped_files

# More copies where there is time: `cargo xtask secure --tier 1` and above.
TIER = int(os.environ.get("DAYFLY_TIER", "0"))

PLAIN = {
    "python": "import os, random\nSEEN = []\ndef handler(e, c):\n    SEEN.append(1)\n    open('/tmp/mine', 'w').close()\n"
    "    return {'calls': len(SEEN), 'env': os.environ.get('COLOUR'), 'chance': random.random(), 'cwd': os.getcwd(),\n"
    "            'stream': c.log_stream_name, 'tmp': os.listdir('/tmp'), 'pid': os.getpid(), 'uid': os.getuid()}\n",
    "node": "const fs = require('fs'); let calls = 0\nexports.handler = async (e, c) => { calls++; fs.writeFileSync('/tmp/mine', '')\n"
    "  return { calls, env: process.env.COLOUR, chance: Math.random(), cwd: process.cwd(), stream: c.logStreamName,\n"
    "           tmp: fs.readdirSync('/tmp'), pid: process.pid, uid: process.getuid() } }\n",
}


def start(platform, name, rung):
    """One call of an instance that is new and from this rung: its answer and its record."""
    said = json.loads(platform.cli("invoke", name, f"--cold={rung}", "--json").stdout)
    return said["payload"], said["record"]


@pytest.mark.parametrize("language", ["python", "node"])
def test_every_rung_gives_the_same_instance(functions, platform, language):
    name = functions.create(PLAIN[language], runtime=language, Environment={"Variables": {"COLOUR": "blue"}})
    seen = []
    for rung in ("spawn", "fork", "fork", "spare", "spare"):
        answer, record = start(platform, name, rung)
        assert record["rung"] == rung, record["reason"]
        seen.append(answer)
    for answer in seen:
        assert (answer["calls"], answer["env"], answer["cwd"], answer["tmp"]) == (1, "blue", "/var/task", ["mine"])
        assert (answer["pid"], answer["uid"]) == (2, 993)
    for what in ("chance", "stream"):
        assert len({answer[what] for answer in seen}) == len(seen), what


LOADED = {
    "python": "import os, random, uuid\nimport snapshot_restore_py\nLOADED = os.urandom(8).hex()\nHOOKS = []\n"
    "random.random(); uuid.uuid4()\n"
    "@snapshot_restore_py.register_before_snapshot\ndef before(): HOOKS.append('before')\n"
    "@snapshot_restore_py.register_after_restore\ndef after(): HOOKS.append('after')\n"
    "def handler(e, c):\n    return {'loaded': LOADED, 'hooks': HOOKS, 'key': os.environ['AWS_ACCESS_KEY_ID'],\n"
    "            'chance': [random.random(), str(uuid.uuid4()), os.urandom(8).hex()]}\n",
    "node": "const crypto = require('crypto'); const loaded = crypto.randomUUID(); Math.random(); const hooks = []\n"
    "process.on('beforeSnapshot', () => hooks.push('before')); process.on('afterRestore', () => hooks.push('after'))\n"
    "exports.handler = async () => ({ loaded, hooks, key: process.env.AWS_ACCESS_KEY_ID,\n"
    "  chance: [Math.random(), crypto.randomUUID(), crypto.randomBytes(8).toString('hex')] })\n",
}


@pytest.mark.parametrize("language", ["python", "node"])
def test_copies_of_a_loaded_function_differ_where_they_must(functions, platform, language):
    name = functions.create(LOADED[language], runtime=language, SnapStart={"ApplyOn": "PublishedVersions"})
    seen = []
    for rung in ("fork", "spare", "fork"):
        answer, record = start(platform, name, rung)
        assert record["rung"] == rung and "the function's template" in record["reason"], record["reason"]
        seen.append(answer)
    status = functions.client.get_function_configuration(FunctionName=name)["SnapStart"]
    assert (status["ApplyOn"], status["OptimizationStatus"]) == ("PublishedVersions", "On")
    assert len({answer["loaded"] for answer in seen}) == 1
    assert all(answer["hooks"] == ["before", "after"] for answer in seen)
    for index in range(3):
        assert len({answer["chance"][index] for answer in seen}) == 3, index
    assert len({answer["key"] for answer in seen}) == 3


@pytest.mark.parametrize("code, why", [
    ("import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n", "started 1 threads"),
    ("import socket\nKEPT = socket.socket()\n", "opened 1 connections"),
])
def test_what_cannot_be_copied_falls_a_rung_and_says_why(functions, platform, code, why):
    name = functions.create(
        code + "def handler(e, c):\n    return 'works'\n", SnapStart={"ApplyOn": "PublishedVersions"},
    )
    answer, record = start(platform, name, "fork")
    assert answer == "works"
    assert why in record["reason"] and "forked from the runtime's template" in record["reason"], record["reason"]


def logged(platform, name):
    return platform.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]


HOME = {
    "python": "import os, pwd\nprint('who is it')\nHOME = [pwd.getpwuid(os.getuid()).pw_name, os.path.expanduser('~')]\n"
    "def handler(e, c):\n    return HOME\n",
    "node": "const os = require('os'); console.log('who is it'); const home = [os.userInfo().username, os.homedir()]\n"
    "Promise.resolve().then(() => os.homedir())\nexports.handler = async () => home\n",
}


@pytest.mark.parametrize("language", ["python", "node"])
def test_a_template_knows_its_user_and_what_it_prints_is_kept(functions, platform, language):
    name = functions.create(HOME[language], runtime=language, SnapStart={"ApplyOn": "PublishedVersions"})
    answer, record = start(platform, name, "fork")
    assert "the function's template" in record["reason"], record["reason"]
    assert answer == ["sbx_user1051", "/home/sbx_user1051"]
    streams = {}
    for event in logged(platform, name):
        streams.setdefault(event["logStreamName"], []).append(event["message"])
    made = [lines for lines in streams.values() if any("who is it" in line for line in lines)]
    assert len(made) == 1, streams
    first, *between, last = made[0]
    assert first.startswith("INIT_START Runtime Version: ") and last.startswith("INIT_REPORT Init Duration: "), made
    assert len(between) == 1, made


REFUSED = {
    "python": ("import os\nprint('about to leave', flush=True)\nif os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'] == 'snap-start': os._exit(3)\n"
               "def handler(e, c):\n    return 'works'\n", "it printed: about to leave"),
    "node": ("if (process.env.AWS_LAMBDA_INITIALIZATION_TYPE === 'snap-start') Promise.reject(new Error('no such thing'))\n"
             "exports.handler = async () => 'works'\n", "no such thing"),
}


@pytest.mark.parametrize("language", ["python", "node"])
def test_a_template_that_fails_says_why(functions, platform, language):
    code, why = REFUSED[language]
    name = functions.create(code, runtime=language, SnapStart={"ApplyOn": "PublishedVersions"})
    answer, record = start(platform, name, "fork")
    assert answer == "works" and why in record["reason"], record["reason"]
    assert any("Error Type: Runtime.SnapshotFailed" in event["message"] for event in logged(platform, name))


def test_where_a_node_cannot_be_forked_processes_wait(own):
    platform = own()
    if not any(r["language"] == "node" for r in platform.banner["runtimes"]):
        pytest.skip("no Node on this machine")
    # A Node that does not load the addon by which it forks itself.
    (platform.data / "runtime/dayfly.node").write_bytes(b"no library")
    functions = Functions(platform)
    name = functions.create(PLAIN["node"], runtime="node", Environment={"Variables": {"COLOUR": "blue"}})
    answers = []
    for _ in range(2):
        answer, record = start(platform, name, "spare")
        assert record["rung"] == "spare", record["reason"]
        assert "that waited for a function of 128 MB" in record["reason"], record["reason"]
        assert "it cannot be forked: this Node cannot be forked" in record["reason"], record["reason"]
        answers.append(answer)
    for answer in answers:
        assert (answer["calls"], answer["env"], answer["cwd"], answer["tmp"]) == (1, "blue", "/var/task", ["mine"])
        assert (answer["pid"], answer["uid"]) == (2, 993)
    assert len({answer["chance"] for answer in answers}) == 2


@pytest.mark.parametrize("language, variable", [("python", "PYTHONOPTIMIZE"), ("node", "NODE_OPTIONS")])
def test_what_an_interpreter_reads_at_its_start_needs_a_start(functions, platform, language, variable):
    value = {"PYTHONOPTIMIZE": "2", "NODE_OPTIONS": "--max-http-header-size=9999"}[variable]
    name = functions.create(PLAIN[language], runtime=language, Environment={"Variables": {variable: value}})
    _, record = start(platform, name, "fork")
    assert record["rung"] == "spawn" and f"{variable} is read at" in record["reason"], record["reason"]


def test_byte_code_of_a_package_is_made_once_and_changes_nothing(functions, platform):

    filler = "".join(f"def number_{n}():\n    return {n}\n" for n in range(200))
    code = (
        "import part.inner\nMADE = __loader__.get_code.__qualname__\ndef handler(event, context):\n"
        "    if event == 'broken':\n        import broken\n    if event == 'raise':\n        part.inner.fail()\n"
        "    import os\n    return [MADE, part.inner.__file__, part.inner.number_7(), sorted(os.listdir('/var/task'))]\n"
    )
    inner = filler + "def fail():\n    raise ValueError('on purpose')\n"
    package = zipped_files({"app.py": code, "part/inner.py": inner, "broken.py": "def (:\n"})
    name = functions.create(package)
    kept = lambda: list(platform.data.glob("bytecode/*/code"))
    before, seen = len(kept()), []
    for _ in range(2):
        seen.append(start(platform, name, "spawn")[0])
    until(lambda: len(kept()) > before, "byte code of the package")
    for rung in ("spawn", "fork", "spare"):
        seen.append(start(platform, name, rung)[0])
    assert ["Compiled" in answer[0] for answer in seen] == [False, False, True, True, True], seen
    assert all(answer[1:] == ["/var/task/part/inner.py", 7, ["app.py", "broken.py", "part"]] for answer in seen), seen
    failure = functions.failure(name, "raise")
    assert failure["errorType"] == "ValueError", failure
    assert failure["stackTrace"][-1] == '  File "/var/task/part/inner.py", line 402, in fail\n    raise ValueError(\'on purpose\')\n'
    assert functions.failure(name, "broken")["errorType"] == "SyntaxError"


def test_a_template_belongs_to_one_revision(functions, platform):
    code = "LOADED = {!r}\ndef handler(e, c):\n    return LOADED\n"
    name = functions.create(code.format("old"), SnapStart={"ApplyOn": "PublishedVersions"})
    assert start(platform, name, "fork")[0] == "old"

    functions.client.update_function_code(FunctionName=name, ZipFile=zipped_files({"app.py": code.format("new")}))
    assert functions.call(name) == "new"
    answer, record = start(platform, name, "fork")
    assert answer == "new" and "the function's template" in record["reason"]


def test_explaining_a_call_draws_its_time(functions, platform):
    name = functions.create("import time\ntime.sleep(0.05)\ndef handler(e, c):\n    return 1\n")
    said = platform.cli("invoke", name, "--cold=fork", "--explain").stderr
    assert "init: starting the runtime and loading the code" in said and "%" in said, said
    assert "--snapstart" in said, said


HEAVY = {
    "python": {
        "app.py": "import os, light, heavy\ndef handler(e, c):\n    return len(heavy.VALUE)\n",
        "light.py": "VALUE = 1\n",
        "heavy/__init__.py": "from heavy import part\nVALUE = part.VALUE\n",
        "heavy/part.py": "import time\nuntil = time.perf_counter() + 0.25\nwhile time.perf_counter() < until: pass\nVALUE = 'abc'\n",
    },
    "node": {
        "app.js": "require('light'); const heavy = require('@some/heavy')\nexports.handler = async () => heavy.length\n",
        "node_modules/light/index.js": "exports.value = 1\n",
        "node_modules/@some/heavy/index.js": "module.exports = require('./part')\n",
        "node_modules/@some/heavy/part.js": "const until = performance.now() + 250; while (performance.now() < until);\nmodule.exports = 'abc'\n",
    },
}


@pytest.mark.parametrize("language, package", [("python", "heavy"), ("node", "@some/heavy")])
def test_describe_says_what_imports_cost_and_what_to_do(functions, platform, language, package):
    name = functions.create(zipped_files(HEAVY[language]), runtime=language)
    assert json.loads(platform.cli("describe", name, "--json").stdout)["imports"] == {"applies": True, "packages": None}
    for rung in ("spawn", "fork", "spare"):
        answer, record = start(platform, name, rung)
        own, heaviest = record["imports"][:2]
        assert (answer, own["package"], heaviest["package"], heaviest["modules"]) == (3, ".", package, 2), record
        took = record["phases"]["sandbox_us"] + record["phases"]["init_us"]
        assert 250_000 <= heaviest["own_us"] <= heaviest["total_us"] <= own["total_us"] <= took, record
        assert own["own_us"] < 250_000, "what is inside another package is not its own"
    assert functions.call(name) == 3
    told = json.loads(platform.cli("describe", name, "--json").stdout)
    assert [start["rung"] for start in told["cold_starts"]] == ["spare", "fork", "spawn"]
    assert told["imports"]["request_id"] == told["cold_starts"][0]["request_id"]
    assert told["imports"]["packages"][1]["package"] == package
    assert "imports" not in told["invocations"][0] or not told["invocations"][0]["imports"], "a warm call imports nothing"
    shown = platform.cli("describe", name).stdout
    assert "last cold starts" in shown and "import cost" in shown and package in shown, shown
    assert f"--name {name} --snapstart" in shown and f"importing {package} takes" in shown, shown


def test_copies_of_a_loaded_function_import_nothing(functions, platform):
    name = functions.create(zipped_files(HEAVY["python"]), SnapStart={"ApplyOn": "PublishedVersions"})
    _, record = start(platform, name, "fork")
    assert "the function's template" in record["reason"] and record["imports"] == [], record


def test_imports_of_code_that_fails_leave_no_trace_of_ours(functions, platform):
    for language, files in {
        "python": {"app.py": "import inner\n", "inner.py": "def f():\n    raise ValueError('why')\nf()\n"},
        "node": {"app.js": "require('./inner')\n", "inner.js": "throw new Error('why')\n"},
    }.items():
        name = functions.create(zipped_files(files), runtime=language)
        failed = functions.client.invoke(FunctionName=name)
        said = failed["Payload"].read().decode()
        assert "FunctionError" in failed and "inner" in said and "imports" not in said and "frozen" not in said, said


DRAWS = {
    "python": "import os, random, secrets, ssl, uuid\nrandom.random(); uuid.uuid4(); ssl.RAND_bytes(8); secrets.token_hex(4)\n"
    "def handler(e, c):\n    return [random.random(), secrets.token_hex(8), str(uuid.uuid4()), ssl.RAND_bytes(8).hex(), os.urandom(8).hex()]\n",
    "node": "const c = require('crypto'); Math.random(); c.randomUUID(); c.randomBytes(8)\n"
    "exports.handler = async () => [Math.random(), c.randomUUID(), c.randomBytes(8).toString('hex'), c.randomInt(2 ** 47)]\n",
}


@pytest.mark.parametrize("language, copies", [("python", 300), ("node", 100)])
def test_no_two_copies_draw_the_same(functions, platform, language, copies):
    """Check 45."""
    copies *= 3 if TIER else 1
    name = functions.create(DRAWS[language], runtime=language, SnapStart={"ApplyOn": "PublishedVersions"})
    drawn = []
    for _ in range(copies):
        platform.api(f"functions/{name}/instances?NextRung=fork", "DELETE")
        drawn.append(functions.call(name))
    for index in range(len(drawn[0])):
        assert len({draw[index] for draw in drawn}) == copies, index
