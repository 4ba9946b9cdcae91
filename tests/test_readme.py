"""The README's five minutes, executed as they stand."""

import os
import re
import signal
import subprocess

from conftest import BINARY, ROOT

FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_five_minutes(tmp_path):
    blocks = FENCE.findall((ROOT / "README.md").read_text())
    assert len(blocks) >= 6
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "dayfly").symlink_to(BINARY)
    # `dayfly up` returns when it is stopped; the reader sees its banner before typing on.
    wait = "until dayfly list >/dev/null 2>&1; do sleep 0.1; done\n"
    script = "set -euo pipefail\n" + blocks[0] + wait + "\n".join(blocks[1:]) + "\necho five minutes are over\n"
    environment = {
        **os.environ,
        "PATH": f"{ROOT / '.test' / 'venv' / 'bin'}:{tools}:{os.environ['PATH']}",
        "DAYFLY_DATA": str(tmp_path / "data"),
        "DAYFLY_LISTEN": "127.0.0.1:0",
    }
    for name in list(environment):
        if name.startswith("AWS_"):
            del environment[name]
    shell = subprocess.Popen(
        ["bash", "-c", script], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )
    output = []
    for line in shell.stdout:
        output.append(line)
        if line == "five minutes are over\n":
            break
    said = "".join(output)
    os.killpg(shell.pid, signal.SIGTERM)
    shell.wait(60)
    assert said.endswith("five minutes are over\n"), said
    assert '{"hello": "Ada"}' in said and '{"hello": "boto3"}' in said, said
    assert "asked for Ada" in said, said
