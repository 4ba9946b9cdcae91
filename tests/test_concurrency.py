"""Reserved and provisioned concurrency, and several calls in one instance of Python."""

import json

import botocore.exceptions
import pytest

from conftest import Functions, newest, until, zipped_files
from test_load import SLEEPER, at_once, outcome, patient, sharing

KIND = """
import os
PID = os.getpid()
def handler(event, context):
    if event == "die":
        os._exit(3)
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] + " VERSION"
"""


def refused(work):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        work()
    error = caught.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"]


@pytest.fixture
def quick(functions, platform):
    functions.client = platform.client("lambda", config=patient())
    return functions


def test_reserved_calls_are_a_limit(quick):
    name, client = quick.create(SLEEPER), quick.client
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)
    before = client.get_account_settings()["AccountLimit"]
    answer = client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    assert answer["ReservedConcurrentExecutions"] == 2
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 2
    assert client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 2}
    after = client.get_account_settings()["AccountLimit"]
    assert after["ConcurrentExecutions"] == before["ConcurrentExecutions"]
    assert after["UnreservedConcurrentExecutions"] == before["UnreservedConcurrentExecutions"] - 2
    got = at_once(6, lambda _: outcome(quick, name, {"s": 1}))
    assert sorted(set(got)) == ["ReservedFunctionConcurrentInvocationLimitExceeded", "fine"], got
    assert got.count("fine") == 2
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert outcome(quick, name, {"s": 0}) == "ReservedFunctionConcurrentInvocationLimitExceeded"
    client.delete_function_concurrency(FunctionName=name)
    assert outcome(quick, name, {"s": 0}) == "fine"
    assert client.get_account_settings()["AccountLimit"] == before


def test_a_hundred_calls_stay_unreserved(quick):
    one, other = quick.create(SLEEPER), quick.create(SLEEPER)
    put = lambda name, calls: quick.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=calls)
    put(one, 500)
    assert refused(lambda: put(other, 401)) == (
        400, "InvalidParameterValueException",
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        "minimum value of [100].",
    )
    put(other, 400)
    status, code, text = refused(lambda: put(one + ":$LATEST", 1))
    assert (status, code) == (400, "InvalidParameterValueException") and "Aliases and versions" in text
    missing = refused(lambda: put("never-made", 1))
    assert missing[:2] == (404, "ResourceNotFoundException")


def test_promises_survive_a_restart(own):
    platform = own()
    made = Functions(platform)
    reserved, ready = made.create(SLEEPER), made.create(KIND)
    made.client.put_function_concurrency(FunctionName=reserved, ReservedConcurrentExecutions=0)
    made.client.put_provisioned_concurrency_config(
        FunctionName=ready, Qualifier="$LATEST", ProvisionedConcurrentExecutions=2
    )
    platform.restart(9)
    made = Functions(platform)
    assert outcome(made, reserved, {"s": 0}) == "ReservedFunctionConcurrentInvocationLimitExceeded"
    until(lambda: kept(made, ready)["Status"] == "READY", "its instances are there again")


def kept(functions, name):
    return functions.client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="$LATEST")


def promise(functions, name, count):
    answer = functions.client.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier="$LATEST", ProvisionedConcurrentExecutions=count
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["RequestedProvisionedConcurrentExecutions"] == count
    return answer


def ready(functions, name, count):
    shown = until(lambda: kept(functions, name)["Status"] == "READY" and kept(functions, name), "all are ready")
    assert shown["AvailableProvisionedConcurrentExecutions"] >= count, shown


def test_provisioned_instances_wait_for_calls(quick):
    name = quick.create(KIND)
    assert refused(lambda: kept(quick, name))[:2] == (404, "ProvisionedConcurrencyConfigNotFoundException")
    promise(quick, name, 3)
    ready(quick, name, 3)
    assert [one["State"] for one in quick.instances(name)] == ["idle"] * 3, "nobody has called"
    answer = quick.invoke(name, "")
    assert json.loads(answer["Payload"]) == "provisioned-concurrency VERSION"
    record = quick.record(answer["ResponseMetadata"]["RequestId"])
    assert record["Reason"] == "provisioned instance", record
    listed = quick.client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"]
    assert [one["RequestedProvisionedConcurrentExecutions"] for one in listed] == [3]
    assert listed[0]["FunctionArn"].endswith(f"{name}:$LATEST")
    quick.failure(name, "die")
    ready(quick, name, 3)
    quick.client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="$LATEST")
    assert quick.client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"] == []


def test_an_update_is_ready_before_it_takes_over(quick):
    name = quick.create(KIND)
    promise(quick, name, 2)
    ready(quick, name, 2)
    for version in ("one", "two"):
        package = zipped_files({"app.py": KIND.replace("VERSION", version)})
        quick.client.update_function_code(FunctionName=name, ZipFile=package)
        answer = quick.invoke(name, "")
        assert json.loads(answer["Payload"]) == f"provisioned-concurrency {version}"
        record = quick.record(answer["ResponseMetadata"]["RequestId"])
        assert record["Reason"] == "provisioned instance", record
    until(lambda: len(quick.instances(name)) == 2, "the old ones are gone")
    quick.platform.api(f"functions/{name}/instances", method="DELETE")
    ready(quick, name, 2)


def test_calls_beyond_the_promise_start_others(quick):
    name = quick.create(SLEEPER)
    promise(quick, name, 1)
    ready(quick, name, 1)
    assert at_once(3, lambda _: outcome(quick, name, {"s": 0.5})) == ["fine"] * 3
    ready(quick, name, 1)


