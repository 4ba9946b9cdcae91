//! Handlers in Python.

use crate::case::{Case, Want::*};

const OK: &[(&str, &str)] = &[("app.py", "def handler(event, context):\n    return event\n")];

macro_rules! case {
    ($name:literal, $source:expr, $calls:expr) => {
        Case { name: $name, files: &[("app.py", $source)], calls: $calls, ..Case::PYTHON }
    };
}

pub const CASES: &[Case] = &[
    Case {
        name: "events of every kind come back",
        files: OK,
        calls: &[
            (
                r#"{"a": [1, 2.5, null, true, "x"], "b": {}}"#,
                Returns(r#"{"a": [1, 2.5, null, true, "x"], "b": {}}"#),
            ),
            (r#""text""#, Returns(r#""text""#)),
            ("  17  ", Returns("17")),
            ("null", Returns("null")),
            ("123456789012345678901234567890", Returns("123456789012345678901234567890")),
            ("[1e400, -0.0]", Returns("[Infinity, -0.0]")),
            (r#"{"d": 1, "d": 2}"#, Returns(r#"{"d": 2}"#)),
        ],
        ..Case::PYTHON
    },
    case!(
        "text of every kind",
        "def handler(event, context):\n    return ['é\\u2028\\U0001f600\\x7f\"\\\\/\\n', event]\n",
        &[(r#""\u00e9\ud83d\ude00""#, ReturnsText("[\"é\u{2028}😀\u{7f}\\\"\\\\/\\n\", \"é😀\"]"))]
    ),
    case!(
        "values beyond JSON that the client knows",
        "from collections import namedtuple, OrderedDict\nfrom decimal import Decimal\nfrom enum import Enum, IntEnum\n\
         P = namedtuple('P', 'x y')\nclass N(IntEnum):\n    ONE = 1\nclass S(str, Enum):\n    B = 'b'\n\
         def handler(event, context):\n    return [P(1, (2,)), Decimal('1.10'), Decimal('NaN'), N.ONE, S.B, b'bytes', \
         OrderedDict(a=1), {None: 1, True: 2, 1.5: 3, N.ONE: 4, b'k': 5}, float('nan'), -float('inf')]\n",
        &[(
            "{}",
            Returns(
                r#"[{"x": 1, "y": [2]}, 1.10, NaN, 1, "b", "bytes", {"a": 1}, {"null": 1, "true": 4, "1.5": 3, "k": 5}, NaN, -Infinity]"#
            )
        )]
    ),
    case!(
        "bytes are the answer itself",
        "def handler(e, c):\n    return b'\\x00raw'\n",
        &[("{}", Returns("\0raw"))]
    ),
    case!("nothing", "def handler(e, c):\n    pass\n", &[("{}", Returns("null"))]),
    case!(
        "values that JSON cannot hold",
        "import sys\ndef handler(event, context):\n    circle = []\n    circle.append(circle)\n    async def later():\n        pass\n    \
         coroutine = later()\n    return {'set': {1}, 'object': object(), 'key': {(1, 2): 3}, 'circle': circle, \
         'coroutine': coroutine, 'complex': 1j}[event]\n",
        &[
            (
                r#""set""#,
                Fails(
                    "Runtime.MarshalError",
                    "Unable to marshal response: Object of type set is not JSON serializable",
                    &[]
                )
            ),
            (
                r#""object""#,
                Fails(
                    "Runtime.MarshalError",
                    "Unable to marshal response: Object of type object is not JSON serializable",
                    &[]
                )
            ),
            (
                r#""key""#,
                Fails(
                    "Runtime.MarshalError",
                    "Unable to marshal response: keys must be str, int, float, bool or None, not tuple",
                    &[]
                )
            ),
            (
                r#""circle""#,
                Fails("Runtime.MarshalError", "Unable to marshal response: Circular reference detected", &[])
            ),
            (
                r#""coroutine""#,
                Fails(
                    "Runtime.MarshalError",
                    "Unable to marshal response: Object of type coroutine is not JSON serializable",
                    &[]
                )
            ),
            (
                r#""complex""#,
                Fails(
                    "Runtime.MarshalError",
                    "Unable to marshal response: Object of type complex is not JSON serializable",
                    &[]
                )
            ),
        ]
    ),
    Case {
        name: "a handler that raises",
        files: &[
            ("app.py", "from inner.deep import fail\n\ndef handler(event, context):\n    fail(event)\n"),
            (
                "inner/deep.py",
                "class Own(Exception):\n    pass\n\ndef fail(event):\n    if event:\n        raise Own('my ☃ text')\n    {}[1]\n",
            ),
        ],
        calls: &[
            ("1", Fails("Own", "my ☃ text", &["app.py:4", "inner/deep.py:6"])),
            ("0", Fails("KeyError", "1", &["app.py:4", "inner/deep.py:7"])),
        ],
        log: &[
            "[ERROR] Own: my ☃ text\nTraceback (most recent call last):\n\u{a0}\u{a0}File \"",
            "app.py\", line 4, in handler\n\u{a0}\u{a0}\u{a0}\u{a0}fail(event)\n\u{a0}\u{a0}File \"",
            "deep.py\", line 6, in fail\n\u{a0}\u{a0}\u{a0}\u{a0}raise Own('my ☃ text')\n",
            "[ERROR] KeyError: 1\n",
        ],
        ..Case::PYTHON
    },
    case!(
        "a handler with other parameters",
        "def handler():\n    pass\n",
        &[("{}", Fails("TypeError", "handler() takes 0 positional arguments but 2 were given", &[]))]
    ),
    Case {
        name: "a handler that is no function",
        files: &[("app.py", "handler = 3\n")],
        calls: &[("{}", Fails("TypeError", "'int' object is not callable", &[]))],
        ..Case::PYTHON
    },
    case!(
        "an error without text",
        "def handler(e, c):\n    assert False\n",
        &[("{}", Fails("AssertionError", "", &["app.py:2"]))]
    ),
    case!(
        "a chain of errors shows the last",
        "def handler(e, c):\n    try:\n        1 / 0\n    except ZeroDivisionError as error:\n        raise ValueError('second') from error\n",
        &[("{}", Fails("ValueError", "second", &["app.py:5"]))]
    ),
    case!(
        "an event that is not JSON",
        "def handler(e, c):\n    return e\n",
        &[(
            "nul",
            Fails(
                "Runtime.UnmarshalError",
                "Unable to unmarshal input: Expecting value: line 1 column 1 (char 0)",
                &[]
            )
        )]
    ),
    Case {
        name: "nested module by dots",
        files: &[("pkg/__init__.py", ""), ("pkg/mod.py", OK[0].1)],
        handler: "pkg.mod.handler",
        calls: &[("1", Returns("1"))],
        ..Case::PYTHON
    },
    Case {
        name: "nested module by slashes, without a package file",
        files: &[("pkg/sub/mod.py", OK[0].1)],
        handler: "pkg/sub/mod.handler",
        calls: &[("1", Returns("1"))],
        ..Case::PYTHON
    },
    Case {
        name: "no such function",
        files: OK,
        handler: "app.other",
        calls: &[(
            "{}",
            InitFails("Runtime.HandlerNotFound", "Handler 'other' missing on module 'app'", &[]),
        )],
        log: &[
            "[ERROR] Runtime.HandlerNotFound: Handler 'other' missing on module 'app'\nTraceback (most recent call last):",
        ],
        ..Case::PYTHON
    },
    Case {
        name: "no such module",
        files: OK,
        handler: "none.handler",
        calls: &[(
            "{}",
            InitFails(
                "Runtime.ImportModuleError",
                "Unable to import module 'none': No module named 'none'",
                &[],
            ),
        )],
        log: &["[ERROR] Runtime.ImportModuleError: Unable to import module 'none': No module named 'none'"],
        ..Case::PYTHON
    },
    Case {
        name: "no such module in a folder",
        files: OK,
        handler: "a/none.handler",
        calls: &[(
            "{}",
            InitFails(
                "Runtime.ImportModuleError",
                "Unable to import module 'a/none': No module named 'a'",
                &[],
            ),
        )],
        ..Case::PYTHON
    },
    Case {
        name: "no dot",
        files: OK,
        handler: "app",
        calls: &[(
            "{}",
            InitFails(
                "Runtime.MalformedHandlerName",
                "Bad handler 'app': not enough values to unpack (expected 2, got 1)",
                &[],
            ),
        )],
        ..Case::PYTHON
    },
    Case {
        name: "a module of the interpreter's own",
        files: OK,
        handler: "sys.handler",
        calls: &[(
            "{}",
            InitFails(
                "Runtime.BuiltInModuleConflict",
                "Cannot use built-in module sys as a handler module",
                &[],
            ),
        )],
        ..Case::PYTHON
    },
    case!(
        "a missing dependency",
        "import nowhere\n",
        &[(
            "{}",
            InitFails(
                "Runtime.ImportModuleError",
                "Unable to import module 'app': No module named 'nowhere'",
                &[]
            )
        )]
    ),
    Case {
        name: "a missing name in a dependency",
        files: &[("app.py", "from more import nowhere\n"), ("more.py", "")],
        calls: &[(
            "{}",
            InitFails(
                "Runtime.ImportModuleError",
                "Unable to import module 'app': cannot import name 'nowhere' from 'more' (<task>/more.py)",
                &[],
            ),
        )],
        ..Case::PYTHON
    },
    case!(
        "broken syntax",
        "x = 1\ny = = 2\n",
        &[(
            "{}",
            InitFails(
                "Runtime.UserCodeSyntaxError",
                "Syntax error in module 'app': invalid syntax (app.py, line 2)",
                &["app.py:2"]
            )
        )]
    ),
    case!(
        "an error while loading",
        "def f():\n    raise RuntimeError('boom')\nf()\n",
        &[("{}", InitFails("RuntimeError", "boom", &["app.py:3", "app.py:2"]))]
    ),
    case!("exit while loading", "import sys\nsys.exit(3)\n", &[("{}", Exits(3))]),
    case!("exit in the handler", "def handler(e, c):\n    exit(4)\n", &[("{}", Exits(4))]),
    case!(
        "the process ends at once",
        "import os\ndef handler(e, c):\n    os._exit(5)\n",
        &[("{}", Exits(5))]
    ),
    case!(
        "an interrupt is no answer",
        "def handler(e, c):\n    raise KeyboardInterrupt\n",
        &[("{}", Exits(-1))]
    ),
    Case {
        name: "the context",
        files: &[(
            "app.py",
            "import os\ndef handler(e, c):\n    left = c.get_remaining_time_in_millis()\n    return [c.aws_request_id, c.function_name, \
             c.function_version, c.memory_limit_in_mb, c.log_group_name, c.log_stream_name, c.invoked_function_arn, \
             c.identity.cognito_identity_id, c.client_context.custom, c.client_context.client.app_title, c.client_context.env, \
             isinstance(left, int) and left > 10 ** 9, os.environ['_X_AMZN_TRACE_ID'], repr(c)]\n",
        )],
        calls: &[(
            "{}",
            Returns(
                r#"["00000000-0000-4000-8000-000000000000", "hello", "$LATEST", "128", "/aws/lambda/hello", "stream", "arn:aws:lambda:us-east-1:000000000000:function:hello", null, {"k": "v"}, "t", null, true, "Root=1-2-3", "LambdaContext([aws_request_id=00000000-0000-4000-8000-000000000000,log_group_name=/aws/lambda/hello,log_stream_name=stream,function_name=hello,memory_limit_in_mb=128,function_version=$LATEST,invoked_function_arn=arn:aws:lambda:us-east-1:000000000000:function:hello,client_context=ClientContext([custom={'k': 'v'},env=None,client=Client([installation_id=None,app_title=t,app_version_name=None,app_version_code=None,app_package_name=None])]),identity=CognitoIdentity([cognito_identity_id=None,cognito_identity_pool_id=None]),tenant_id=None])"]"#,
            ),
        )],
        ..Case::PYTHON
    },
    Case {
        name: "logging and printing as text",
        files: &[(
            "app.py",
            "import logging, sys\nlog = logging.getLogger('mine')\ndef handler(e, c):\n    log.info('hidden')\n    \
             log.warning('two\\nlines %s', 1)\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        log.exception('failed')\n    \
             return logging.getLogger().level\n",
        )],
        calls: &[("{}", Returns("30"))],
        log: &[
            "[WARNING]\t<time>\t<id>\ttwo\nlines 1\n",
            "[ERROR]\t<time>\t<id>\tfailed\nTraceback (most recent call last):\n",
            "ZeroDivisionError: division by zero",
        ],
        ..Case::PYTHON
    },
    Case {
        name: "the level of the log",
        files: &[(
            "app.py",
            "import logging\nlogging.info('loading')\ndef handler(e, c):\n    logging.getLogger('x').debug('shown')\n",
        )],
        env: &[("AWS_LAMBDA_LOG_LEVEL", "DEBUG")],
        calls: &[("{}", Returns("null"))],
        log: &["[INFO]\t<time>\t\tloading\n", "[DEBUG]\t<time>\t<id>\tshown\n"],
        ..Case::PYTHON
    },
    Case {
        name: "logging as JSON",
        files: &[(
            "app.py",
            "import logging\nlog = logging.getLogger('mine')\ndef handler(e, c):\n    log.warning({'a': 1}, extra={'k': {1}})\n    \
             log.error('text %s', 2)\n    raise ValueError('é')\n",
        )],
        env: &[("AWS_LAMBDA_LOG_FORMAT", "JSON")],
        calls: &[("{}", Fails("ValueError", "é", &["app.py:6"]))],
        log: &[
            r#"{"timestamp": "<time>", "level": "WARNING", "message": {"a": 1}, "logger": "mine", "requestId": "<id>", "k": "{1}"}"#,
            r#"{"timestamp": "<time>", "level": "ERROR", "message": "text 2", "logger": "mine", "requestId": "<id>"}"#,
            r#"{"timestamp": "<time>", "level": "ERROR", "errorMessage": ""#,
            r#""errorType": "ValueError", "requestId": "<id>", "stackTrace": [""#,
        ],
        ..Case::PYTHON
    },
    Case {
        name: "what is printed comes before the answer, the last line too",
        files: &[(
            "app.py",
            "import sys\nprint('loading')\ndef handler(e, c):\n    print('one', 2)\n    print('no end', end='')\n    sys.stderr.write('aside')\n",
        )],
        calls: &[("{}", Returns("null"))],
        log: &["loading\none 2\nno end", "aside"],
        ..Case::PYTHON
    },
    case!(
        "state stays",
        "n = 0\ndef handler(e, c):\n    global n\n    n += 1\n    return n\n",
        &[("{}", Returns("1")), ("{}", Returns("2"))]
    ),
    Case {
        name: "a child that comes back from the handler is not heard",
        files: &[("app.py", "import os\ndef handler(e, c):\n    os.fork()\n    return 'once'\n")],
        calls: &[("1", Returns(r#""once""#)), ("2", Returns(r#""once""#)), ("3", Returns(r#""once""#))],
        differs: Some("its child answers too, and takes calls from then on"),
        ..Case::PYTHON
    },
    case!(
        "children of multiprocessing",
        "from multiprocessing import Process, Pipe\ndef work(pipe):\n    pipe.send(6 * 7)\ndef handler(e, c):\n    ours, theirs = Pipe()\n    \
         child = Process(target=work, args=(theirs,))\n    child.start()\n    child.join()\n    return ours.recv()\n",
        &[("{}", Returns("42"))]
    ),
    case!(
        "low descriptors are the user's",
        "import os\ndef handler(e, c):\n    for fd in range(3, 64):\n        try:\n            os.close(fd)\n        except OSError:\n            pass\n    \
         os.write(os.open('/dev/null', os.O_WRONLY), b'x')\n    return 'fine'\n",
        &[("{}", Returns(r#""fine""#)), ("{}", Returns(r#""fine""#))]
    ),
    case!(
        "standard output is closed",
        "import sys\ndef handler(e, c):\n    sys.stdout.close()\n    return 1\n",
        &[("{}", Returns("1")), ("{}", Returns("1"))]
    ),
    case!(
        "threads log while the handler answers",
        "import logging, threading\ndef handler(e, c):\n    def chat():\n        for n in range(200):\n            logging.warning('%s', n)\n    \
         threads = [threading.Thread(target=chat) for _ in range(4)]\n    for t in threads:\n        t.start()\n    return 'x' * (e * 1000000)\n",
        &[
            ("1", ReturnsLetters(1_000_000)),
            ("2", ReturnsLetters(2_000_000)),
            ("3", ReturnsLetters(3_000_000))
        ]
    ),
    Case {
        name: "an answer of more than 6 MiB",
        files: &[("app.py", "def handler(e, c):\n    return 'x' * (6 * 1024 * 1024 + e)\n")],
        calls: &[
            ("98", ReturnsLetters(6 * 1024 * 1024 + 98)),
            (
                "99",
                Fails(
                    "Function.ResponseSizeTooLarge",
                    "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
                    &[],
                ),
            ),
            ("1", ReturnsLetters(6 * 1024 * 1024 + 1)),
        ],
        differs: Some("its process ends when the answer is refused; ours goes on"),
        ..Case::PYTHON
    },
    Case {
        name: "a large event",
        files: &[("app.py", "def handler(e, c):\n    return [len(e), e[-1]]\n")],
        calls: &[("letters 6291457", Returns(r#"[6291457, "x"]"#))],
        ..Case::PYTHON
    },
    Case {
        name: "the user's own environment of the interpreter",
        files: &[
            (
                "app.py",
                "import extra, sys\ndef handler(e, c):\n    return extra.x, sys.path[0] == __file__.rpartition('/')[0]\n",
            ),
            ("more/extra.py", "x = 1\n"),
        ],
        env: &[("PYTHONPATH", "more")],
        calls: &[("{}", Returns("[1, true]"))],
        ..Case::PYTHON
    },
];
