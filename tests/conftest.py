"""Black-box tests: the built binary, spoken to by clients that know nothing of it."""

import base64
import contextlib
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile

import boto3
import botocore.config
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = pathlib.Path(os.environ.get("DAYFLY_BINARY", TARGET / "release" / "dayfly"))
ROLE = "arn:aws:iam::000000000000:role/tests"
DEADLINE_S = 60


# Code for functions that ask the platform with their own key: `ask(method, path, service, body, headers)`.
SIGNED_ASK = """
import datetime, hashlib, hmac, json, os, urllib.error, urllib.request

def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()

def ask(method, path, service, body, headers):
    endpoint = os.environ['AWS_ENDPOINT_URL']
    host = endpoint.split('//')[1]
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp, day = now.strftime('%Y%m%dT%H%M%SZ'), now.strftime('%Y%m%d')
    region = os.environ['AWS_REGION']
    all_headers = {'host': host, 'x-amz-date': stamp, 'x-amz-security-token': os.environ['AWS_SESSION_TOKEN'], **headers}
    names = ';'.join(sorted(all_headers))
    canonical = '\\n'.join([method, path, '', *[n + ':' + all_headers[n] for n in sorted(all_headers)], '', names,
                           hashlib.sha256(body).hexdigest()])
    scope = '/'.join([day, region, service, 'aws4_request'])
    text = '\\n'.join(['AWS4-HMAC-SHA256', stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ('AWS4' + os.environ['AWS_SECRET_ACCESS_KEY']).encode()
    for part in (day, region, service, 'aws4_request'):
        key = sign(key, part)
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    all_headers['authorization'] = ('AWS4-HMAC-SHA256 Credential=' + os.environ['AWS_ACCESS_KEY_ID'] + '/' + scope
                                    + ', SignedHeaders=' + names + ', Signature=' + signature)
    request = urllib.request.Request(endpoint + path, data=body or None, headers=all_headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
"""


# For the code of a function: what came of something that it should not be able to do.
ATTEMPT = """
import os

def attempt(deed):
    try:
        deed()
        return 'done'
    except OSError as error:
        return type(error).__name__
"""


# A function that goes wrong in the way that the event's `deed` names.
FAULTS = """
import os, time
def handler(event, context):
    deed = event.get('deed')
    if deed == 'raise':
        raise ValueError('as asked')
    if deed == 'exit':
        os._exit(1)
    if deed == 'sleep':
        time.sleep(60)
    if deed == 'fill':
        return len(bytearray(512 * 1024 * 1024))
    return event
"""


