"""Loads one Python handler and serves calls over the framed socket on descriptor 3.

Starts fast: nothing is imported that a plain handler does not need. `json`, `logging` and `traceback` cost more than
the interpreter itself, so they come only when the user's code or an error asks for them. Works on CPython 3.9 and newer.

Frames are [u32 LE length][u8 kind][payload]; `runtimes/src/channel/frame.rs` is the other end. What a handler sees
follows AWS's client for Python (`awslambdaric`), which is the reference in the tests.

The first argument says how the process begins:

* none: it serves the handler that the environment names;
* `wait`: it is told its environment first, by a frame of kind Load;
* `template`: it is forked, and each copy waits as above;
* `function`: it loads the handler, then is forked; each copy is told what of its environment differs, and serves;
* `worker`: it serves one call after another beside others of its kind, on behalf of an instance (`_dayfly_crowd`).
"""

import _thread
import builtins
import os
import sys
import time

INVOKE, LOAD, READY, INIT_ERROR, RESPONSE, ERROR, LOG = 1, 2, 16, 17, 18, 19, 20
SOCKET_FD, CHANNEL_FD = 3, 1000
READ_BYTES = 65536
LOG_BYTES = 256 * 1024
PAYLOAD_BYTES = 6 * 1024 * 1024 + 100
DEPTH, VALUES = 500, 8_000_000
TRACE = b"_X_AMZN_TRACE_ID"
HERE = "/bootstrap.py"
TASK = "/var/task"
COMPILED = "/var/bytecode/code"
COMPILED_HEAD_BYTES = 8
SCALARS = frozenset((str, int, float, bool, type(None)))
STRING = frozenset((str,))
PLAIN = SCALARS | {dict, list, tuple}


