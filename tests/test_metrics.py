"""Metrics: what the platform says of itself in numbers, read by Prometheus's own parser, and to whom it says it."""

import concurrent.futures
import json
import math

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from conftest import FAULTS, SIGNED_ASK, Functions, until
from test_load import patient

PATH = "/_dayfly/v1/metrics"
JOB = "- job_name: dayfly\n  metrics_path: "


@pytest.fixture
def token(platform):
    """The token of the job that the command line prints."""
    job = platform.cli("metrics", "--scrape-config").stdout
    assert job.startswith(f"{JOB}{PATH}\n") and platform.endpoint.split("//")[1] in job, job
    return job.split("credentials: ")[1].split()[0]


def read(text):
    """By name, each sample: its labels without the function's, by function."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type != "unknown", family
        for name, labels, value, *_ in family.samples:
            function = labels.pop("function", None)
            place = found.setdefault(name, {}).setdefault(function, {})
            key = tuple(labels.values())
            assert key not in place, f"{name} {function} {key} is there twice"
            place[key] = value
    return found


def metrics(platform):
    return read(platform.cli("metrics").stdout)


def test_what_prometheus_reads(platform, functions, token):
    name = functions.create(FAULTS, Timeout=1)
    for deed in (None, None, None, "raise", "exit", "sleep"):
        functions.invoke(name, {"deed": deed})
    answer = requests.get(platform.endpoint + PATH, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = read(answer.text)
    protections = platform.banner["protections"]
    assert found["dayfly_isolation_level"] == {None: {(): protections["level"]}}
    layers = {(layer["name"],): float(layer["on"]) for layer in protections["layers"]}
    assert found["dayfly_isolation_layer"] == {None: layers}
    assert sum(found["dayfly_invocations_total"][name].values()) == 6
    assert found["dayfly_invocations_total"][name][("idle",)] >= 3
    assert found["dayfly_errors_total"][name] == {("error",): 1, ("crash",): 1, ("timeout",): 1}
    assert found["dayfly_duration_seconds_count"][name][()] == 6
    assert found["dayfly_duration_seconds_sum"][name][()] >= 1
    buckets = found["dayfly_duration_seconds_bucket"][name]
    assert list(buckets.values()) == sorted(buckets.values()) and buckets[("+Inf",)] == 6
    assert buckets[("0.5",)] <= 5 and [float(bound) for bound, in buckets][-1] == math.inf
    records = platform.api(f"functions/{name}/invocations?Limit=10")["Invocations"]
    assert found["dayfly_memory_peak_bytes"][name][()] == max(one["Usage"]["PeakBytes"] for one in records)
    sums = {
        "dayfly_billed_seconds_total": (lambda one: one["BilledMs"] / 1e3),
        "dayfly_cpu_user_seconds_total": (lambda one: one["Usage"]["UserUs"] / 1e6),
        "dayfly_queue_seconds_total": (lambda one: one["Phases"]["QueueUs"] / 1e6),
    }
    for family, of in sums.items():
        assert found[family][name][()] == pytest.approx(sum(map(of, records))), family
    assert found["process_resident_memory_bytes"][None][()] > 1e6
    assert metrics(platform)["dayfly_invocations_total"][name] == found["dayfly_invocations_total"][name]


def test_throttles_queues_and_instances(own):
    functions = Functions(own("--concurrency", "2"))
    functions.client = functions.platform.client("lambda", config=patient())
    name = functions.create("import time\ndef handler(event, context):\n    time.sleep(event)\n")
    functions.call(name, 0)

    def asleep(_):
        try:
            functions.call(name, 3)
            return 0
        except functions.client.exceptions.TooManyRequestsException:
            return 1

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        calls = [pool.submit(asleep, n) for n in range(5)]
        busy = until(lambda: metrics(functions.platform)["dayfly_instances"].get(name, {}).get(("busy",)), "some run")
        refused = sum(call.result() for call in calls)
    found = metrics(functions.platform)
    assert 1 <= busy <= 2 and refused >= 3
    assert found["dayfly_throttles_total"] == {name: {("account-concurrency",): refused}}
    assert found["dayfly_invocations_total"][name] and found["dayfly_queue_length"][name] == {(): 0}


def test_who_may_read_them(platform, functions, token):
    get = lambda path, value: requests.get(platform.endpoint + path, headers={"Authorization": value}, timeout=30)
    other = ("0" if token[0] != "0" else "1") + token[1:]
    refused = [None, "", "Bearer", "Bearer ", f"Bearer {other}", f"Bearer {token}0", f"Basic {token}", token]
    for value in refused:
        assert get(PATH, value).status_code == 403 or get(PATH, value).status_code == 400, value
    for path in ("/_dayfly/v1/status", "/_dayfly/v1/limits", "/2015-03-31/functions", "/2015-03-31/functions/x"):
        answer = get(path, f"Bearer {token}")
        assert answer.status_code in (400, 403), (path, answer.text)
    name = functions.create(SIGNED_ASK + f"""
def handler(event, context):
    return ask('GET', '{PATH}', 'dayfly', b'', {{}})
""")
    status, text = functions.call(name)
    assert status == 403 and "dayfly:GetMetrics" in text, text