class Platform:
    """One `dayfly up` on a data directory of its own."""

    binary = BINARY
    prefix = ()

    def __init__(self, data, *flags, environment=None):
        self.data = pathlib.Path(data)
        self.flags = flags
        self.environment = environment or {}
        self.process = None

    def start(self):
        command = [*self.prefix, self.binary, "up", "--json", "--listen", "127.0.0.1:0", "--data", self.data, *self.flags]
        self.log = open(f"{self.data}.log", "ab")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log, env={**os.environ, **self.environment}
        )
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(DEADLINE_S)
            raise RuntimeError(f"dayfly did not start: {pathlib.Path(self.log.name).read_text()[-2000:]}")
        self.banner = json.loads(line)
        self.endpoint = self.banner["endpoint"]
        key = json.loads((self.data / "root-key.json").read_text())
        self.access_key, self.secret_key = key["accessKeyId"], key["secretAccessKey"]
        return self

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(DEADLINE_S)
        self.log.close()
        return self.process.returncode

    def restart(self, how=signal.SIGTERM):
        self.stop(how)
        return self.start()

    def client(self, service, **changes):
        settings = {
            "endpoint_url": self.endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "config": botocore.config.Config(retries={"max_attempts": 1}, read_timeout=120),
        }
        return boto3.client(service, **{**settings, **changes})

    def api(self, path, method="GET"):
        """One signed call of the platform's own API."""
        request = AWSRequest(method, f"{self.endpoint}/_dayfly/v1/{path}")
        SigV4Auth(Credentials(self.access_key, self.secret_key), "dayfly", "us-east-1").add_auth(request)
        answer = requests.request(method, request.url, headers=dict(request.headers), timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def shell(self):
        """The environment in which a user's tools find this platform."""
        return {
            **os.environ,
            "DAYFLY_DATA": str(self.data),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_COLOR": "1",
        }

    def cli(self, *arguments, check=True, stdin=None, cwd=None):
        done = subprocess.run(
            [self.binary, *arguments],
            env=self.shell,
            input=stdin,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if check:
            assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


def zipped(**files):
    """A package of `name=text`; a name's `__` is a dot, and `name` may also come as a dict key."""
    return zipped_files({name.replace("__", "."): text for name, text in files.items()})


def zipped_files(files, modes=None):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.external_attr = (0o100000 | (modes or {}).get(name, 0o644)) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text)
    return out.getvalue()


def newest(platform, language):
    """The runtime identifier of the newest interpreter that this machine has."""
    found = [r for r in platform.banner["runtimes"] if r["language"].lower() == language]
    if not found:
        pytest.skip(f"no {language} on this machine")
    return identifier(language, max(version(r) for r in found))


def version(runtime):
    """The version of an interpreter that the banner names, as numbers."""
    return tuple(map(int, runtime["version"].split(".")))


def identifier(language, version):
    """AWS's name for an interpreter."""
    return f"python3.{version[1]}" if language == "python" else f"nodejs{version[0]}.x"


class Functions:
    """Makes functions for one test and removes them after it."""

    def __init__(self, platform):
        self.platform = platform
        self.client = platform.client("lambda")
        self.names = []

    def create(self, code, runtime="python", handler="app.handler", name=None, **settings):
        name = name or f"t-{uuid.uuid4().hex[:12]}"
        package = code if isinstance(code, bytes) else zipped_files({"app.py" if runtime == "python" else "app.js": code})
        identifier = newest(self.platform, runtime) if runtime in ("python", "node") else runtime
        self.client.create_function(
            FunctionName=name, Runtime=identifier, Handler=handler, Role=ROLE,
            Code={"ZipFile": package}, Timeout=settings.pop("Timeout", 30), **settings,
        )
        self.names.append(name)
        return name

    def invoke(self, name, event=None, **settings):
        answer = self.client.invoke(
            FunctionName=name, Payload=event if isinstance(event, bytes) else json.dumps(event).encode(), **settings
        )
        answer["Payload"] = answer["Payload"].read()
        return answer

    def call(self, name, event=None):
        """The decoded result of a call that must succeed."""
        answer = self.invoke(name, event)
        assert "FunctionError" not in answer, answer["Payload"]
        return json.loads(answer["Payload"])

    def failure(self, name, event=None):
        """The decoded error of a call that must fail."""
        answer = self.invoke(name, event)
        assert answer.get("FunctionError") == "Unhandled", answer
        return json.loads(answer["Payload"])

    def tail(self, name, event=None):
        return base64.b64decode(self.invoke(name, event, LogType="Tail")["LogResult"]).decode()

    def record(self, request_id):
        return self.platform.api(f"invocations/{request_id}")["Invocation"]

    def instances(self, name):
        return [one for one in self.platform.api("status")["Instances"] if one["FunctionName"] == name]

    def public_url(self, name):
        url = self.client.create_function_url_config(FunctionName=name, AuthType="NONE")
        self.client.add_permission(
            FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl",
            Principal="*", FunctionUrlAuthType="NONE",
        )
        self.client.add_permission(
            FunctionName=name, StatementId="url-invoke", Action="lambda:InvokeFunction",
            Principal="*", InvokedViaFunctionUrl=True,
        )
        url_id = url["FunctionUrl"].split("//")[1].split(".")[0]
        return f"{self.platform.endpoint}/_url/{url_id}/"

    def close(self):
        for name in self.names:
            with contextlib.suppress(self.client.exceptions.ResourceNotFoundException):
                self.client.delete_function(FunctionName=name)


@pytest.fixture(scope="session")
def workspace():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dayfly-tests-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def platform(workspace):
    """One platform that most tests share."""
    started = Platform(workspace / "shared").start()
    yield started
    assert started.stop() == 0, "SIGTERM ends the platform with exit code 0"


@pytest.fixture
def own(workspace):
    """Makes platforms that belong to one test."""
    made = []

    def make(*flags, **settings):
        made.append(Platform(workspace / f"own-{uuid.uuid4().hex[:8]}", *flags, **settings).start())
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.stop()


def functions_on(name):
    """A fixture: functions on the platform that the fixture `name` starts, removed after the test."""
    @pytest.fixture
    def made(request):
        functions = Functions(request.getfixturevalue(name))
        yield functions
        functions.close()
    return made


functions = functions_on("platform")


def until(condition, what, seconds=DEADLINE_S):
    """Waits for a condition and says what it waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"not after {seconds} s: {what}")
