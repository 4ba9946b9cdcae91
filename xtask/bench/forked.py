"""The floor of a forked start: a loaded interpreter, forked into fresh namespaces for each event, and nothing else.

The first argument is the folder of the platform's bootstrap, which says what is loaded beforehand. Standard input is a
socket: an event's frame comes in, a copy loads the handler and writes the answer's frame.
"""

import ctypes
import gc
import importlib
import os
import signal
import sys

import bare

SYS_CLONE = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
# User, mount, process, network, IPC and host name namespaces, as an instance has.
NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000

sys.path.append(sys.argv[1])
for name in importlib.import_module("_dayfly_template").COMMON:
    importlib.import_module(name)
python = ctypes.pythonapi
clone = ctypes.PyDLL(None, use_errno=True).syscall  # which keeps the interpreter's lock, as a fork of its own does
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for copies

gc.freeze()
while True:
    event = bare.receive()
    python.PyOS_BeforeFork()
    pid = clone(SYS_CLONE, NAMESPACES | signal.SIGCHLD, None, None, None, None)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone: " + os.strerror(ctypes.get_errno()))
    if pid:
        python.PyOS_AfterFork_Parent()
    else:
        python.PyOS_AfterFork_Child()
        from handler import handler

        bare.answer(handler, event)
        os._exit(0)
