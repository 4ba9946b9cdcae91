"""The platform as an ordinary user runs it: no root, an almost empty environment, a home of its own."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from conftest import BINARY, Platform

USER_ID = 4321

# Starts a program in a control group that belongs to this user, as systemd does with Delegate=yes. Only where the tests
# have control groups v2 to themselves and say so.
DELEGATED = f"""
group=$(mktemp -d "$0/XXXXXX") &&
chown {USER_ID} "$group" "$group/cgroup.procs" "$group/cgroup.subtree_control" "$group/cgroup.threads" &&
echo $$ > "$group/cgroup.procs" && exec "$@"
"""


class OrdinaryHome:
    """A folder that belongs to an ordinary user, with a binary in it that this user may run."""

    def __init__(self):
        self.root = os.getuid() == 0
        if self.root and not shutil.which("setpriv"):
            pytest.skip("skipped: root cannot become an ordinary user without setpriv")
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="dayfly-ordinary-"))
        self.path.chmod(0o755)
        self.binary = BINARY
        if self.root:
            os.chown(self.path, USER_ID, USER_ID)
            self.binary = self.path / "dayfly"
            shutil.copy(BINARY, self.binary)
            self.binary.chmod(0o755)

    @property
    def prefix(self):
        """What turns a command into the ordinary user's."""
        become = ["setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups"] if self.root else []
        if self.root and "DAYFLY_DELEGATED" in os.environ:
            become = ["sh", "-c", DELEGATED, os.environ["DAYFLY_DELEGATED"], *become]
        return [*become, "env", "-i", f"HOME={self.path}", f"PATH={os.environ['PATH']}"]

    def give(self, path):
        """Lets the ordinary user have a file or folder."""
        if self.root:
            for one in [path, *path.rglob("*")]:
                os.chown(one, USER_ID, USER_ID, follow_symlinks=False)

    def run(self, *command, **settings):
        """Runs a command to its end as the ordinary user."""
        return subprocess.run(
            [*self.prefix, *command], capture_output=True, text=True, timeout=300, cwd=self.path, **settings
        )

    def platform(self, name="data", *flags):
        """A platform of the ordinary user, not yet started."""
        platform = Platform(self.path / name, *flags)
        platform.binary, platform.prefix = self.binary, self.prefix
        return platform

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)


def started(platform):
    """Starts it, or skips where this machine has no user namespaces for ordinary users."""
    try:
        return platform.start()
    except RuntimeError as refused:
        if "cannot be kept apart" in str(refused):
            pytest.skip(f"skipped: no user namespaces for ordinary users here: {refused}")
        raise
