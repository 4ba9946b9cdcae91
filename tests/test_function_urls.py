"""Functions behind plain HTTP."""

import json
import socket

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ECHO = "import json\ndef handler(event, context):\n    return {'statusCode': 200, 'body': json.dumps(event)}\n"


@pytest.fixture
def url(functions):
    return functions.public_url(functions.create(ECHO))


def test_the_event_of_a_request(url):
    answer = requests.post(url + "a%20path?x=1&x=2", data="hi", headers={"content-type": "text/plain", "cookie": "a=1; b=2"})
    event = answer.json()
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/a path", "x=1&x=2")
    assert event["queryStringParameters"] == {"x": "1,2"}
    assert (event["body"], event["isBase64Encoded"]) == ("hi", False)
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["requestContext"]["requestId"] == answer.headers["x-amzn-requestid"]


def test_binary_bodies_both_ways(functions):
    code = "def handler(e, c):\n    return {'statusCode': 200, 'body': e['body'], 'isBase64Encoded': e['isBase64Encoded'],\n" \
           "            'headers': {'content-type': 'application/octet-stream'}}\n"
    url = functions.public_url(functions.create(code))
    body = bytes(range(256)) * 100
    answer = requests.post(url, data=body, headers={"content-type": "application/octet-stream"})
    assert (answer.content, answer.headers["content-type"]) == (body, "application/octet-stream")


def test_status_headers_and_cookies(functions):
    code = "def handler(e, c):\n    return {'statusCode': 418, 'headers': {'x-own': 'v'}, 'cookies': ['a=1', 'b=2'], 'body': 'tea'}\n"
    answer = requests.get(functions.public_url(functions.create(code)))
    assert (answer.status_code, answer.text, answer.headers["x-own"]) == (418, "tea", "v")
    assert answer.cookies.get_dict() == {"a": "1", "b": "2"}


@pytest.mark.parametrize("result, status, body", [
    ("{'a': 1}", 200, '{"a": 1}'), ("'text'", 200, "text"), ("None", 200, "null"), ("[1]", 200, "[1]"),
])
def test_other_answers(functions, result, status, body):
    url = functions.public_url(functions.create(f"def handler(e, c):\n    return {result}\n"))
    answer = requests.get(url)
    assert answer.status_code == status
    assert answer.text == body


@pytest.mark.parametrize("result, why", [
    ("{'statusCode': 1000}", "1000"), ("{'statusCode': 200, 'headers': {'a b': 'c'}}", "a b"),
    ("{'statusCode': 200, 'isBase64Encoded': True, 'body': '%'}", "base64"),
])
def test_why_an_answer_is_of_no_use_is_in_the_log(functions, platform, result, why):
    name = functions.create(f"def handler(e, c):\n    return {result}\n")
    answer = requests.get(functions.public_url(name))
    assert (answer.status_code, why in answer.text) == (502, False)
    logs = platform.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="502")["events"]
    assert [why in event["message"] and answer.headers["x-amzn-requestid"] in event["message"] for event in logs] == [True]


def test_a_failing_function_is_a_bad_gateway(functions):
    answer = requests.get(functions.public_url(functions.create("def handler(e, c):\n    raise ValueError('secret')\n")))
    assert answer.status_code == 502
    assert "secret" not in answer.text
    assert answer.headers["x-amzn-requestid"]


def test_by_host_name(functions, platform, url):
    url_id = url.rstrip("/").rsplit("/", 1)[1]
    host = f"{url_id}.lambda-url.localhost"
    event = requests.get(platform.endpoint + "/x", headers={"host": host}).json()
    assert (event["rawPath"], event["requestContext"]["domainPrefix"]) == ("/x", url_id)


def test_an_unknown_url(platform):
    assert requests.get(platform.endpoint + "/_url/doesnotexist/").status_code == 404


def test_without_permission_nobody_enters(functions, platform):
    name = functions.create(ECHO)
    made = functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")
    url_id = made["FunctionUrl"].split("//")[1].split(".")[0]
    answer = requests.get(f"{platform.endpoint}/_url/{url_id}/")
    assert answer.status_code == 403
    assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"


def test_signed_urls(functions, platform):
    name = functions.create(ECHO)
    made = functions.client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    url = f"{platform.endpoint}/_url/{made['FunctionUrl'].split('//')[1].split('.')[0]}/signed"
    assert requests.get(url).status_code == 403
    request = AWSRequest("POST", url, data=b"{}", headers={"content-type": "application/json"})
    SigV4Auth(Credentials(platform.access_key, platform.secret_key), "lambda", "us-east-1").add_auth(request)
    event = requests.post(url, data=b"{}", headers=dict(request.headers)).json()
    assert event["requestContext"]["authorizer"]["iam"]["userArn"] == "arn:aws:iam::000000000000:root"
    tampered = requests.post(url, data=b"[]", headers=dict(request.headers))
    assert tampered.status_code == 403


def test_cross_origin(functions, platform):
    name = functions.create(ECHO)
    url = functions.public_url(name)
    functions.client.update_function_url_config(
        FunctionName=name,
        Cors={"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 60, "AllowCredentials": True},
    )
    asked = {"origin": "https://a.example", "access-control-request-method": "GET"}
    preflight = requests.options(url, headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://a.example"
    assert preflight.headers["access-control-allow-methods"] == "GET"
    plain = requests.get(url, headers={"origin": "https://b.example"})
    assert "access-control-allow-origin" not in plain.headers


def test_a_body_that_is_announced_too_long_is_not_read(url):
    host, port = url.split("//")[1].split("/")[0].split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        path = "/" + url.split("/", 3)[3]
        connection.sendall(f"POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-length: 99999999999\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_clients_that_vanish_leave_a_working_function(functions):
    code = "import time\ndef handler(e, c):\n    time.sleep(0.3)\n    return 'ok'\n"
    url = functions.public_url(functions.create(code))
    for _ in range(5):
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.get(url, timeout=0.1)
    assert requests.get(url, timeout=30).text == "ok"
