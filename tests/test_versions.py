"""Published versions: each stays what it was, with instances of its own, whatever becomes of `$LATEST`."""

import base64
import hashlib
import itertools
import json
import os
import signal
import threading
import urllib.request

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from conftest import Functions, until, zipped
from test_other_clients import aws

SAYS = (
    "import os\nSEEN = []\n"
    "def handler(event, context):\n"
    "    SEEN.append(1)\n"
    "    return {'says': '%s', 'calls': len(SEEN), 'env': os.environ['AWS_LAMBDA_FUNCTION_VERSION'],\n"
    "            'context': context.function_version, 'arn': context.invoked_function_arn,\n"
    "            'stream': context.log_stream_name, 'colour': os.environ.get('COLOUR')}\n"
)
SNAPSTART = {"ApplyOn": "PublishedVersions"}


def publish(functions, name, **order):
    made = functions.client.publish_version(FunctionName=name, **order)
    functions.client.get_waiter("published_version_active").wait(
        FunctionName=name, Qualifier=made["Version"], WaiterConfig={"Delay": 1}
    )
    return made


def says(functions, name, code):
    functions.client.update_function_code(FunctionName=name, ZipFile=zipped(app__py=code))


def call(functions, name, version=None):
    chosen = {"Qualifier": version} if version else {}
    answer = functions.invoke(name, **chosen)
    assert "FunctionError" not in answer, answer["Payload"]
    said = json.loads(answer["Payload"])
    assert answer["ExecutedVersion"] == said["env"] == said["context"] == (version or "$LATEST")
    assert f"[{version or '$LATEST'}]" in said["stream"]
    return said


def versions(functions, name):
    pages = functions.client.get_paginator("list_versions_by_function").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 2}
    )
    return [version["Version"] for page in pages for version in page["Versions"]]


def refused(code):
    return pytest.raises(ClientError, match=code)


def test_versions_stay_while_latest_changes(functions, platform):
    name = functions.create(SAYS % "one", Environment={"Variables": {"COLOUR": "red"}})
    first = publish(functions, name, Description="the first")
    assert (first["Version"], first["Description"]) == ("1", "the first")
    assert functions.client.publish_version(FunctionName=name)["Version"] == "1", "nothing has changed"
    assert call(functions, name, "1")["says"] == call(functions, name)["says"] == "one"
    says(functions, name, SAYS % "two")
    functions.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"COLOUR": "blue"}})
    assert publish(functions, name)["Version"] == "2"
    says(functions, name, SAYS % "three")
    for _ in range(2):
        found = {version: call(functions, name, version) for version in ("1", "2", None)}
    assert [(said["says"], said["colour"]) for said in found.values()] == [("one", "red"), ("two", "blue"), ("three", "blue")]
    assert [said["calls"] for said in found.values()] == [3, 2, 2], "each has an instance of its own"
    assert found["1"]["arn"].endswith(f":function:{name}:1") and found[None]["arn"].endswith(f":function:{name}")
    assert functions.call(f"{name}:2")["says"] == functions.call(found["2"]["arn"])["says"] == "two"
    assert versions(functions, name) == ["$LATEST", "1", "2"]
    everything = functions.client.list_functions(FunctionVersion="ALL")["Functions"]
    assert [f["Version"] for f in everything if f["FunctionName"] == name] == ["$LATEST", "1", "2"]
    shown = functions.client.get_function(FunctionName=name, Qualifier="1")
    assert shown["Configuration"]["FunctionArn"] == found["1"]["arn"]
    for version in ("3", "prod"):
        with refused("ResourceNotFoundException"):
            functions.client.get_function(FunctionName=name, Qualifier=version)

    assert {one["Version"] for one in functions.instances(name)} == {"$LATEST", "1", "2"}
    functions.client.delete_function(FunctionName=name, Qualifier="1")
    until(lambda: {one["Version"] for one in functions.instances(name)} == {"$LATEST", "2"}, "its instances have ended")
    with refused("ResourceNotFoundException"):
        functions.invoke(name, Qualifier="1")
    assert call(functions, name, "2")["says"] == "two"
    says(functions, name, SAYS % "four")
    assert publish(functions, name)["Version"] == "3"
    functions.client.delete_function(FunctionName=name)
    assert not functions.instances(name) or until(lambda: not functions.instances(name), "all have ended")


