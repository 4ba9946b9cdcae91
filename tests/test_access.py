"""Nobody gets in without a signature that fits the request."""

import http.client
import json
import re
import socket

import boto3
import pytest
import requests
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from conftest import SIGNED_ASK
from test_lambda_api import refused

LIST = "/2015-03-31/functions"


def signed(platform, method="GET", path=LIST, body=b"", headers=None, region="us-east-1", secret=None, service="lambda"):
    request = AWSRequest(method, platform.endpoint + path, data=body, headers=headers or {})
    credentials = Credentials(platform.access_key, secret or platform.secret_key)
    SigV4Auth(credentials, service, region).add_auth(request)
    return dict(request.headers)


def test_who_am_i(platform):
    me = platform.client("sts").get_caller_identity()
    assert (me["Account"], me["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:root")


def test_a_good_signature_is_taken(platform):
    assert requests.get(platform.endpoint + LIST, headers=signed(platform)).status_code == 200


def test_what_is_wrong_with_a_signature(platform):
    def answer(headers, path=LIST, method="GET", body=b""):
        got = requests.request(method, platform.endpoint + path, headers=headers, data=body)
        return got.status_code, got.headers.get("x-amzn-errortype", "").split(":")[0]

    good = signed(platform)
    assert answer({}) == (403, "MissingAuthenticationTokenException")
    assert answer({**good, "x-amz-date": "20200101T000000Z"})[0] == 403
    assert answer(signed(platform, secret="wrong")) == (403, "InvalidSignatureException")
    assert answer(signed(platform, region="eu-west-1"))[0] == 403
    assert answer(good, path=LIST + "?MaxItems=1") == (403, "InvalidSignatureException")
    assert answer(good, method="POST", body=b"{}")[0] == 403
    unknown = {**good, "Authorization": good["Authorization"].replace(platform.access_key, "AKIA" + "A" * 16)}
    assert answer(unknown) == (403, "UnrecognizedClientException")
    unsigned = {**good, "x-amz-security-token": "added"}
    assert answer(unsigned)[0] == 403
    assert answer({**good, "Authorization": "AWS4-HMAC-SHA256 nonsense"})[0] in (400, 403)
    tampered = good["Authorization"][:-1] + ("0" if good["Authorization"][-1] != "0" else "1")
    assert answer({**good, "Authorization": tampered}) == (403, "InvalidSignatureException")


PATH, QUERY = "/2015-03-31/functions/none/policy", "?Qualifier=%24LATEST&Other=1"
TAMPERED = {
    "method": {"method": "PUT"},
    "path": {"path": PATH.replace("none", "nine")},
    "path-case": {"path": PATH.replace("none", "None")},
    "path-dots": {"path": PATH.replace("none", "x/../none")},
    "query-value": {"query": QUERY.replace("Other=1", "Other=2")},
    "query-added": {"query": QUERY + "&More="},
    "query-dropped": {"query": "?Qualifier=%24LATEST"},
    "query-name-case": {"query": QUERY.replace("Other", "other")},
    "body": {"body": b'{"RevisionId": "b"}'},
    "body-dropped": {"body": b""},
    "host": {"headers": {"host": "elsewhere.example"}},
    "content-type": {"headers": {"content-type": "text/plain"}},
    "signed-header": {"headers": {"x-amz-meta-own": "other"}},
    "signed-header-dropped": {"headers": {"x-amz-meta-own": None}},
    "date": {"headers": {"x-amz-date": lambda was: was[:-3] + f"{(int(was[-3:-1]) + 1) % 60:02}Z"}},
    "no-date": {"headers": {"x-amz-date": None}},
    "payload-hash": {"headers": {"x-amz-content-sha256": "0" * 64}},
    "unsigned-payload": {"headers": {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}},
    "session-token": {"headers": {"x-amz-security-token": "token"}},
    "scope-date": {"authorization": (r"/20\d{6}/", "/20200101/")},
    "scope-region": {"authorization": ("us-east-1", "us-west-2")},
    "scope-service": {"authorization": ("/lambda/", "/logs/")},
    "scope-end": {"authorization": ("aws4_request", "aws5_request")},
    "fewer-signed-headers": {"authorization": (";x-amz-meta-own", "")},
    "host-not-signed": {"authorization": ("host;", "")},
    "algorithm": {"authorization": ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1")},
    "no-signature": {"authorization": (r"Signature=\w+", "Signature=")},
    "short-signature": {"authorization": (r"(Signature=\w{63})\w", r"\1")},
    "long-signature": {"authorization": (r"(Signature=\w{64})", r"\g<1>0")},
}


INCOMPLETE, NOWHERE = (400, "IncompleteSignatureException"), (404, "UnknownOperationException")
OTHER_ANSWERS = {
    "nothing": (400, "ValidationException"), "session-token": (403, "UnrecognizedClientException"),
    "no-date": INCOMPLETE, "algorithm": INCOMPLETE, "no-signature": INCOMPLETE, "short-signature": INCOMPLETE,
    "long-signature": INCOMPLETE, "method": NOWHERE, "path-dots": NOWHERE, "scope-service": NOWHERE,
}


@pytest.mark.parametrize("case", ["nothing", *TAMPERED])
def test_every_signed_element(platform, case):
    change = TAMPERED.get(case, {})
    body = b'{"RevisionId": "a"}'
    headers = signed(platform, "POST", PATH + QUERY, body, {"content-type": "application/json", "x-amz-meta-own": "mine"})
    for name, value in change.get("headers", {}).items():
        headers = {k: v for k, v in headers.items() if k.lower() != name or callable(value)}
        if callable(value):
            headers = {k: value(v) if k.lower() == name else v for k, v in headers.items()}
        elif value is not None:
            headers[name] = value
    if "authorization" in change:
        was = headers["Authorization"]
        headers["Authorization"] = re.sub(*change["authorization"], was)
        assert headers["Authorization"] != was
    host, port = platform.endpoint.split("//")[1].split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    path = change.get("path", PATH) + change.get("query", QUERY)
    connection.putrequest(change.get("method", "POST"), path, skip_host=True)
    sent = change.get("body", body)
    for name, value in {"host": f"{host}:{port}", "content-length": str(len(sent)), **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(sent)
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    wanted = OTHER_ANSWERS.get(case, (403, "InvalidSignatureException"))
    assert (answer.status, answer.headers["x-amzn-errortype"]) == wanted, said


def test_presigned(platform):
    def presigned(expires, path=LIST):
        request = AWSRequest("GET", platform.endpoint + path)
        credentials = Credentials(platform.access_key, platform.secret_key)
        SigV4QueryAuth(credentials, "lambda", "us-east-1", expires=expires).add_auth(request)
        return request.url

    assert requests.get(presigned(60)).status_code == 200
    url = presigned(60)
    assert requests.get(url[:-1] + ("1" if url[-1] == "0" else "0")).status_code == 403
    assert requests.get(url + "0").status_code == 400
    assert requests.get(presigned(60).replace("X-Amz-Expires=60", "X-Amz-Expires=61")).status_code == 403
    assert requests.get(presigned(700_000)).status_code == 400
    assert requests.post(presigned(60)).status_code in (403, 404)


def test_wrong_secret_through_boto3(platform):
    client = platform.client("lambda", aws_secret_access_key="wrong")
    refused(client.list_functions, "InvalidSignatureException", 403, "signature")
    refused(platform.client("sts", aws_secret_access_key="wrong").get_caller_identity, "SignatureDoesNotMatch", 403)


def test_nothing_is_anonymous(platform):
    paths = ["/", LIST, "/2015-03-31/functions/x/invocations", "/_dayfly/v1/status", "/_dayfly/v1/limits", "/nothing"]
    for path in paths:
        for method in ("GET", "POST", "PUT", "DELETE"):
            status = requests.request(method, platform.endpoint + path).status_code
            assert status in (403, 404), (method, path, status)
            if path != "/nothing":
                assert requests.request(method, platform.endpoint + path).text.find("Functions") == -1


def test_a_function_has_its_own_identity_and_no_rights(functions, platform):
    code = SIGNED_ASK + """
def handler(event, context):
    form = {'content-type': 'application/x-www-form-urlencoded; charset=utf-8'}
    return {
        'who': ask('POST', '/', 'sts', b'Action=GetCallerIdentity&Version=2011-06-15', form),
        'list': ask('GET', '/2015-03-31/functions', 'lambda', b'', {}),
        'key': os.environ['AWS_ACCESS_KEY_ID'],
    }
"""
    name = functions.create(code)
    got = functions.call(name)
    assert got["who"][0] == 200, got["who"]
    assert f"arn:aws:sts::000000000000:assumed-role/tests/{name}" in got["who"][1]
    assert got["list"][0] == 403, got["list"]
    assert "is not authorized to perform: lambda:ListFunctions" in got["list"][1]
    assert got["key"].startswith("ASIA") and got["key"] != platform.access_key


def test_malformed_requests(platform):
    good_headers = {"content-type": "application/json"}
    def post(body, path=LIST):
        headers = signed(platform, "POST", path, body, dict(good_headers))
        return requests.post(platform.endpoint + path, data=body, headers=headers)

    broken = post(b"{not json")
    assert (broken.status_code, broken.headers["x-amzn-errortype"].split(":")[0]) == (400, "SerializationException")
    wrong = post(b'{"FunctionName": 7, "Role": "arn:aws:iam::000000000000:role/x", "Code": {}}')
    assert (wrong.status_code, wrong.headers["x-amzn-errortype"].split(":")[0]) == (400, "SerializationException")
    empty = post(b"{}")
    assert (empty.status_code, empty.headers["x-amzn-errortype"].split(":")[0]) == (400, "ValidationException")
    assert "Member must not be null" in empty.text
    deep = post(b'{"Code":' * 2000 + b"1" + b"}" * 2000)
    assert deep.status_code == 400


def test_raw_sockets(platform):
    host, port = platform.endpoint.split("//")[1].split(":")
    cases = {
        b"GARBAGE\r\n\r\n": b"HTTP/1.1 400",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: " + b"b" * 200_000 + b"\r\n\r\n": b"HTTP/1.1 431",
        b"POST /2015-03-31/functions HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n": b"HTTP/1.1 413",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n": b"HTTP/1.1 400",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n": b"HTTP/1.1 400",
        b"GET / HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n": b"HTTP/1.1 400",
        b"GET / HTTP/1.1\r\n\r\n": b"HTTP/1.1 400",
        b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n": b"HTTP/1.1 400",
        b"GET / HTTP/1.0\r\n\r\n": b"HTTP/1.0 404",
    }
    for sent, wanted in cases.items():
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(sent)
            assert connection.recv(4096).startswith(wanted), sent[:60]
