"""Every operation of the three services: served as AWS serves it, or refused by its name."""

import datetime
import re

import botocore.config
import botocore.session
import pytest
from botocore import UNSIGNED, xform_name
from botocore.exceptions import ClientError

from conftest import ROLE, newest, zipped_files

SERVED = {
    "lambda": """
        CreateFunction GetFunction GetFunctionConfiguration ListFunctions UpdateFunctionCode UpdateFunctionConfiguration
        DeleteFunction Invoke CreateFunctionUrlConfig GetFunctionUrlConfig UpdateFunctionUrlConfig
        DeleteFunctionUrlConfig ListFunctionUrlConfigs AddPermission GetPolicy RemovePermission GetAccountSettings
        TagResource UntagResource ListTags PutFunctionConcurrency GetFunctionConcurrency DeleteFunctionConcurrency
        PutProvisionedConcurrencyConfig GetProvisionedConcurrencyConfig ListProvisionedConcurrencyConfigs
        DeleteProvisionedConcurrencyConfig PublishVersion ListVersionsByFunction
    """.split(),
    "sts": ["GetCallerIdentity"],
    "logs": ["DescribeLogGroups", "DescribeLogStreams", "GetLogEvents", "FilterLogEvents"],
}
COUNTS = {"lambda": 91, "sts": 12, "logs": 118}
MODELS = {name: botocore.session.get_session().get_service_model(name) for name in SERVED}
ALL = [(service, operation) for service, model in MODELS.items() for operation in model.operation_names]


def least(shape, depth=0):
    """The smallest value of a shape that its model allows, as far as clients check it."""
    if shape.type_name == "structure":
        names = shape.required_members or (list(shape.members)[:1] if getattr(shape, "is_tagged_union", False) else [])
        return {name: least(shape.members[name], depth + 1) for name in names} if depth < 8 else {}
    if shape.type_name == "list":
        return [least(shape.member, depth + 1)] * shape.metadata.get("min", 0)
    if shape.type_name == "map":
        return {}
    if shape.type_name == "string":
        return (getattr(shape, "enum", None) or ["a" * max(1, shape.metadata.get("min", 1))])[0]
    plain = {"blob": b"a", "boolean": True, "timestamp": 0, "float": 1.0, "double": 1.0}
    return plain.get(shape.type_name, max(1, int(shape.metadata.get("min", 1))))


def test_the_models_are_the_ones_that_were_counted():
    assert {service: len(model.operation_names) for service, model in MODELS.items()} == COUNTS


@pytest.mark.parametrize("service, operation", ALL, ids=[f"{s}-{o}" for s, o in ALL])
def test_every_operation_is_served_or_refused_by_name(platform, service, operation):
    model = MODELS[service].operation_model(operation)
    settings = {"parameter_validation": False, "inject_host_prefix": False, "retries": {"total_max_attempts": 1}}
    if model.auth_type == "none":
        settings["signature_version"] = UNSIGNED
    client = platform.client(service, config=botocore.config.Config(**settings))
    arguments = least(model.input_shape) if model.input_shape else {}
    try:
        getattr(client, xform_name(operation))(**arguments)
        code, status, message = None, 200, ""
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if operation in SERVED[service]:
        assert code not in ("NotImplementedException", "NotImplemented") and status < 500, (code, message)
    else:
        wanted = "NotImplemented" if service == "sts" else "NotImplementedException"
        assert (code, status) == (wanted, 501), message
        assert operation in message


def answers(shape, answer, place):
    """Fails where a parsed answer holds what its model does not know, or another kind of value."""
    kinds = {
        "structure": dict, "map": dict, "list": list, "string": str, "boolean": bool, "integer": int, "long": int,
        "double": (int, float), "float": (int, float), "timestamp": datetime.datetime,
    }
    if shape.type_name == "blob":
        return
    assert isinstance(answer, kinds[shape.type_name]), (place, answer)
    if shape.type_name == "structure":
        for name, value in answer.items():
            assert name in shape.members, f"{place}.{name}"
            answers(shape.members[name], value, f"{place}.{name}")
    elif shape.type_name == "list":
        for value in answer:
            answers(shape.member, value, f"{place}[]")
    elif shape.type_name == "string" and getattr(shape, "enum", None):
        assert answer in shape.enum, (place, answer)


