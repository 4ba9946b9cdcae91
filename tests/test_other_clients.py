"""The AWS CLI and the JavaScript SDK, as users install them."""

import json
import subprocess
import sys

from conftest import ROLE, ROOT, newest, zipped

SEEN = "def handler(event, context):\n    print('seen', event)\n    return event\n"


def aws(platform, *arguments, check=True):
    command = [sys.executable, "-m", "awscli", *arguments, "--output", "json"]
    done = subprocess.run(command, env=platform.shell, capture_output=True, text=True, timeout=120)
    if check:
        assert done.returncode == 0, f"{arguments}\n{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None
    return done


def test_the_aws_cli(platform, functions, tmp_path):
    package, answer = tmp_path / "code.zip", tmp_path / "answer.json"
    package.write_bytes(zipped(app__py=SEEN))
    functions.names.append("by-cli")
    assert aws(platform, "sts", "get-caller-identity")["Account"] == "000000000000"
    made = aws(platform, "lambda", "create-function", "--function-name", "by-cli", "--runtime", newest(platform, "python"),
               "--handler", "app.handler", "--role", ROLE, "--zip-file", f"fileb://{package}")
    assert made["FunctionName"] == "by-cli"
    aws(platform, "lambda", "wait", "function-active-v2", "--function-name", "by-cli")
    called = aws(platform, "lambda", "invoke", "--function-name", "by-cli", "--payload", '{"a":1}',
                 str(answer))
    assert (called["StatusCode"], json.loads(answer.read_text())) == (200, {"a": 1})
    events = aws(platform, "logs", "filter-log-events", "--log-group-name", "/aws/lambda/by-cli", "--filter-pattern", "seen")
    assert len(events["events"]) == 1
    listed = aws(platform, "lambda", "list-functions", "--query", "Functions[].FunctionName")
    assert "by-cli" in listed
    aws(platform, "lambda", "delete-function", "--function-name", "by-cli")
    missing = aws(platform, "lambda", "get-function", "--function-name", "by-cli", check=False)
    assert missing.returncode != 0 and "ResourceNotFoundException" in missing.stderr


def test_the_javascript_sdk(platform, functions, tmp_path):
    package = tmp_path / "code.zip"
    package.write_bytes(zipped(app__py=SEEN))
    functions.names.append("by-js")
    done = subprocess.run(
        ["node", ROOT / "tests" / "sdk.mjs", package, newest(platform, "python"), "by-js"],
        env={**platform.shell, "SDK_HOME": str(ROOT / ".test" / "js")}, capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["account"], answer["timeout"], answer["result"]) == ("000000000000", 11, {"text": "grüße"})
    assert "REPORT RequestId:" in answer["tail"]
    assert answer["logged"] == 1
    assert answer["gone"] == ["ResourceNotFoundException", 404]
