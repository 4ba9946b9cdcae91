"""What was acknowledged is there after anything."""

import json
import os
import pathlib
import signal
import subprocess
import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from conftest import BINARY, ROLE, Functions, Platform, newest, until, zipped

HELLO = zipped(app__py="def handler(e, c):\n    return e\n")


def create(platform, client, name):
    client.create_function(
        FunctionName=name, Runtime=newest(platform, "python"), Handler="app.handler", Role=ROLE,
        Code={"ZipFile": HELLO}, Environment={"Variables": {"NAME": name}},
    )


def test_kill_dash_nine_loses_nothing_acknowledged(own):
    platform = own()
    acknowledged, lock = set(), threading.Lock()
    for round_number in range(4):
        client = platform.client("lambda")
        stop = threading.Event()

        def write(worker):
            number = 0
            while not stop.is_set():
                name = f"r{round_number}-w{worker}-{number}"
                try:
                    create(platform, client, name)
                except (BotoCoreError, ClientError):
                    return
                with lock:
                    acknowledged.add(name)
                number += 1

        workers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for worker in workers:
            worker.start()
        wanted = len(acknowledged) + 10
        until(lambda: len(acknowledged) >= wanted, "ten more functions are acknowledged")
        platform.process.send_signal(signal.SIGKILL)
        platform.process.wait()
        stop.set()
        for worker in workers:
            worker.join()
        platform.start()
        pages = platform.client("lambda").get_paginator("list_functions").paginate()
        found = {f["FunctionName"]: f for page in pages for f in page["Functions"]}
        assert acknowledged <= set(found), acknowledged - set(found)
        for name, function in found.items():
            assert function["Environment"]["Variables"] == {"NAME": name}
    functions = Functions(platform)
    assert functions.call(sorted(acknowledged)[0], 7) == 7


def test_nothing_is_left_after_kill_dash_nine(own):
    platform = own()
    functions = Functions(platform)
    name = functions.create("import os, time\ndef handler(e, c):\n    time.sleep(e)\n    return 1\n", Timeout=60)
    functions.call(name, 0)
    family = descendants(platform.process.pid)
    assert len(family) >= 2
    platform.stop(signal.SIGKILL)
    until(lambda: not [p for p in family if alive(p)], "launcher and sandboxes have ended")


def descendants(pid):
    found = []
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *descendants(int(child))]
    return found


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_sigterm_lets_running_calls_finish(own):
    platform = own()
    functions = Functions(platform)
    name = functions.create("import time\ndef handler(e, c):\n    time.sleep(1)\n    return 'finished'\n")
    answers = []
    caller = threading.Thread(target=lambda: answers.append(functions.call(name)))
    caller.start()
    until(lambda: any(i["State"] == "busy" for i in platform.api("status")["Instances"]), "the call runs")
    assert platform.stop() == 0
    caller.join()
    assert answers == ["finished"]


def test_a_second_start_on_the_same_data_is_refused(own):
    platform = own()
    done = subprocess.run(
        [BINARY, "up", "--listen", "127.0.0.1:0", "--data", platform.data], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert str(platform.process.pid) in done.stderr and "hint:" in done.stderr, done.stderr


def test_a_port_in_use_is_refused(own, tmp_path):
    platform = own()
    address = platform.endpoint.split("//")[1]
    done = subprocess.run(
        [BINARY, "up", "--listen", address, "--data", tmp_path / "d"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert address in done.stderr and "hint:" in done.stderr, done.stderr


def test_a_newer_format_is_refused(own, tmp_path):
    platform = own()
    platform.stop()
    version = next(p for p in platform.data.iterdir() if "format" in p.name.lower() or "version" in p.name.lower())
    version.write_text("dayfly 9999\n")
    done = subprocess.run(
        [BINARY, "up", "--listen", "127.0.0.1:0", "--data", platform.data], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "9999" in done.stderr and "newer" in done.stderr, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk(workspace):
    disk = workspace / "small-disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", disk], check=True)
    platform = None
    try:
        platform = Platform(disk / "data").start()
        client = platform.client("lambda")
        create(platform, client, "before")
        with open(disk / "filler", "wb") as filler:
            with pytest.raises(OSError):
                while True:
                    filler.write(os.urandom(64 * 1024))
                    filler.flush()
        failed = 0
        for number in range(20):
            try:
                create(platform, client, f"during-{number}")
            except ClientError as error:
                failed += 1
                assert "disk is full" in error.response["Error"]["Message"], error
            except BotoCoreError:
                failed += 1
                break
        assert failed, "a full disk must refuse some write"
        (disk / "filler").unlink()
        if platform.process.poll() is not None:
            platform.start()
        client = platform.client("lambda")
        create(platform, client, "after")
        names = {f["FunctionName"] for f in client.list_functions()["Functions"]}
        assert {"before", "after"} <= names
    finally:
        if platform and platform.process.poll() is None:
            platform.stop()
        subprocess.run(["umount", "-l", disk], check=False)