def test_promises_that_cannot_be_kept(quick):
    name = quick.create(KIND, MemorySize=1024)
    status, code, text = refused(lambda: promise(quick, name, 900))
    assert (status, code) == (400, "InvalidParameterValueException") and "machine-memory" in text, text
    quick.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    assert "greater than the reservedConcurrentExecution" in refused(lambda: promise(quick, name, 2))[2]
    promise(quick, name, 1)
    lower = refused(lambda: quick.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0))
    assert "provisioned concurrency [1]" in lower[2], lower
    bad = quick.create("raise RuntimeError('never')\n")
    promise(quick, bad, 1)
    shown = until(lambda: kept(quick, bad)["Status"] == "FAILED" and kept(quick, bad), "it is said to have failed")
    assert shown["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE" and shown["AvailableProvisionedConcurrentExecutions"] == 0
    quick.client.update_function_code(FunctionName=bad, ZipFile=zipped_files({"app.py": KIND}))
    ready(quick, bad, 1)


def test_both_are_options_of_deploy(functions, platform, tmp_path):
    newest(platform, "python")
    (tmp_path / "app.py").write_text(KIND)
    (tmp_path / "dayfly.toml").write_text("name = 'promised-by-option'\nprovisioned = 1\n")
    functions.names.append("promised-by-option")
    done = platform.cli("deploy", tmp_path, "--reserved-concurrency", "3")
    assert functions.call("promised-by-option", "") == "provisioned-concurrency VERSION", done.stderr
    shown = platform.cli("describe", "promised-by-option").stdout
    assert "3 calls at once" in shown and "1 of 1 instances ready, READY" in shown, shown
    done = platform.cli("deploy", tmp_path, "--no-reserved-concurrency", "--provisioned", "0")
    assert "reserved concurrency 3 -> none" in done.stdout and "provisioned 1 -> 0" in done.stdout, done.stdout
    shown = json.loads(platform.cli("describe", "promised-by-option", "--json").stdout)
    assert shown["provisioned"] is None and shown["reserved_concurrency"] is None


CROWD = """
import os, threading, time
LOADED = os.getpid()
if os.environ.get("THREADS"):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
def handler(event, context):
    print("begin")
    if event.get("exit") is not None:
        os._exit(event["exit"])
    if event.get("fail"):
        raise TypeError("as asked")
    while event.get("spin"):
        pass
    time.sleep(event.get("s", 0.5))
    print("end", end="")
    with open("/tmp/shared", "a") as shared:
        shared.write("x")
    return {"pid": os.getpid(), "loaded": LOADED, "id": context.aws_request_id, "stream": context.log_stream_name,
            "trace": os.environ.get("_X_AMZN_TRACE_ID"), "written": os.path.getsize("/tmp/shared")}
"""


@pytest.mark.parametrize("threads", ["", "1"])
def test_python_serves_several_calls_in_processes(quick, threads):
    environment = {"Variables": {"THREADS": threads}}
    name = quick.create(
        CROWD, MemorySize=512, Timeout=3, CapacityProviderConfig=sharing(8), Environment=environment
    )
    quick.call(name, {"s": 0})
    answers = at_once(8, lambda _: quick.invoke(name, {}, LogType="Tail"))
    fine = [json.loads(answer["Payload"]) for answer in answers]
    assert all("FunctionError" not in answer for answer in answers), fine
    assert len({one["stream"] for one in fine}) == 1, "one instance"
    assert len({one["pid"] for one in fine}) > 4, "a process for each call"
    assert len({one["loaded"] for one in fine}) == (1 if not threads else len({one["pid"] for one in fine}))
    assert {one["id"] for one in fine} == {answer["ResponseMetadata"]["RequestId"] for answer in answers}
    import base64
    for answer in answers:
        request, tail = answer["ResponseMetadata"]["RequestId"], base64.b64decode(answer["LogResult"]).decode()
        assert tail.count("begin") == tail.count("\tend") == 1 and f"{request}\tbegin" in tail, tail
    assert fine[0]["written"] >= 1 and max(one["written"] for one in fine) == 9, "/tmp is shared"


def test_what_one_process_suffers_is_its_own(quick):
    name = quick.create(CROWD, MemorySize=512, Timeout=2, CapacityProviderConfig=sharing(8))
    stream = quick.call(name, {"s": 0})["stream"]
    events = [{"s": 1}, {"spin": True}, {"exit": 7}, {"fail": True}, {"s": 60}, {"s": 1}]
    got = at_once(len(events), lambda n: quick.invoke(name, events[n]))
    bodies = [json.loads(answer["Payload"]) for answer in got]
    assert [body.get("errorType") for body in bodies] == [
        None, "Sandbox.Timedout", "Runtime.ExitError", "TypeError", "Sandbox.Timedout", None
    ], bodies
    assert "exit status 7" in bodies[2]["errorMessage"]
    after = [quick.call(name, {"s": 0})["stream"] for _ in range(3)]
    assert set(after) == {stream}, "the instance goes on"
    records = [quick.record(answer["ResponseMetadata"]["RequestId"]) for answer in got]
    assert [record["Outcome"] for record in records] == ["success", "timeout", "error", "error", "timeout", "success"]
    assert [one["State"] for one in quick.instances(name)] == ["idle"]
    # Nothing of those that were given up is left to use the processor.
    spent = quick.record(quick.invoke(name, {"s": 1})["ResponseMetadata"]["RequestId"])["Usage"]["UserUs"]
    assert spent < 500_000, spent


def test_more_processes_than_an_instance_may_have_are_refused(quick):
    name = quick.create(CROWD)
    change = lambda: quick.client.update_function_configuration(FunctionName=name, CapacityProviderConfig=sharing(129))
    assert "instance-workers" in refused(change)[2]