class Fault(Exception):
    """An error of the platform's own, with the type and text that AWS's client gives it."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, list(trace)


class Channel:
    """The socket to the platform, out of reach of code that uses low descriptors and of child processes."""

    def __init__(self):
        self.fd = -1
        self.lock = _thread.RLock()
        self.rest = b""

    def open(self):
        """Takes the socket. What is said before goes to standard output."""
        try:
            self.fd = os.dup2(SOCKET_FD, CHANNEL_FD, inheritable=False)
            os.close(SOCKET_FD)
        except OSError:  # the limit on descriptors is lower than that
            self.fd = SOCKET_FD
            os.set_inheritable(SOCKET_FD, False)
        os.register_at_fork(after_in_child=self.abandon)

    def adopt(self, fd):
        """Takes another socket in place of the one that a fork has closed."""
        try:
            self.fd = os.dup2(fd, CHANNEL_FD, inheritable=False)
            os.close(fd)
        except OSError:
            self.fd = fd
        self.rest = b""

    def abandon(self):
        """Closes our end: the process ends, or is a forked child and the conversation is its parent's."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def next(self):
        """The next call: its header and its event."""
        data, end = self.frame(INVOKE)
        split = 9 + int.from_bytes(data[5:9], "little")
        return str(data[9:split], "utf-8"), data[split:end]

    def frame(self, kind):
        """The next frame, which must be of this kind, and where it ends."""
        data, end = self.any_frame()
        if data[4] != kind:
            raise RuntimeError("unknown frame kind %d" % data[4])
        return data, end

    def any_frame(self):
        """The next frame, and where it ends. Ends the process when the platform hangs up."""
        data = self.rest or self.read(READ_BYTES)
        while len(data) < 5:
            data += self.read(READ_BYTES)
        end = 5 + int.from_bytes(data[:4], "little")
        if len(data) < end:
            data = self.fill(data, end)
        self.rest = data[end:] if len(data) > end else b""
        return data, end

    def read(self, size):
        try:
            data = os.read(self.fd, size)
        except ConnectionError:
            data = b""
        if not data:
            os._exit(0)
        return data

    def fill(self, data, end):
        frame = bytearray(end)
        have = len(data)
        frame[:have] = data
        while have < end:
            part = self.read(end - have)
            frame[have : have + len(part)] = part
            have += len(part)
        return frame

    def send(self, kind, *parts):
        """Writes one frame whole. In a forked child that fell out of the handler, ends the child."""
        if self.fd < 0:
            os._exit(0)
        length = sum(map(len, parts))
        parts = (length.to_bytes(4, "little") + bytes((kind,)), *parts)
        try:
            with self.lock:
                left = length + 5 - os.writev(self.fd, parts)
                if left:
                    whole = memoryview(b"".join(parts))
                    while left:
                        left -= os.write(self.fd, whole[-left:])
        except ConnectionError:
            os._exit(0)

    def answer(self, kind, name, body):
        """Sends an answer. A usual one is one piece of memory and one write."""
        if len(body) > READ_BYTES or self.fd < 0:
            self.send(kind, bytes((len(name),)), name, body)
            return
        self.write(b"%b%c%c%b%b" % ((1 + len(name) + len(body)).to_bytes(4, "little"), kind, len(name), name, body))

    def write(self, frame):
        """Writes a frame that is one piece of memory."""
        try:
            with self.lock:
                done = os.write(self.fd, frame)
                while done < len(frame):
                    done += os.write(self.fd, frame[done:])
        except ConnectionError:
            os._exit(0)

    def log(self, text):
        """One log record, however many lines it has."""
        text = text[:-1] if text.endswith("\n") else text
        if self.fd < 0:
            sys.stdout.write(text + "\n")
            return
        record = text.encode("utf-8", "backslashreplace")[:LOG_BYTES]
        self.send(LOG, (time.time_ns() // 1000).to_bytes(8, "little"), record)


def make_decoder():
    """`json.loads` for str without importing `json`, which pulls in `re`: the scanner in C is all it needs."""
    try:
        from _json import make_scanner

        class Settings:
            strict = True
            object_hook = object_pairs_hook = array_hook = None
            parse_float = parse_constant = float
            parse_int = int

        scan = make_scanner(Settings)
        if scan('{"a": [1, 2.5, null]}', 0)[0] != {"a": [1, 2.5, None]}:
            raise ValueError
    except Exception:
        scan = None

    def decode(text):
        if scan is not None:
            body = text.strip(" \t\n\r")
            try:
                value, end = scan(body, 0)
                if end == len(body):
                    return value
            except (StopIteration, ValueError):
                pass
        import json

        return json.loads(text)

    return decode


def make_encoder(ascii_only):
    """`json.dumps`, also without importing `json`. Plain built-in types go through C, others through `_dayfly_unusual`."""
    import gc

    try:
        import _json

        quote = _json.encode_basestring_ascii if ascii_only else _json.encode_basestring
        fast = _json.make_encoder(None, unencodable, quote, None, ": ", ", ", False, False, True)
        if "".join(fast({"a": [1, None]}, 0)) != '{"a": [1, null]}':
            raise ValueError
    except Exception:
        from json import JSONEncoder

        plain = JSONEncoder(ensure_ascii=ascii_only)
        quote = plain.encode

        def fast(value, _indent):
            return plain.iterencode(value)

    def encode(value):
        # Most answers are flat.
        if type(value) is dict and SCALARS.issuperset(map(type, value.values())) and STRING.issuperset(map(type, value)):
            return "".join(fast(value, 0))
        # The encoder in C writes a named tuple as an array and never ends on a circle: look at every type first.
        level, seen = [value], 0
        for _ in range(DEPTH):
            kinds = set(map(type, level))
            seen += len(level)
            if not kinds <= PLAIN or seen > VALUES:
                break
            if kinds.isdisjoint((dict, list, tuple)):
                try:
                    return "".join(fast(value, 0))
                except TypeError:
                    break
            level = gc.get_referents(*level)
        from _dayfly_unusual import Unusual

        return Unusual(quote).encode(value)

    return encode


def unencodable(value):
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


class Slots:
    """Base of the small objects inside a context."""

    __slots__ = ()

    def __init__(self, values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return "%s([%s])" % (type(self).__name__, ",".join("%s=%s" % (n, getattr(self, n)) for n in self.__slots__))


class Client(Slots):
    """The mobile application that called."""

    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(Slots):
    """What the caller sent as its client context."""

    __slots__ = ("custom", "env", "client")


class CognitoIdentity(Slots):
    """Who the caller is to Cognito; always present, usually empty."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, values):
        self.cognito_identity_id = values.get("cognitoIdentityId") if values else None
        self.cognito_identity_pool_id = values.get("cognitoIdentityPoolId") if values else None


class LambdaContext:
    """The second argument of a handler."""

    W3C = ("traceparent", "tracestate", "baggage")
    # Looked up once: `os.environ` encodes the name and decodes the value every time.
    SAME = (None,) * 5

    def __init__(self, header, client_context, identity):
        self.aws_request_id = header["id"]
        (self.log_group_name, self.log_stream_name, self.function_name, self.memory_limit_in_mb,
         self.function_version) = self.SAME
        self.invoked_function_arn = header.get("arn")
        self.tenant_id = header.get("tenant_id")
        self._w3c_fields = {}
        self.client_context = None
        if client_context is not None:
            trace = client_context.pop("w3c", None) if isinstance(client_context, dict) else None
            if isinstance(trace, dict):
                self._w3c_fields = {name: trace[name] for name in self.W3C if isinstance(trace.get(name), str)}
            self.client_context = ClientContext(client_context)
            client = self.client_context.client
            self.client_context.client = None if client is None else Client(client)
        self.identity = CognitoIdentity(identity)
        self._epoch_deadline_time_in_ms = header["deadline_ms"]

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def w3c(self):
        return dict(self._w3c_fields)

    def log(self, msg):
        RUNTIME.channel.log(str(msg))

    def __repr__(self):
        names = ("aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb",
                 "function_version", "invoked_function_arn", "client_context", "identity", "tenant_id")
        return "LambdaContext([%s])" % ",".join("%s=%s" % (name, getattr(self, name)) for name in names)


class LoggingHook:
    """A finder that waits for `import logging` and sets the module up once it has loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                execute = spec.loader.exec_module

                def exec_module(module):
                    execute(module)
                    if hasattr(module, "getLogger"):  # not a file of the user's with that name
                        from _dayfly_logging import set_up

                        set_up(module, RUNTIME)

                spec.loader.exec_module = exec_module
                return spec
        return None


class Compiled:
    """The code of this package's sources, compiled once (`_dayfly_compile.py`): they are read-only, as is all around them."""

    @classmethod
    def take(cls):
        """Has modules of the package found as always, and their code taken from here."""
        try:
            sys.path_hooks.insert(0, cls().finder)
        except (OSError, EOFError, ValueError, TypeError, AttributeError):
            return  # they are compiled as if there were none
        sys.path_importer_cache.pop(TASK, None)

    def __init__(self):
        import marshal

        import _frozen_importlib_external as files

        self.files, self.load = files, marshal.loads
        kept = os.open(COMPILED, os.O_RDONLY | os.O_CLOEXEC)
        try:
            length = int.from_bytes(os.read(kept, COMPILED_HEAD_BYTES), "little")
            self.index = self.load(os.pread(kept, length, COMPILED_HEAD_BYTES))
        finally:
            os.close(kept)
        self.start = COMPILED_HEAD_BYTES + length
        own = self.loader()
        self.loaders = [(own if loader is files.SourceFileLoader else loader, endings)
                        for loader, endings in files._get_supported_file_loaders()]

    def code(self, path):
        """The code of one source, or `None`."""
        place = self.index.get(path)
        if place is None:
            return None
        try:
            kept = os.open(COMPILED, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return self.load(os.pread(kept, place[1], self.start + place[0]))
            finally:
                os.close(kept)
        except (OSError, EOFError, ValueError, TypeError):
            return None

    def loader(compiled):
        class SourceFileLoader(compiled.files.SourceFileLoader):
            def get_code(self, fullname):
                return compiled.code(self.path) or super().get_code(fullname)

        return SourceFileLoader

    def finder(self, path):
        """A hook of `sys.path_hooks`."""
        if path != TASK and not path.startswith(TASK + "/"):
            raise ImportError
        return self.files.FileFinder(path, *self.loaders)


def describe(error):
    """The error's type, text and stack, without our own frames above the user's."""
    import traceback

    frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(error.__traceback__)]
    own = 0
    while own < len(frames) and frames[own][0].endswith(HERE):
        own += 1
    return type(error).__name__, str(error), traceback.format_list(frames[own:] or frames)


class Runtime:
    """One handler and its conversation with the platform."""

    def __init__(self):
        # What `os.environ` shows, without the C library's `setenv`, which never frees a value: an instance would grow
        # with every call. Programs that the handler starts do not inherit what is written here.
        self.environ = os.environ._data
        self.channel = Channel()
        self.request_id = ""
        self.tenant_id = None
        self.json_logs = False
        # Calls at once: above one, this process only hands them to others.
        self.at_once = 1
        self.finish = flush
        self.decode = make_decoder()
        # AWS's client writes other characters than ASCII as they are from Python 3.12 on.
        self.encode = make_encoder(ascii_only=sys.version_info < (3, 12))

    def settle(self):
        """Takes on what the environment says of the function and the instance, and code that was compiled before."""
        if not sys.flags.optimize and os.path.exists(COMPILED):
            Compiled.take()
        environ = os.environ
        self.json_logs = environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
        self.at_once = int(environ.get("AWS_LAMBDA_MAX_CONCURRENCY", "1"))
        LambdaContext.SAME = [environ.get("AWS_LAMBDA_" + name) for name in (
            "LOG_GROUP_NAME", "LOG_STREAM_NAME", "FUNCTION_NAME", "FUNCTION_MEMORY_SIZE", "FUNCTION_VERSION")]

    def wait(self):
        """Is told the environment; takes it on."""
        data, end = self.channel.frame(LOAD)
        environ = os.environ
        for name, value in self.decode(str(data[5:end], "utf-8"))["env"].items():
            if environ.get(name) != value:
                environ[name] = value
        task = environ.get("LAMBDA_TASK_ROOT", "/var/task")
        os.chdir(task)
        sys.path[0] = task
        for path in sys.path[:3]:  # they may have been looked into while they were empty
            sys.path_importer_cache.pop(path, None)
        self.settle()

    def load(self, name):
        """The handler that `module.function` or `folder/module.function` names."""
        module_name, dot, attribute = name.rpartition(".")
        if not dot:
            text = "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name
            raise Fault("Runtime.MalformedHandlerName", text)
        if module_name.split(".")[0] in sys.builtin_module_names:
            text = "Cannot use built-in module %s as a handler module" % module_name
            raise Fault("Runtime.BuiltInModuleConflict", text)
        try:
            dotted = module_name.replace("/", ".")
            __import__(dotted)
        except ImportError as error:
            raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, error))
        except SyntaxError as error:
            trace = '  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)
            text = "Syntax error in module '%s': %s" % (module_name, error)
            raise Fault("Runtime.UserCodeSyntaxError", text, [trace])
        try:
            return getattr(sys.modules[dotted], attribute)
        except AttributeError:
            text = "Handler '%s' missing on module '%s'" % (attribute, module_name)
            raise Fault("Runtime.HandlerNotFound", text)

    def report(self, kind, message, trace):
        """Logs an error and returns it as the caller sees it."""
        result = {"errorMessage": message, "errorType": kind, "requestId": self.request_id, "stackTrace": trace}
        if self.json_logs:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self.channel.log(self.encode({"timestamp": stamp, "level": "ERROR", **result}))
        else:
            head = "[ERROR] " + ": ".join(filter(None, (kind, message)))
            lines = [line for entry in trace for line in (entry.splitlines() or [""])]
            # No-break spaces, since viewers of logs swallow leading blanks.
            shown = ["\u00a0" * (len(line) - len(line.lstrip(" "))) + line.lstrip(" ") for line in lines]
            self.channel.log("\n".join([head, "Traceback (most recent call last):", *shown]))
        return self.encode(result).encode("utf-8", "backslashreplace")

    def header_json(self, text, name):
        try:
            return self.decode(text)
        except Exception as error:
            raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (name, error))

    def call(self, handler, header, event):
        """Runs the handler on one event; the answer's bytes."""
        client_context, identity = header.get("client_context"), header.get("cognito_identity")
        context = LambdaContext(
            header,
            self.header_json(client_context, "Client Context") if client_context else None,
            self.header_json(identity, "Cognito Identity") if identity else None,
        )
        try:
            # The codec "utf-8-sig" is written in Python and slower.
            text = str(event, "utf-8")
            event = self.decode(text[1:] if text.startswith("\ufeff") else text)
        except Exception as error:
            raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
        response = handler(event, context)
        try:
            body = response if isinstance(response, bytes) else self.encode(response).encode("utf-8")
        except Exception as error:
            raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)
        if len(body) > PAYLOAD_BYTES:
            text = "Response payload size exceeded maximum allowed payload size (%d bytes)." % PAYLOAD_BYTES
            raise Fault("Function.ResponseSizeTooLarge", text)
        return body

    def serve_one(self, handler):
        text, event = self.channel.next()
        header = self.decode(text)
        self.request_id, self.tenant_id = header["id"], header.get("tenant_id")
        if header.get("trace"):
            self.environ[TRACE] = header["trace"].encode("utf-8", "surrogateescape")
        else:
            self.environ.pop(TRACE, None)
        try:
            kind, body = RESPONSE, self.call(handler, header, event)
        except Fault as fault:
            kind, body = ERROR, self.report(fault.kind, fault.message, fault.trace)
        except Exception as error:
            kind, body = ERROR, self.report(*describe(error))
        self.finish()
        self.channel.answer(kind, header["id"].encode(), body)

    def find(self):
        """The handler, or `None` and the error as the caller sees it."""
        try:
            return self.load(os.environ.get("_HANDLER", "")), None
        except Fault as fault:
            return None, self.report(fault.kind, fault.message, fault.trace)
        except Exception as error:
            return None, self.report(*describe(error))

    def find_first(self):
        """As `find`; and what took long to import."""
        from _dayfly_imports import Imports

        imports = Imports()
        imports.begin()
        try:
            found = self.find()
        finally:
            imports.end()
        return *found, imports.report(os.environ.get("_HANDLER", ""))

    def run(self, handler=None):
        """Serves for good, a handler that is loaded already or the one that the environment names."""
        error, imports = None, b""
        if handler is None:
            handler, error, imports = self.find_first()
        flush()
        if error is None:
            if self.at_once > 1:
                from _dayfly_crowd import serve

                serve(self, handler, imports)
            else:
                self.channel.send(READY, imports)
            while True:
                self.serve_one(handler)
        self.channel.send(INIT_ERROR, error)
        sys.exit(1)


