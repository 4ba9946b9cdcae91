"""Calls: what functions return, how they fail, and what is left behind."""

import base64
import concurrent.futures
import json
import re

import pytest

from conftest import FAULTS, newest, until, zipped_files
from test_lambda_api import refused

ECHO = "def handler(event, context):\n    return event\n"
SNARE = "'\"\\\u00e9\u4e2d\U0001f600\u2028"


@pytest.mark.parametrize("event", [None, 1, "text", [1, 2], {"a": {"b": [None, True]}}, {"s": SNARE}, "x" * 1_000_000])
def test_events_come_back(functions, event):
    assert functions.call(functions.create(ECHO), event) == event


def test_context_and_environment(functions, platform):
    code = """
import os
def handler(event, context):
    return {
        "request": context.aws_request_id, "name": context.function_name, "version": context.function_version,
        "arn": context.invoked_function_arn, "memory": int(context.memory_limit_in_mb),
        "left": context.get_remaining_time_in_millis(), "group": context.log_group_name,
        "mine": os.environ["MINE"], "root": os.environ["LAMBDA_TASK_ROOT"], "here": os.getcwd(),
        "region": os.environ["AWS_REGION"], "endpoint": os.environ.get("AWS_ENDPOINT_URL"),
    }
"""
    name = functions.create(code, Environment={"Variables": {"MINE": "yes"}}, MemorySize=192, Timeout=9)
    answer = functions.invoke(name, {})
    got = json.loads(answer["Payload"])
    assert got["request"] == answer["ResponseMetadata"]["RequestId"]
    assert (got["name"], got["version"], got["memory"], got["mine"]) == (name, "$LATEST", 192, "yes")
    assert got["arn"].endswith(f":function:{name}")
    assert 0 < got["left"] <= 9000
    assert (got["group"], got["root"], got["here"]) == (f"/aws/lambda/{name}", "/var/task", "/var/task")
    assert (got["region"], answer["ExecutedVersion"]) == ("us-east-1", "$LATEST")
    assert got["endpoint"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("files, handler", [
    ({"app.js": "exports.handler = async (event) => ({ got: event.x })"}, "app.handler"),
    ({"app.js": "exports.handler = (event, context, done) => done(null, { got: event.x })"}, "app.handler"),
    ({"app.mjs": "export const handler = async (event) => ({ got: event.x })"}, "app.handler"),
    ({"app.js": "export const handler = async (e) => ({ got: e.x })", "package.json": '{"type":"module"}'}, "app.handler"),
    ({"src/deep/app.js": "exports.a = { b: async (event) => ({ got: event.x }) }"}, "src/deep/app.a.b"),
])
def test_node_modules_and_callbacks(functions, platform, files, handler):
    name = functions.create(zipped_files(files), runtime="node", handler=handler)
    assert functions.call(name, {"x": 7}) == {"got": 7}


def test_every_interpreter_found(functions, platform):
    for found in platform.banner["runtimes"]:
        parts = found["version"].split(".")
        if found["language"].lower() == "python":
            code = "import sys\ndef handler(e, c):\n    return '%d.%d' % sys.version_info[:2]\n"
            name = functions.create(zipped_files({"app.py": code}), runtime=f"python3.{parts[1]}")
            assert functions.call(name) == f"3.{parts[1]}"
        elif found["language"].lower() == "node":
            code = "exports.handler = async () => process.versions.node.split('.')[0]"
            name = functions.create(zipped_files({"app.js": code}), runtime=f"nodejs{parts[0]}.x")
            assert functions.call(name) == parts[0]


BOOTSTRAP = """#!/bin/sh
while true; do
  exec 3<>/dev/tcp/127.0.0.1/9001 2>/dev/null
done
"""


def test_a_custom_runtime_over_http(functions, platform):
    script = f"""#!/usr/bin/python3
import json, os, urllib.request
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(base + "next") as asked:
        request, event = asked.headers["Lambda-Runtime-Aws-Request-Id"], json.load(asked)
    if event == "fail":
        body = json.dumps({{"errorType": "Own.Error", "errorMessage": "as asked"}}).encode()
        urllib.request.urlopen(base + request + "/error", data=body).close()
    else:
        urllib.request.urlopen(base + request + "/response", data=json.dumps([event]).encode()).close()
"""
    package = zipped_files({"bootstrap": script}, {"bootstrap": 0o755})
    name = functions.create(package, runtime="provided.al2023", handler="any")
    assert functions.call(name, 1) == [1]
    assert functions.failure(name, "fail") == {"errorType": "Own.Error", "errorMessage": "as asked"}
    assert functions.call(name, 2) == [2]


@pytest.mark.parametrize("program", ["not a program", "#!/no/such/interpreter\n"])
def test_a_program_that_cannot_be_executed_is_the_functions_error(functions, program):
    package = zipped_files({"bootstrap": program}, {"bootstrap": 0o755})
    name = functions.create(package, runtime="provided.al2023", handler="any")
    error = functions.failure(name)
    assert error["errorType"] == "Runtime.InvalidEntrypoint", error
    assert "fork/exec /var/task/bootstrap: " in error["errorMessage"], error


FAILURES = {
    "raises": ("def handler(e, c):\n    raise ValueError('no good')\n", "ValueError", "no good"),
    "exits": ("import os\ndef handler(e, c):\n    os._exit(3)\n", "Runtime.ExitError", "exit status 3"),
    "sys-exit": ("import sys\ndef handler(e, c):\n    sys.exit(4)\n", "Runtime.ExitError", ""),
    "not-json": ("def handler(e, c):\n    return {1, 2}\n", "Runtime.MarshalError", "set"),
    "import": ("import nothing_of_this_name\ndef handler(e, c):\n    pass\n", "Runtime.ImportModuleError", "nothing_of_this_name"),
    "syntax": ("def handler(e, c)\n    pass\n", "Runtime.UserCodeSyntaxError", "Syntax error"),
    "no-handler": ("def other(e, c):\n    pass\n", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
    "too-big": ("def handler(e, c):\n    return 'x' * 7_000_000\n", "Function.ResponseSizeTooLarge", ""),
    "init-exit": ("import os\nos._exit(5)\ndef handler(e, c):\n    pass\n", "Runtime.ExitError", ""),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_have_a_shape_and_leave_a_clean_platform(functions, case):
    code, kind, says = FAILURES[case]
    name = functions.create(code)
    for _ in range(2):
        error = functions.failure(name, {})
        assert error.get("errorType") == kind, error
        assert says in error["errorMessage"], error
    functions.client.update_function_code(FunctionName=name, ZipFile=zipped_files({"app.py": ECHO}))
    assert functions.call(name, 5) == 5


def test_a_stack_trace_points_at_the_users_line(functions):
    name = functions.create("def deeper():\n    raise KeyError('k')\ndef handler(e, c):\n    deeper()\n")
    error = functions.failure(name)
    assert any("app.py" in line and "deeper" in line for line in error["stackTrace"]), error
    assert not any("/root" in line or "bootstrap" in line for line in error["stackTrace"]), error


def test_a_handler_that_never_returns(functions):
    code = "import time\ndef handler(e, c):\n    time.sleep(600 if e == 'stuck' else 0)\n    return 'ok'\n"
    name = functions.create(code, Timeout=1)
    assert functions.call(name) == "ok"
    error = functions.failure(name, "stuck")
    assert "Task timed out after 1.00 seconds" in error["errorMessage"], error
    assert functions.call(name) == "ok"


def test_a_memory_hog_dies_alone(functions):
    code = "def handler(e, c):\n    return len(bytearray(e * 1024 * 1024)) if e else 'ok'\n"
    name = functions.create(code, MemorySize=128)
    assert functions.call(name) == "ok"
    error = functions.failure(name, 512)
    assert error["errorType"] in ("Runtime.OutOfMemory", "Runtime.ExitError", "MemoryError"), error
    assert functions.call(name) == "ok"


def test_a_full_tmp_is_an_error_of_the_function(functions):
    code = """
import os
def handler(e, c):
    with open('/tmp/fill', 'wb') as out:
        try:
            for _ in range(700):
                out.write(b'x' * 1024 * 1024)
            return 'no limit'
        except OSError as error:
            return error.strerror
"""
    assert functions.call(functions.create(code, MemorySize=1024)) == "No space left on device"


def test_children_left_behind_do_not_stop_the_next_call(functions):
    code = """
import subprocess
def handler(e, c):
    subprocess.Popen(['sleep', '1000'], start_new_session=True)
    return 'ok'
"""
    name = functions.create(code)
    assert [functions.call(name) for _ in range(3)] == ["ok"] * 3


def test_output_of_100_mb_neither_hangs_nor_fills_the_store(functions):
    code = """
import sys
def handler(e, c):
    for _ in range(1000):
        sys.stdout.write(('x' * 999 + '\\n') * 100)
    return 'done'
"""
    name = functions.create(code, Timeout=60, MemorySize=512)
    assert functions.call(name) == "done"
    assert functions.call(name) == "done"


def test_garbage_on_the_control_socket_retires_the_instance(functions):
    code = """
import os
def handler(e, c):
    if e == 'garbage':
        for descriptor in range(3, 256):
            try:
                os.write(descriptor, b'\\xff' * 64)
            except OSError:
                pass
    return 'ok'
"""
    name = functions.create(code)
    assert functions.call(name) == "ok"
    functions.invoke(name, "garbage")
    assert functions.call(name) == "ok"


def test_log_tail_and_lines(functions):
    name = functions.create("def handler(e, c):\n    print('said', e)\n    return 1\n")
    tail = functions.tail(name, "it")
    assert re.search(r"START RequestId: [0-9a-f-]{36} Version: \$LATEST\n", tail), tail
    assert "said it\n" in tail
    assert re.search(r"END RequestId: [0-9a-f-]{36}\n", tail), tail
    report = re.search(r"REPORT RequestId: \S+\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
                       r"Max Memory Used: \d+ MB\t", tail)
    assert report, tail


def test_dry_run_and_unserved_types(functions):
    name = functions.create(ECHO)
    assert functions.client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    refused(lambda: functions.client.invoke(FunctionName=name, InvocationType="Event"), "NotImplementedException", 501)


def test_bad_events_are_refused_before_the_function(functions):
    name = functions.create(ECHO)
    refused(lambda: functions.invoke(name, b"{not json"), "InvalidRequestContentException", 400,
            "Could not parse request body into json")
    refused(lambda: functions.invoke(name, b'"' + b"x" * 6_300_000 + b'"'), "RequestTooLargeException", 413)
    refused(lambda: functions.invoke("no-such-function"), "ResourceNotFoundException", 404, "Function not found")
    refused(lambda: functions.invoke(f"{name}:7"), "ResourceNotFoundException", 404)


def test_client_context(functions):
    name = functions.create("def handler(e, c):\n    return c.client_context.custom\n")
    context = base64.b64encode(json.dumps({"custom": {"a": "b"}}).encode()).decode()
    answer = functions.invoke(name, {}, ClientContext=context)
    assert json.loads(answer["Payload"]) == {"a": "b"}


def test_one_call_at_a_time_per_instance_and_all_answers_right(functions):
    code = """
import time
state = {'busy': False}
def handler(e, c):
    assert not state['busy']
    state['busy'] = True
    time.sleep(0.02)
    state['busy'] = False
    return e
"""
    name = functions.create(code)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: functions.call(name, n), range(80))) == list(range(80))


def test_an_update_is_seen_by_the_next_call(functions):
    name = functions.create("def handler(e, c):\n    return 0\n")
    for version in range(1, 4):
        assert functions.call(name) == version - 1
        code = f"def handler(e, c):\n    return {version}\n"
        functions.client.update_function_code(FunctionName=name, ZipFile=zipped_files({"app.py": code}))
    assert functions.call(name) == 3


def test_instances_of_different_functions_share_nothing(functions):
    writer = functions.create("import os\ndef handler(e, c):\n    open('/tmp/canary', 'w').write('x')\n    return os.getpid()\n")
    reader = functions.create("import os\ndef handler(e, c):\n    return [os.listdir('/tmp'), os.listdir('/proc')]\n")
    functions.call(writer)
    files, processes = functions.call(reader)
    assert files == []
    assert len([p for p in processes if p.isdigit()]) <= 3


def test_every_invocation_leaves_one_record_and_one_report(functions, platform):
    name = functions.create(FAULTS, Timeout=2, MemorySize=128)
    outcomes = {"ok": "success", "again": "success", "raise": "error", "exit": "crash", "sleep": "timeout",
                "fill": "out-of-memory"}
    asked = {functions.invoke(name, {"deed": deed})["ResponseMetadata"]["RequestId"]: deed for deed in outcomes}
    records = {r["RequestId"]: r for r in platform.api(f"functions/{name}/invocations")["Invocations"]}
    assert set(records) == set(asked) and len(asked) == len(outcomes)
    for request_id, deed in asked.items():
        record = records[request_id]
        assert record["Outcome"] == outcomes[deed], (deed, record)
        assert record["Caller"] == "arn:aws:iam::000000000000:root"
        assert record["BilledMs"] >= 1 and record["CostNanodollars"] >= 200, "a call costs 0.2 microdollars at least"
        assert record["Usage"]["PeakBytes"] > 0 and record["RequestBytes"] == len(json.dumps({"deed": deed}))
    logs = platform.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    reports = [e["message"] for e in logs if e["message"].startswith("REPORT RequestId: ")]
    assert sorted(r.split()[2] for r in reports) == sorted(asked)
    for report in reports:
        fields = dict(field.split(": ", 1) for field in report.strip().split("\t"))
        wanted = {"REPORT RequestId", "Duration", "Billed Duration", "Memory Size", "Max Memory Used",
                  "User Duration", "System Duration", "Rung", "Queue Duration", "Cost"}
        assert wanted <= set(fields), report
        deed = asked[fields["REPORT RequestId"]]
        assert fields.get("Status") == {"sleep": "timeout", "exit": "error", "fill": "error"}.get(deed), report