def test_preconditions(functions):
    name = functions.create(SAYS % "one")
    latest = functions.client.get_function_configuration(FunctionName=name)
    with refused("PreconditionFailedException"):
        functions.client.publish_version(FunctionName=name, RevisionId="11111111-2222-4333-8444-555555555555")
    with refused("CodeSHA256 .* is different from current CodeSHA256"):
        functions.client.publish_version(FunctionName=name, CodeSha256="x" * 44)
    right = {"CodeSha256": latest["CodeSha256"], "RevisionId": latest["RevisionId"]}
    assert functions.client.publish_version(FunctionName=name, **right)["Version"] == "1"
    with refused("InvalidParameterValueException"):
        functions.client.update_function_configuration(FunctionName=f"{name}:1", Timeout=5)
    with refused("not implemented"):
        functions.client.create_alias(FunctionName=name, Name="prod", FunctionVersion="1")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_versions_survive(own, how):
    platform = own()
    functions = Functions(platform)
    name = functions.create(SAYS % "one", Publish=True)
    made = functions.client.update_function_code(FunctionName=name, ZipFile=zipped(app__py=SAYS % "two"), Publish=True)
    assert made["Version"] == "2"
    says(functions, name, SAYS % "three")
    before = [functions.client.get_function_configuration(FunctionName=name, Qualifier=v) for v in ("1", "2")]
    functions.client.delete_function(FunctionName=name, Qualifier="2")
    platform.restart(how)
    functions = Functions(platform)
    after = functions.client.get_function_configuration(FunctionName=name, Qualifier="1")
    assert {**after, "ResponseMetadata": None} == {**before[0], "ResponseMetadata": None}
    assert versions(functions, name) == ["$LATEST", "1"]
    assert (call(functions, name, "1")["says"], call(functions, name)["says"]) == ("one", "three")
    packages = [entry for entry in os.listdir(platform.data / "code")]
    assert len(packages) == 2, "what only the deleted one had is gone"
    assert publish(functions, name)["Version"] == "3"


def test_kill_dash_nine_between_publications_and_deletions(own):
    """Whatever was being written, each version that is listed has its code, and no number is given twice."""
    platform, given, kept, twice = own(), {}, {}, []
    name = Functions(platform).create(SAYS % "none")
    for round_number in range(3):
        client, stop, lock = platform.client("lambda"), threading.Event(), threading.Lock()

        def work(worker):
            for step in itertools.count():
                says_so = f"{round_number}-{worker}-{step}"
                try:
                    made = client.update_function_code(FunctionName=name, ZipFile=zipped(app__py=SAYS % says_so), Publish=True)
                    number = made["Version"]
                    with lock:
                        twice.extend([number] if number in given else [])
                        given[number] = made["CodeSha256"]
                    if step % 2:
                        client.delete_function(FunctionName=name, Qualifier=number)
                    else:
                        kept[number] = says_so
                except (BotoCoreError, ClientError):
                    if platform.process.poll() is not None or stop.is_set():
                        return

        workers = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for worker in workers:
            worker.start()
        wanted = len(given) + 9
        until(lambda: len(given) >= wanted, "nine more versions are acknowledged")
        stop.set()
        platform.process.send_signal(signal.SIGKILL)
        platform.process.wait()
        for worker in workers:
            worker.join()
        platform.start()
        functions = Functions(platform)
        found = versions(functions, name)[1:]
        assert not twice, "they were given before"
        assert set(kept) <= set(found), "what was acknowledged is there"
        for number in found:
            shown = functions.client.get_function(FunctionName=name, Qualifier=number)
            sha256 = shown["Configuration"]["CodeSha256"]
            assert given.setdefault(number, sha256) == sha256
            with urllib.request.urlopen(shown["Code"]["Location"]) as archive:
                assert base64.b64encode(hashlib.sha256(archive.read()).digest()).decode() == sha256
        for number in (min(kept, key=int), max(kept, key=int)):
            assert call(functions, name, number)["says"] == kept[number]
    # What was unpacked still when the platform had been killed and started again is removed at the next start; what was
    # not unpacked to its end has another name, until the next package comes.
    platform.restart()
    functions = Functions(platform)
    latest = functions.client.get_function_configuration(FunctionName=name)["CodeSha256"]
    used = {latest, *(given[number] for number in versions(functions, name)[1:])}
    packages = {entry for entry in os.listdir(platform.data / "code") if ".partial-" not in entry}
    assert packages == {base64.b64decode(sha256).hex() for sha256 in used}, "those of versions that are gone are, too"


IDENTITY = {
    "python": (
        "import os\ndef handler(event, context):\n"
        "    return [os.environ['AWS_LAMBDA_FUNCTION_VERSION'], context.function_version, context.invoked_function_arn,\n"
        "            os.environ['AWS_LAMBDA_LOG_STREAM_NAME']]\n"
    ),
    "node": (
        "exports.handler = async (event, context) => [process.env.AWS_LAMBDA_FUNCTION_VERSION, context.functionVersion,\n"
        "  context.invokedFunctionArn, process.env.AWS_LAMBDA_LOG_STREAM_NAME];\n"
    ),
}


