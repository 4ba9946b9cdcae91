"""A process that is forked into instances: what is loaded before, and what each copy does to be one of its own."""

import gc
import os
import select
import sys

import _dayfly_imports  # noqa: F401  its code is there when a copy loads its handler
from _dayfly_logging import set_up

SOCKET_FD = 3
POOL_BYTES = 16384 if sys.version_info >= (3, 10) else 4096

# What most functions and their libraries import sooner or later. Loaded once, it costs an instance no time and, until it
# is written to, no memory.
COMMON = ("logging", "json", "datetime", "random", "base64", "hashlib", "urllib.parse", "decimal", "uuid", "tempfile",
          "typing", "dataclasses", "traceback", "contextlib", "socket", "ssl", "http.client", "email.parser", "inspect")


def fork(runtime, mode):
    """Returns in the copies only: the handler where it was loaded before, else `None`."""
    if mode == "function":
        handler = prepare_function(runtime)
    else:
        handler = None
        for name in COMMON:
            try:
                __import__(name)
            except ImportError:  # a Python without it
                pass
        set_up(sys.modules["logging"], runtime)
    try:
        import _dayfly
    except ImportError as error:
        refuse("this Python cannot be forked: %s" % error)
    rehearse(runtime)
    if mode == "template":
        rehearse_start(runtime)
    gc.collect()
    _dayfly.fill(POOL_BYTES)  # copies allocate from the ends of both heaps then, not from a page here and a page there
    gc.freeze()  # a collection in a copy would otherwise copy all of this
    os.write(SOCKET_FD, b"ready")
    _dayfly.serve(SOCKET_FD)
    waiting = select.poll()
    waiting.register(SOCKET_FD, select.POLLIN)
    if not waiting.poll(0):
        # Nobody waits yet: memory is made its own now rather than when somebody does.
        rehearse(runtime)
        if mode == "template":
            rehearse_start(runtime)
    return handler


def prepare_function(runtime):
    """Loads the handler. What goes wrong is told in full by the instance that is then started without a template."""
    runtime.settle()
    handler, error = runtime.find()
    if error is not None:
        refuse("its code could not be loaded")
    hooks = sys.modules.get("snapshot_restore_py")
    for function, args, kwargs in reversed(hooks.get_before_snapshot() if hooks else ()):
        function(*args, **kwargs)
    sys.stdout.flush()
    sys.stderr.flush()
    return handler


def rehearse(runtime):
    """Goes once through everything that a call needs but the handler itself."""
    header = runtime.decode('{"id": "rehearsal", "deadline_ms": 0, "arn": "arn"}')
    runtime.call(lambda event, context: event, header, b'{"a": [1, 2.5, "b"]}')


def rehearse_start(runtime):
    """Goes once through what makes an instance of one function: its environment, its code."""
    text = '{"env": {%s}}' % ", ".join('"DAYFLY_%d": "%s"' % (number, "x" * 60) for number in range(24))
    names = runtime.decode(text)["env"]
    os.environ.update(names)
    for name in names:
        del os.environ[name]
    runtime.load("_dayfly_rehearsal.handler")
    del sys.modules["_dayfly_rehearsal"]


def refuse(why):
    os.write(SOCKET_FD, why.encode("utf-8", "replace")[:1000])
    os._exit(1)


def reseed():
    """What must differ between copies of initialised code. `random`, `secrets`, `uuid` and OpenSSL see to themselves."""
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


def restore():
    """Makes a copy of a loaded function one of its own."""
    reseed()
    hooks = sys.modules.get("snapshot_restore_py")
    for function, args, kwargs in hooks.get_after_restore() if hooks else ():
        function(*args, **kwargs)
