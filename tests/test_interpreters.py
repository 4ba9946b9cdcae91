"""Every interpreter of this machine is forked, and its copies do what fresh processes do.

`DAYFLY_TEST_NODES` names more Nodes, separated by colons: executables outside of `/tmp` in folders called `bin`.
"""

import os
import pathlib

import pytest

from conftest import Platform, functions_on, identifier, version, zipped_files
from test_starts import DRAWS, HOME, LOADED, PLAIN, start

PYTHONS = [(3, minor) for minor in range(9, 14)]
NODES = [(18,), (20,), (22,), (24,)]
SNAPSTART = {"ApplyOn": "PublishedVersions"}


@pytest.fixture(scope="module")
def everything(workspace):
    nodes = workspace / "nodes" / "versions" / "node"
    nodes.mkdir(parents=True)
    for number, path in enumerate(filter(None, os.environ.get("DAYFLY_TEST_NODES", "").split(":"))):
        (nodes / str(number)).symlink_to(pathlib.Path(path).parent.parent)
    platform = Platform(workspace / "everything", environment={"NVM_DIR": str(workspace / "nodes")}).start()
    yield platform
    assert platform.stop() == 0


made = functions_on("everything")


def found(platform, language, wanted):
    here = [version(one) for one in platform.banner["runtimes"] if one["language"].lower() == language]
    if not any(one[: len(wanted)] == wanted for one in here):
        pytest.skip(f"skipped: no {language} {'.'.join(map(str, wanted))} on this machine")
    return identifier(language, wanted)


def package(language, code):
    return zipped_files({"app.py" if language == "python" else "app.js": code})


@pytest.mark.parametrize(
    "language, wanted", [("python", version) for version in PYTHONS] + [("node", version) for version in NODES],
    ids=lambda value: value if isinstance(value, str) else ".".join(map(str, value)),
)
def test_every_interpreter_is_forked(everything, made, language, wanted):
    runtime = found(everything, language, wanted)
    plain = made.create(package(language, PLAIN[language]), runtime=runtime, Environment={"Variables": {"COLOUR": "blue"}})
    seen = []
    for rung in ("spawn", "fork", "fork", "spare"):
        answer, record = start(everything, plain, rung)
        assert record["rung"] == rung, record["reason"]
        seen.append(answer)
    assert all((one["calls"], one["env"], one["cwd"], one["tmp"]) == (1, "blue", "/var/task", ["mine"]) for one in seen)
    assert len({one["chance"] for one in seen}) == len(seen)
    for code in (LOADED, HOME, DRAWS):
        name = made.create(package(language, code[language]), runtime=runtime, SnapStart=SNAPSTART)
        answers = []
        for rung in ("fork", "spare", "fork"):
            answer, record = start(everything, name, rung)
            assert record["rung"] == rung and "the function's template" in record["reason"], record["reason"]
            answers.append(answer)
        if code is DRAWS:
            for index in range(len(answers[0])):
                assert len({answer[index] for answer in answers}) == len(answers), index