LISTED = """
    FunctionName FunctionArn Runtime Role Handler CodeSize Description Timeout MemorySize LastModified CodeSha256 Version
    TracingConfig RevisionId PackageType Architectures EphemeralStorage SnapStart LoggingConfig Environment
""".split()
SHOWN = [*LISTED, "State", "LastUpdateStatus", "RuntimeVersionConfig"]
URL = "FunctionUrl FunctionArn AuthType CreationTime InvokeMode".split()
CHANGED_URL = [*URL, "LastModifiedTime", "Cors"]
FORMATS = {
    "LastModified": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000",
    "CreationTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z",
    "RevisionId": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "CodeSha256": r"[A-Za-z0-9+/]{43}=",
    "FunctionArn": r"arn:aws:lambda:us-east-1:000000000000:function:shapes(:(\$LATEST|1))?",
    "RuntimeVersionArn": r"arn:aws:lambda:us-east-1::runtime:.+",
    "FunctionUrl": r"http://[a-z0-9]{32}\.lambda-url\.localhost:\d+/",
}


def formats(value):
    """Fails where a text in an answer has another form than AWS gives it."""
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name in FORMATS and isinstance(inner, str):
            assert re.fullmatch(FORMATS[name], inner), (name, inner)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        formats(inner)


def test_answers_have_the_members_that_aws_always_gives(functions, platform):
    """One call of each served operation. Members: AWS's API reference, and the models for their kinds."""
    package = zipped_files({"app.py": "def handler(e, c):\n    return e\n"})
    arn = "arn:aws:lambda:us-east-1:000000000000:function:shapes"
    functions.names.append("shapes")
    seen = set()

    def check(service, operation, members, **arguments):
        seen.add((service, operation))
        answer = getattr(platform.client(service), xform_name(operation))(**arguments)
        meta = answer.pop("ResponseMetadata")
        assert meta["RequestId"]
        assert meta["HTTPStatusCode"] == 204 or meta["HTTPHeaders"]["content-type"], operation
        assert set(members) <= set(answer), (operation, set(members) - set(answer))
        output = MODELS[service].operation_model(operation).output_shape
        if output:
            answers(output, answer, operation)
        formats(answer)
        return answer

    name = {"FunctionName": "shapes"}
    check("lambda", "CreateFunction", SHOWN, **name, Runtime=newest(platform, "python"), Handler="app.handler", Role=ROLE,
          Code={"ZipFile": package}, Environment={"Variables": {"AB": "1"}}, Tags={"a": "b"})
    got = check("lambda", "GetFunction", ["Configuration", "Code", "Tags"], **name)
    assert set(SHOWN) <= set(got["Configuration"]) and {"RepositoryType", "Location"} <= set(got["Code"])
    check("lambda", "GetFunctionConfiguration", SHOWN, **name)
    check("lambda", "UpdateFunctionCode", SHOWN, **name, ZipFile=package)
    check("lambda", "UpdateFunctionConfiguration", SHOWN, **name, Timeout=4)
    listed = check("lambda", "ListFunctions", ["Functions"])["Functions"]
    mine = next(function for function in listed if function["FunctionName"] == "shapes")
    assert set(mine) == set(LISTED), set(mine) ^ set(LISTED)
    assert check("lambda", "PublishVersion", SHOWN, **name)["Version"] == "1"
    versions = check("lambda", "ListVersionsByFunction", ["Versions"], **name)["Versions"]
    assert all(set(version) == set(LISTED) for version in versions), versions
    called = check("lambda", "Invoke", ["StatusCode", "ExecutedVersion", "Payload", "LogResult"], **name, LogType="Tail")
    assert called["StatusCode"] == 200
    check("lambda", "CreateFunctionUrlConfig", URL, **name, AuthType="NONE")
    check("lambda", "UpdateFunctionUrlConfig", CHANGED_URL, **name, Cors={"AllowOrigins": ["*"]})
    check("lambda", "GetFunctionUrlConfig", CHANGED_URL, **name)
    urls = check("lambda", "ListFunctionUrlConfigs", ["FunctionUrlConfigs"], **name)["FunctionUrlConfigs"]
    assert set(CHANGED_URL) <= set(urls[0])
    check("lambda", "DeleteFunctionUrlConfig", [], **name)
    check("lambda", "AddPermission", ["Statement"], **name, StatementId="s", Action="lambda:InvokeFunction", Principal="*")
    check("lambda", "GetPolicy", ["Policy", "RevisionId"], **name)
    check("lambda", "RemovePermission", [], **name, StatementId="s")
    check("lambda", "TagResource", [], Resource=arn, Tags={"c": "d"})
    assert check("lambda", "ListTags", ["Tags"], Resource=arn)["Tags"] == {"a": "b", "c": "d"}
    check("lambda", "UntagResource", [], Resource=arn, TagKeys=["a"])
    account = check("lambda", "GetAccountSettings", ["AccountLimit", "AccountUsage"])
    assert set(account["AccountLimit"]) == {
        "CodeSizeUnzipped", "CodeSizeZipped", "ConcurrentExecutions", "UnreservedConcurrentExecutions",
    }
    for operation, settings in [("PutFunctionConcurrency", {"ReservedConcurrentExecutions": 1}), ("GetFunctionConcurrency", {})]:
        answer = check("lambda", operation, ["ReservedConcurrentExecutions"], **name, **settings)
        assert answer["ReservedConcurrentExecutions"] == 1
    check("lambda", "DeleteFunctionConcurrency", [], **name)
    counts = ["RequestedProvisionedConcurrentExecutions", "Status", "LastModified"]
    latest = {**name, "Qualifier": "$LATEST"}
    check("lambda", "PutProvisionedConcurrencyConfig", counts, **latest, ProvisionedConcurrentExecutions=1)
    check("lambda", "GetProvisionedConcurrencyConfig", counts, **latest)
    check("lambda", "ListProvisionedConcurrencyConfigs", ["ProvisionedConcurrencyConfigs"], **name)
    check("lambda", "DeleteProvisionedConcurrencyConfig", [], **latest)
    check("sts", "GetCallerIdentity", ["UserId", "Account", "Arn"])
    group = {"logGroupName": "/aws/lambda/shapes"}
    groups = check("logs", "DescribeLogGroups", ["logGroups"], logGroupNamePrefix="/aws/lambda/shapes")["logGroups"]
    assert {"logGroupName", "creationTime", "metricFilterCount", "arn", "storedBytes", "logGroupClass"} <= set(groups[0])
    streams = check("logs", "DescribeLogStreams", ["logStreams"], **group)["logStreams"]
    assert {"logStreamName", "creationTime", "firstEventTimestamp", "lastEventTimestamp", "lastIngestionTime", "arn",
            "storedBytes"} <= set(streams[0])
    events = check("logs", "GetLogEvents", ["events", "nextForwardToken", "nextBackwardToken"], **group,
                   logStreamName=streams[0]["logStreamName"])["events"]
    assert set(events[0]) == {"timestamp", "message", "ingestionTime"}
    found = check("logs", "FilterLogEvents", ["events", "searchedLogStreams"], **group)["events"]
    assert set(found[0]) == {"logStreamName", "timestamp", "message", "ingestionTime", "eventId"}
    check("lambda", "DeleteFunction", [], **name)
    assert seen == {(service, operation) for service, operations in SERVED.items() for operation in operations}
