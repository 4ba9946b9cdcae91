"""Check 162: each layer of protection taken away by whatever the platform runs in, one by one. Nothing is silent."""

import os
import subprocess
import sys

import pytest

from conftest import BINARY, Functions, Platform
from test_ordinary_user import DENY

CREATE_RULESET = 444
PRCTL = {"x86_64": 157, "aarch64": 167}.get(os.uname().machine)
SET_SECCOMP = 22
HIDE_GROUPS = 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"'

# How it is taken away, what the platform then says is missing, and the level that is left: 0 where it refuses to run.
LAYERS = {
    "Landlock": ((sys.executable, "-c", DENY, str(CREATE_RULESET)), {"landlock"}, 2),
    "filters": ((sys.executable, "-c", DENY, f"{PRCTL},{SET_SECCOMP}"), {"namespaces"}, 0),
    "control groups": (("unshare", "-m", "sh", "-c", HIDE_GROUPS, "sh"), {"memory limit", "cpu limit", "process limit"}, 2),
}


@pytest.fixture
def whole(platform):
    """What this machine has when nothing is taken away."""
    protections = platform.banner["protections"]
    if os.getuid() != 0 or protections["level"] != 3:
        pytest.skip("skipped: this machine or user lacks layers to begin with")
    return missing(protections)


def missing(protections):
    return {layer["name"] for layer in protections["layers"] if not layer["on"]}


def level_said(platform, name):
    """The level in the record of a function's last call, which the command line shows, too."""
    shown = platform.cli("invoke", name, "--explain").stderr
    (record,) = platform.api(f"functions/{name}/invocations?Limit=1")["Invocations"]
    level = record["IsolationLevel"]
    words = f"level {level} of 3" + ("; dayfly doctor says what is missing" if level < 3 else "")
    assert f"isolation     {words}" in shown, shown
    assert f"isolation    {words}" in platform.cli("describe", name).stdout
    return level


def test_each_record_carries_the_level(platform, functions):
    name = functions.create("def handler(e, c):\n    return e\n")
    assert functions.call(name, 1) == 1
    assert level_said(platform, name) == platform.banner["protections"]["level"]
    broken = functions.create("import no_such_module\n")
    assert functions.failure(broken)["errorType"] == "Runtime.ImportModuleError"
    (record,) = platform.api(f"functions/{broken}/invocations?Limit=1")["Invocations"]
    assert record["IsolationLevel"] == platform.banner["protections"]["level"]


@pytest.mark.parametrize("what", LAYERS)
def test_a_layer_that_is_missing_is_said_everywhere(tmp_path, whole, what):
    prefix, names, level = LAYERS[what]
    platform = Platform(tmp_path / "data")
    platform.prefix = prefix
    if level == 0:
        with pytest.raises(RuntimeError, match="functions cannot be kept apart"):
            platform.start()
        return
    platform.start()
    try:
        protections = platform.banner["protections"]
        assert (protections["level"], missing(protections) - whole) == (level, names), protections
        said = platform.api("status")["Protections"]
        assert said["Level"] == level and {one["Name"] for one in said["Layers"] if not one["On"]} == names | whole
        for one in said["Layers"]:
            assert one["On"] or one["WhyMissing"] and one["HowToFix"], one
        assert f"\ndayfly_isolation_level {level}\n" in platform.cli("metrics").stdout
        functions = Functions(platform)
        name = functions.create("def handler(e, c):\n    return e\n")
        assert functions.call(name, "runs") == "runs"
        assert level_said(platform, name) == level
    finally:
        platform.stop()
    refused = subprocess.run(
        [*prefix, BINARY, "up", "--listen", "127.0.0.1:0", "--data", tmp_path / "several", "--multi-tenant"],
        capture_output=True, text=True, timeout=60,
    )
    assert refused.returncode == 1 and all(name in refused.stderr for name in names), refused.stderr
    assert not (tmp_path / "several").exists(), "nothing was made"
