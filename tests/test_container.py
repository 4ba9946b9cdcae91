"""Check 163: what the platform says, and does, inside a container as engines make them by default.

The container is made by an OCI runtime (runc or crun), with the capabilities, the system calls and the masked files that
Docker's and Podman's defaults leave.
"""

import json
import os
import pathlib
import shutil
import subprocess
import uuid

import pytest

from conftest import BINARY, Functions, Platform

# What a container keeps of root's privileges by default.
CAPABILITIES = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
    "AUDIT_WRITE"
)
# What engines refuse who has no CAP_SYS_ADMIN.
REFUSED = (
    "add_key bpf fsconfig fsmount fsopen fspick keyctl mount mount_setattr move_mount open_tree perf_event_open "
    "pivot_root request_key setns umount2 unshare userfaultfd"
)
NEW_NAMESPACES = 0x7E020000
SHOWN = ["/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc"]


@pytest.fixture(scope="module")
def engine():
    found = shutil.which("runc") or shutil.which("crun")
    if os.getuid() != 0 or not found:
        pytest.skip("skipped: no root, or no OCI runtime (runc, crun) to make a container with")
    return found


class Container:
    """The start of a command that runs in a container, with one folder of the host's for its data."""

    def __init__(self, engine, workspace):
        self.engine, self.name = engine, f"dayfly-{uuid.uuid4().hex[:12]}"
        self.bundle = workspace / self.name
        self.data = self.bundle / "data"
        (self.bundle / "rootfs").mkdir(parents=True)
        self.data.mkdir(mode=0o700)

    def prefix(self, *command):
        (self.bundle / "config.json").write_text(json.dumps(self.config([str(part) for part in command])))
        options = ["--cgroup-manager=disabled"] if self.engine.endswith("crun") else []
        return [self.engine, *options, "run", "--bundle", str(self.bundle), self.name]

    def config(self, command):
        capabilities = [f"CAP_{name}" for name in CAPABILITIES.split()]
        names = {"proc": "/proc", "tmpfs": "/tmp"}
        system = [{"destination": place, "type": kind, "source": kind} for kind, place in names.items()]
        devices = [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}]
        shown = [(path, path) for path in SHOWN if pathlib.Path(path).exists()]
        shown += [(str(BINARY), "/dayfly"), (str(self.data), "/data")]
        binds = [
            {"destination": place, "type": "bind", "source": str(pathlib.Path(path).resolve()), "options": ["rbind", "rw"]}
            for path, place in shown
        ]
        errors = [{"names": REFUSED.split(), "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]
        errors += [{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]
        errors += [
            {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
             "args": [{"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}]}
            for flag in (1 << bit for bit in range(32)) if flag & NEW_NAMESPACES
        ]
        return {
            "ociVersion": "1.0.0",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": command,
                "env": ["PATH=/usr/bin:/bin", "HOME=/data"],
                "cwd": "/",
                "capabilities": {kind: capabilities for kind in ("bounding", "effective", "permitted")},
                "noNewPrivileges": False,
            },
            "root": {"path": "rootfs", "readonly": False},
            "mounts": system + devices + binds,
            "linux": {
                # Its network is the host's, so that the test can reach it.
                "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
                "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": errors},
            },
        }


@pytest.fixture
def container(engine, workspace):
    made = Container(engine, workspace)
    works = subprocess.run(made.prefix("/bin/true"), capture_output=True, text=True, timeout=60)
    if works.returncode != 0:
        pytest.skip(f"skipped: {engine} makes no container here: {works.stderr.strip()}")
    return made


def test_what_is_blocked_is_named_with_what_opens_it(container):
    command = container.prefix("/dayfly", "up", "--listen", "127.0.0.1:0", "--data", "/data/own")
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120)
    lines = refused.stderr.strip().splitlines()
    assert refused.returncode != 0 and [line.split(":")[0] for line in lines] == ["error", "why", "hint"], refused
    assert "namespaces cannot be made" in lines[1] and "Operation not permitted" in lines[1], lines
    assert "docker run" in lines[2] and "--sandbox=minimal" in lines[2], lines
    doctor = subprocess.run(
        container.prefix("/dayfly", "doctor", "--json", "--data", "/data/own"), capture_output=True, text=True, timeout=120
    )
    found = [one for one in json.loads(doctor.stdout)["checks"] if one["state"] != "ok"]
    assert doctor.returncode == 1 and any("namespaces cannot be made" in one["found"] for one in found), doctor


def test_level_1_runs_in_it(container):
    command = ["/dayfly", "up", "--json", "--listen", "127.0.0.1:0", "--data", "/data/own", "--sandbox=minimal"]
    platform = Platform(container.data / "own")
    # The container's own configuration says what runs in it; what would be started here becomes names of nobody.
    platform.prefix = ["sh", "-c", 'exec "$1" $2', "sh", *spelled(container.prefix(*command))]
    platform.start()
    try:
        assert platform.banner["protections"]["level"] == 1
        functions = Functions(platform)
        name = functions.create("def handler(e, c):\n    return e\n")
        assert functions.call(name, {"in": "a container"}) == {"in": "a container"}
    finally:
        platform.stop()


def spelled(command):
    """A command as two words: its program, and everything else."""
    assert not any(" " in part for part in command), command
    return [command[0], " ".join(command[1:])]