def flush():
    """What was printed leaves before the answer does."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # the user's code closed or replaced it


def leave(code=None):
    raise SystemExit(code)


def dress():
    """Makes the process look as the user's code expects it."""
    task = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")
    version = "python%d.%d" % sys.version_info[:2]
    own = sys.path[:1] == [os.path.dirname(__file__)]
    sys.path[:own] = [task, "/opt/python/lib/%s/site-packages" % version, "/opt/python"]
    sys.path.append(os.path.dirname(__file__))
    del sys.argv[1:]
    builtins.exit = builtins.quit = leave  # without `site`, nobody else defines them
    sys.stdout.reconfigure(line_buffering=True)


def main():
    """Begins as the first argument says, then serves for good."""
    global RUNTIME
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    dress()
    if mode != "template":  # there it is set up in every copy
        sys.meta_path.insert(0, LoggingHook())
    RUNTIME = Runtime()
    handler = None
    try:
        if mode in ("template", "function"):
            from _dayfly_template import fork

            handler = fork(RUNTIME, mode)
        RUNTIME.channel.open()
        if mode and mode != "worker":
            RUNTIME.wait()
        else:
            RUNTIME.settle()
        if mode == "worker":
            from _dayfly_crowd import name_output

            RUNTIME.at_once = 1
            name_output(RUNTIME)
        if mode == "function":
            from _dayfly_template import restore

            restore()
        elif mode == "template" and (RUNTIME.json_logs or os.environ.get("AWS_LAMBDA_LOG_LEVEL")):
            import logging

            from _dayfly_logging import set_up

            logging.getLogger().handlers.clear()  # it was set up as most functions have it
            set_up(logging, RUNTIME)
        RUNTIME.run(handler)
    finally:
        flush()
        RUNTIME.channel.abandon()  # so that the platform need not wait for threads that still run


RUNTIME = None

if __name__ == "__main__":
    main()
