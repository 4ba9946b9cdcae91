"""The Lambda API as boto3 sees it."""

import base64
import hashlib
import urllib.request

import botocore.config
import pytest
from botocore.exceptions import ClientError

from conftest import ROLE, newest, zipped

HELLO = "def handler(event, context):\n    return 'hello'\n"


def refused(call, code, status, says=""):
    """`call` must be refused with exactly this code and status."""
    with pytest.raises(ClientError) as caught:
        call()
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status), answer
    assert says in answer["Error"]["Message"], answer["Error"]["Message"]
    return answer


def test_life_of_a_function(functions, platform):
    client, package = functions.client, zipped(app__py=HELLO)
    made = client.create_function(
        FunctionName="life", Runtime=newest(platform, "python"), Handler="app.handler", Role=ROLE,
        Code={"ZipFile": package}, Description="first", Timeout=7, MemorySize=256,
        Environment={"Variables": {"ONE": "1"}}, Tags={"team": "x"},
    )
    functions.names.append("life")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["FunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:life"
    assert made["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    assert made["CodeSize"] == len(package)
    assert (made["Version"], made["Timeout"], made["MemorySize"]) == ("$LATEST", 7, 256)
    for waiter in ("function_active_v2", "function_updated_v2"):
        client.get_waiter(waiter).wait(FunctionName="life", WaiterConfig={"Delay": 1, "MaxAttempts": 20})

    got = client.get_function(FunctionName="life")
    assert got["Tags"] == {"team": "x"}
    assert got["Configuration"]["State"] == "Active"
    assert urllib.request.urlopen(got["Code"]["Location"]).read() == package

    updated = client.update_function_configuration(FunctionName="life", Timeout=9, Description="second")
    assert (updated["Timeout"], updated["Description"], updated["MemorySize"]) == (9, "second", 256)
    assert updated["RevisionId"] != got["Configuration"]["RevisionId"]
    other = zipped(app__py=HELLO.replace("hello", "changed"))
    client.update_function_code(FunctionName="life", ZipFile=other)
    assert functions.call("life") == "changed"
    assert "life" in [f["FunctionName"] for f in client.list_functions()["Functions"]]

    assert client.delete_function(FunctionName="life")["ResponseMetadata"]["HTTPStatusCode"] in (200, 204)
    refused(lambda: client.get_function(FunctionName="life"), "ResourceNotFoundException", 404,
            "Function not found: arn:aws:lambda:us-east-1:000000000000:function:life")


@pytest.mark.parametrize("form", [
    "{n}", "{n}:$LATEST", "000000000000:function:{n}", "000000000000:{n}", "function:{n}:$LATEST",
    "us-east-1:000000000000:function:{n}",
    "arn:aws:lambda:us-east-1:000000000000:function:{n}",
    "arn:aws:lambda:us-east-1:000000000000:function:{n}:$LATEST",
])
def test_every_form_of_a_name(functions, form):
    name = functions.create(HELLO)
    assert functions.call(form.format(n=name)) == "hello"
    got = functions.client.get_function_configuration(FunctionName=form.format(n=name))
    assert got["FunctionName"] == name


@pytest.mark.parametrize("form, code, status, says", [
    ("arn:aws:lambda:eu-west-1:000000000000:function:{n}", "ResourceNotFoundException", 404,
     "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"),
    ("arn:aws:lambda:us-east-1:111111111111:function:{n}", "AccessDeniedException", 403,
     "is not authorized to perform: lambda:GetFunction on resource: arn:aws:lambda:us-east-1:111111111111:function:{n}"),
    ("111111111111:function:{n}", "AccessDeniedException", 403, "no resource-based policy allows"),
    ("111111111111:{n}", "AccessDeniedException", 403, "on resource: arn:aws:lambda:us-east-1:111111111111:function:{n}"),
    ("{n}:$LATEST.PUBLISHED", "ResourceNotFoundException", 404,
     "Function not found: arn:aws:lambda:us-east-1:000000000000:function:{n}:$LATEST.PUBLISHED"),
])
def test_functions_of_another_account_or_region(functions, form, code, status, says):
    name = functions.create(HELLO)
    refused(lambda: functions.client.get_function(FunctionName=form.format(n=name)), code, status, says.format(n=name))


def test_revision_ids_guard_updates(functions):
    name = functions.create(HELLO)
    client = functions.client
    first = client.get_function_configuration(FunctionName=name)["RevisionId"]
    client.update_function_configuration(FunctionName=name, Timeout=5, RevisionId=first)
    refused(lambda: client.update_function_configuration(FunctionName=name, Timeout=6, RevisionId=first),
            "PreconditionFailedException", 412, "Revision Id")
    refused(lambda: client.update_function_code(FunctionName=name, ZipFile=zipped(app__py="x=1"), RevisionId=first),
            "PreconditionFailedException", 412)
    assert client.get_function_configuration(FunctionName=name)["Timeout"] == 5


def test_the_same_name_twice(functions, platform):
    name = functions.create(HELLO)
    refused(lambda: functions.create(HELLO, name=name), "ResourceConflictException", 409,
            f"Function already exist: {name}")


def test_paging(functions):
    names = sorted(functions.create(HELLO) for _ in range(5))
    pages = functions.client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    listed = [f["FunctionName"] for page in pages for f in page["Functions"]]
    assert [n for n in listed if n in names] == names
    assert len(listed) == len(set(listed))


def test_tags(functions):
    name = functions.create(HELLO, Tags={"a": "1"})
    client = functions.client
    arn = client.get_function_configuration(FunctionName=name)["FunctionArn"]
    client.tag_resource(Resource=arn, Tags={"b": "2"})
    client.untag_resource(Resource=arn, TagKeys=["a"])
    assert client.list_tags(Resource=arn)["Tags"] == {"b": "2"}


def test_policies(functions):
    import json

    name = functions.create(HELLO)
    client = functions.client
    refused(lambda: client.get_policy(FunctionName=name), "ResourceNotFoundException", 404)
    said = client.add_permission(
        FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::bucket", SourceAccount="000000000000",
    )
    statement = json.loads(said["Statement"])
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Condition"]["ArnLike"] == {"AWS:SourceArn": "arn:aws:s3:::bucket"}
    policy = client.get_policy(FunctionName=name)
    assert json.loads(policy["Policy"])["Statement"] == [statement]
    refused(lambda: client.add_permission(FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction",
                                          Principal="*"), "ResourceConflictException", 409, "s3")
    refused(lambda: client.remove_permission(FunctionName=name, StatementId="s3", RevisionId="wrong"),
            "PreconditionFailedException", 412)
    client.remove_permission(FunctionName=name, StatementId="s3", RevisionId=policy["RevisionId"])
    refused(lambda: client.remove_permission(FunctionName=name, StatementId="s3"), "ResourceNotFoundException", 404)


def test_url_configs(functions):
    name = functions.create(HELLO)
    client = functions.client
    refused(lambda: client.get_function_url_config(FunctionName=name), "ResourceNotFoundException", 404)
    made = client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM", Cors={"AllowOrigins": ["*"]})
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert ".lambda-url." in made["FunctionUrl"]
    refused(lambda: client.create_function_url_config(FunctionName=name, AuthType="NONE"),
            "ResourceConflictException", 409)
    changed = client.update_function_url_config(FunctionName=name, AuthType="NONE")
    assert (changed["AuthType"], changed["FunctionUrl"]) == ("NONE", made["FunctionUrl"])
    listed = client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    assert [u["FunctionUrl"] for u in listed] == [made["FunctionUrl"]]
    client.delete_function_url_config(FunctionName=name)
    refused(lambda: client.get_function_url_config(FunctionName=name), "ResourceNotFoundException", 404)


def test_account_settings(functions):
    functions.create(HELLO)
    settings = functions.client.get_account_settings()
    assert settings["AccountLimit"]["ConcurrentExecutions"] == 1000
    assert settings["AccountUsage"]["FunctionCount"] >= 1
    assert settings["AccountUsage"]["TotalCodeSize"] > 0


@pytest.mark.parametrize("settings, code, says", [
    ({"Runtime": "python9.9"}, "ValidationException", "failed to satisfy constraint: Member must satisfy enum value set"),
    ({"Runtime": "python2.7"}, "InvalidParameterValueException", "python2.7"),
    ({"Runtime": "ruby3.4"}, "InvalidParameterValueException", "ruby3.4"),
    ({"MemorySize": 64}, "ValidationException", "Member must have value greater than or equal to 128"),
    ({"MemorySize": 20480}, "InvalidParameterValueException", "10240"),
    ({"Timeout": 0}, "ValidationException", "greater than or equal to 1"),
    ({"Timeout": 901}, "ValidationException", "less than or equal to 900"),
    ({"Handler": "has space"}, "ValidationException", "regular expression pattern"),
    ({"FunctionName": "no/slash"}, "ValidationException", "functionName"),
    ({"FunctionName": "x" * 200}, "ValidationException", "less than or equal to 140"),
    ({"Role": "nobody"}, "ValidationException", "role"),
    ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "AWS_REGION"),
    ({"Environment": {"Variables": {"LONG": "x" * 5000}}}, "InvalidParameterValueException", "4KB limit"),
    ({"Code": {"S3Bucket": "bucket", "S3Key": "k"}}, "NotImplementedException", "S3"),
    ({"Code": {"ZipFile": b"not a zip"}}, "InvalidParameterValueException", "unzip"),
    ({"Code": {"ZipFile": b""}}, "InvalidParameterValueException", ""),
    ({"Architectures": ["arm64"]}, "InvalidParameterValueException", "arm64"),
    ({"PackageType": "Image", "Code": {"ImageUri": "x"}}, "NotImplementedException", "Image"),
])
def test_bad_settings_change_nothing(functions, platform, settings, code, says):
    good = {
        "FunctionName": "never", "Runtime": newest(platform, "python"), "Handler": "app.handler",
        "Role": ROLE, "Code": {"ZipFile": zipped(app__py=HELLO)},
    }
    wanted = {**good, **settings}
    unchecked = platform.client("lambda", config=botocore.config.Config(parameter_validation=False))
    status = 501 if code == "NotImplementedException" else 400
    refused(lambda: unchecked.create_function(**wanted), code, status, says)
    assert "never" not in [f["FunctionName"] for f in functions.client.list_functions()["Functions"]]


@pytest.mark.parametrize("operation, arguments", [
    ("list_layers", {}),
    ("create_alias", {"FunctionName": "x", "Name": "a", "FunctionVersion": "1"}),
    ("put_function_recursion_config", {"FunctionName": "x", "RecursiveLoop": "Allow"}),
    ("list_event_source_mappings", {}),
])
def test_what_is_not_served_says_so(functions, operation, arguments):
    call = getattr(functions.client, operation)
    name = "".join(word.capitalize() for word in operation.split("_"))
    refused(lambda: call(**arguments), "NotImplementedException", 501, name)