@pytest.mark.parametrize("apply_on", ["None", "PublishedVersions"])
@pytest.mark.parametrize("language", IDENTITY)
def test_an_instance_knows_its_version(functions, platform, language, apply_on):
    name = functions.create(IDENTITY[language], runtime=language, SnapStart={"ApplyOn": apply_on})
    publish(functions, name)
    arn = functions.client.get_function_configuration(FunctionName=name)["FunctionArn"]
    for rung in ("spawn", "fork", "spare"):
        for suffix, number in (("", "$LATEST"), (":1", "1"), (":$LATEST", "$LATEST")):
            called = json.loads(platform.cli("invoke", name + suffix, f"--cold={rung}", "--json").stdout)
            environment, context, invoked, stream = called["payload"]
            assert environment == context == number == called["record"]["version"], called
            assert invoked == arn + suffix
            assert stream == called["record"]["log_stream"] and f"[{number}]" in stream


def test_limits_of_a_function_hold_for_all_its_versions_together(functions):
    sleeper = "import time\ndef handler(event, context):\n    time.sleep(event)\n"
    name = functions.create(sleeper)
    publish(functions, name)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    for version in ("1", "$LATEST"):
        with refused("TooManyRequestsException"):
            functions.invoke(name, 0, Qualifier=version)
    functions.client.delete_function_concurrency(FunctionName=name)
    assert functions.invoke(name, 0, Qualifier="1")["StatusCode"] == 200


def test_a_version_waits_for_its_snapshot(functions, platform):
    slow = "import time\ntime.sleep(2)\n" + SAYS
    name = functions.create(slow % "one", SnapStart=SNAPSTART)
    made = functions.client.publish_version(FunctionName=name)
    assert (made["State"], made["SnapStart"]["OptimizationStatus"]) == ("Pending", "Off")
    with refused("SnapStartNotReadyException"):
        functions.invoke(name, Qualifier="1")
    functions.client.get_waiter("published_version_active").wait(
        FunctionName=name, Qualifier="1", WaiterConfig={"Delay": 1}
    )
    shown = functions.client.get_function_configuration(FunctionName=name, Qualifier="1")
    assert (shown["State"], shown["SnapStart"]["OptimizationStatus"]) == ("Active", "On")
    called = json.loads(platform.cli("invoke", f"{name}:1", "--cold=fork", "--json").stdout)
    assert called["payload"]["says"] == "one"
    assert called["record"]["rung"] == "fork" and "the function's template" in called["record"]["reason"]


def test_a_version_that_cannot_be_copied_is_active_and_says_why(functions):
    code = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n" + SAYS
    name = functions.create(code % "one", SnapStart=SNAPSTART)
    publish(functions, name)
    shown = functions.client.get_function_configuration(FunctionName=name, Qualifier="1")
    assert (shown["State"], shown["SnapStart"]["OptimizationStatus"]) == ("Active", "Off")
    assert "started 1 threads" in shown["StateReason"]
    assert call(functions, name, "1")["says"] == "one"


def test_instances_of_a_version_are_kept_ready(functions):
    name = functions.create(SAYS % "one")
    publish(functions, name)
    says(functions, name, SAYS % "two")
    functions.client.put_provisioned_concurrency_config(FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=2)
    until(lambda: functions.client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="1")["Status"] == "READY",
          "both are there")
    assert [one["Version"] for one in functions.instances(name)] == ["1", "1"]
    assert call(functions, name, "1")["says"] == "one"
    functions.client.delete_function(FunctionName=name, Qualifier="1")
    until(lambda: not functions.instances(name), "nothing is promised any more")


def test_the_aws_cli(platform, functions, tmp_path):
    name, answer = functions.create(SAYS % "one"), tmp_path / "answer.json"
    assert aws(platform, "lambda", "publish-version", "--function-name", name, "--description", "d")["Version"] == "1"
    aws(platform, "lambda", "wait", "published-version-active", "--function-name", name, "--qualifier", "1")
    called = aws(platform, "lambda", "invoke", "--function-name", f"{name}:1", str(answer))
    assert (called["ExecutedVersion"], json.loads(answer.read_text())["says"]) == ("1", "one")
    listed = aws(platform, "lambda", "list-versions-by-function", "--function-name", name, "--query", "Versions[].Version")
    assert listed == ["$LATEST", "1"]
    aws(platform, "lambda", "delete-function", "--function-name", name, "--qualifier", "1")
    assert aws(platform, "lambda", "list-versions-by-function", "--function-name", name)["Versions"][0]["Version"] == "$LATEST"
