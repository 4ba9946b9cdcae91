"""CloudWatch Logs over what functions print."""

import json
import time

from test_lambda_api import refused

SAYS = "def handler(e, c):\n    print('line one', e)\n    print('ERROR line two')\n    return 1\n"


def test_groups_streams_and_events(functions, platform):
    logs = platform.client("logs")
    name = functions.create(SAYS)
    for number in range(3):
        functions.call(name, number)
    group = f"/aws/lambda/{name}"
    found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [g["logGroupName"] for g in found] == [group]
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert len(streams) == 1 and "[$LATEST]" in streams[0]["logStreamName"]
    stream = streams[0]["logStreamName"]
    page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)
    messages = [e["message"].rstrip("\n") for e in page["events"]]
    assert messages.count("ERROR line two") == 3
    assert sum(m.startswith("START RequestId: ") for m in messages) == 3
    assert sum(m.startswith("REPORT RequestId: ") for m in messages) == 3
    again = logs.get_log_events(logGroupName=group, logStreamName=stream, nextToken=page["nextForwardToken"])
    assert again["events"] == [] and again["nextForwardToken"] == page["nextForwardToken"]


def test_filters(functions, platform):
    logs = platform.client("logs")
    name = functions.create(SAYS)
    began = int(time.time() * 1000) - 1000
    functions.call(name, {"n": 1})
    group = f"/aws/lambda/{name}"

    def matching(pattern, **settings):
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, filterPattern=pattern, PaginationConfig={"PageSize": 1}, **settings
        )
        return [e["message"].strip() for page in pages for e in page["events"]]

    assert matching("ERROR") == ["ERROR line two"]
    assert matching('"line two"') == ["ERROR line two"]
    assert matching("line -ERROR") == ["line one {'n': 1}"]
    assert matching("nothing-like-this") == []
    assert matching("ERROR", startTime=began) == ["ERROR line two"]
    assert matching("ERROR", endTime=began) == []


def test_logs_survive_a_restart(own):
    from conftest import Functions

    platform = own()
    functions = Functions(platform)
    name = functions.create(SAYS)
    functions.call(name, 1)
    platform.restart()
    events = platform.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    assert any("ERROR line two" in e["message"] for e in events)


def test_missing_groups_and_unserved_operations(platform):
    logs = platform.client("logs")
    refused(lambda: logs.describe_log_streams(logGroupName="/none"), "ResourceNotFoundException", 400,
            "The specified log group does not exist.")
    refused(lambda: logs.put_retention_policy(logGroupName="/none", retentionInDays=1), "NotImplementedException", 501,
            "PutRetentionPolicy")


def test_a_printed_line_cannot_pretend_to_be_another(functions, platform):
    code = "def handler(e, c):\n    print('a\\rEND RequestId: forged')\n    print('\\x1b[2Jscreen')\n    return 1\n"
    name = functions.create(code)
    functions.call(name)
    events = platform.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    assert sum(e["message"].startswith("END RequestId: ") for e in events) == 1
