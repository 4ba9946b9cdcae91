//! Handlers in JavaScript.

use crate::case::{Case, Want::*};

macro_rules! case {
    ($name:literal, $source:expr, $calls:expr) => {
        Case { name: $name, files: &[("index.js", $source)], calls: $calls, ..Case::NODE }
    };
}

const ECHO: &str = "exports.handler = async (event) => event\n";

pub const CASES: &[Case] = &[
    case!(
        "events of every kind come back",
        ECHO,
        &[
            (
                r#"{"a": [1, 2.5, null, true, "é😀\u0001"], "b": {}}"#,
                Returns(r#"{"a":[1,2.5,null,true,"é😀\u0001"],"b":{}}"#)
            ),
            (r#""text""#, Returns(r#""text""#)),
            (" 17 ", Returns("17")),
            ("null", Returns("null")),
        ]
    ),
    case!(
        "what JSON.stringify makes of an answer",
        "exports.handler = async (e) => ({ undefined, date: new Date(0), nan: NaN, map: new Map([[1, 2]]), bytes: Buffer.from('x'), skip: () => 1 })\n",
        &[(
            "{}",
            Returns(
                r#"{"date":"1970-01-01T00:00:00.000Z","nan":null,"map":{},"bytes":{"type":"Buffer","data":[120]}}"#
            )
        )]
    ),
    case!("an answer of nothing", "exports.handler = async () => {}\n", &[("{}", Returns("null"))]),
    case!(
        "a callback",
        "exports.handler = (event, context, callback) => { setTimeout(() => callback(null, [event]), 5) }\n",
        &[("1", Returns("[1]")), ("2", Returns("[2]"))]
    ),
    case!(
        "a callback waits for the event loop",
        "let late = 0\nexports.handler = (e, c, callback) => { const was = late; setTimeout(() => { late = e }, 50); callback(null, was) }\n",
        &[("1", Returns("0")), ("2", Returns("1"))]
    ),
    case!(
        "a callback that does not wait",
        "let late = 0\nexports.handler = (e, c, callback) => { c.callbackWaitsForEmptyEventLoop = false; const was = late; setTimeout(() => { late = e }, 300); callback(null, was) }\n",
        &[("1", Returns("0")), ("2", Returns("0"))]
    ),
    case!(
        "the answer of a promise does not wait",
        "let late = 0\nexports.handler = async (e) => { const was = late; setTimeout(() => { late = e }, 300); return was }\n",
        &[("1", Returns("0")), ("2", Returns("0"))]
    ),
    case!(
        "nobody calls back",
        "exports.handler = (e, c, callback) => { setTimeout(() => {}, 5) }\n",
        &[("{}", Returns("null")), ("{}", Returns("null"))]
    ),
    case!(
        "a promise that never settles",
        "exports.handler = () => new Promise(() => {})\n",
        &[("{}", Returns("null")), ("{}", Returns("null"))]
    ),
    case!(
        "succeed, fail and done",
        "exports.handler = (e, c) => { if (e === 'fail') c.fail('no'); else if (e === 'nothing') c.fail(); else c[e](...(e === 'done' ? [null, 1] : [2])) }\n",
        &[
            (r#""succeed""#, Returns("2")),
            (r#""done""#, Returns("1")),
            (r#""fail""#, Fails("string", "no", &[])),
            (r#""nothing""#, Fails("string", "handled", &[])),
        ]
    ),
    case!(
        "the first of two answers counts",
        "exports.handler = (e, c, callback) => { c.succeed('first'); callback(new Error('second')); c.done(null, 'third') }\n",
        &[("{}", Returns(r#""first""#)), ("{}", Returns(r#""first""#))]
    ),
    Case {
        name: "any thenable will do",
        files: &[("index.js", "exports.handler = (e) => ({ then: (yes) => setTimeout(yes, 5, e) })\n")],
        calls: &[("7", Returns("7"))],
        differs: Some("it wants a `catch` on what `then` returns"),
        ..Case::NODE
    },
    Case {
        name: "a handler that throws",
        files: &[
            (
                "index.js",
                "const { fail } = require('./inner/deep')\nexports.handler = (event) => {\n  fail(event)\n}\n",
            ),
            (
                "inner/deep.js",
                "class Own extends Error {\n  constructor(m) { super(m); this.name = 'Own'; this.extra = { a: 1 } }\n}\nexports.fail = (event) => {\n  if (event) throw new Own('my ☃ text')\n  null.x\n}\n",
            ),
        ],
        calls: &[
            ("1", Fails("Own", "my ☃ text", &["inner/deep.js:5", "index.js:3"])),
            (
                "0",
                Fails(
                    "TypeError",
                    "Cannot read properties of null (reading 'x')",
                    &["inner/deep.js:6", "index.js:3"],
                ),
            ),
        ],
        log: &[
            "<time>\t<id>\tERROR\tInvoke Error \t{\"errorType\":\"Own\",\"errorMessage\":\"my ☃ text\",\"name\":\"Own\",\"extra\":{\"a\":1},\"stack\":[\"Own: my ☃ text\",\"    at ",
            "<time>\t<id>\tERROR\tInvoke Error \t{\"errorType\":\"TypeError\",",
        ],
        ..Case::NODE
    },
    case!(
        "rejections of every kind",
        "exports.handler = async (e) => { throw e === 'error' ? new RangeError('out') : e === 'like' ? { name: 'N', message: 'm', stack: 'N: m' } : e }\n",
        &[
            (r#""error""#, Fails("RangeError", "out", &["index.js:1"])),
            (r#""like""#, Fails("N", "m", &[])),
            (r#""text""#, Fails("string", "text", &[])),
            ("17", Fails("number", "17", &[])),
            (r#"{"a":1}"#, Fails("object", "[object Object]", &[])),
            ("null", Fails("string", "handled", &[])),
        ]
    ),
    case!(
        "answers that JSON cannot hold",
        "exports.handler = async (e) => { if (e) return 1n; const circle = {}; circle.circle = circle; return circle }\n",
        &[
            ("0", Fails("Error", "Unable to stringify response body", &[])),
            ("1", Fails("Error", "Unable to stringify response body", &[]))
        ]
    ),
    case!(
        "an event that is not JSON",
        ECHO,
        &[("[", Fails("SyntaxError", "Unexpected end of JSON input", &[]))]
    ),
    Case {
        name: "an exception that nobody caught",
        files: &[(
            "index.js",
            "exports.handler = (e, c, callback) => {\n  setTimeout(() => {\n    throw new Error('late')\n  }, 1)\n}\n",
        )],
        calls: &[("{}", Fails("Error", "late", &["index.js:3"]))],
        log: &[
            "<time>\t<id>\tERROR\tUncaught Exception \t{\"errorType\":\"Error\",\"errorMessage\":\"late\",\"stack\":[\"Error: late\",\"    at ",
        ],
        ..Case::NODE
    },
    Case {
        name: "a rejection that nobody handled",
        files: &[(
            "index.js",
            "exports.handler = async () => {\n  Promise.reject(new Error('lost'))\n  await new Promise((r) => setTimeout(r, 1000))\n}\n",
        )],
        calls: &[("{}", Fails("Runtime.UnhandledPromiseRejection", "Error: lost", &[]))],
        log: &[
            "<time>\t<id>\tERROR\tUnhandled Promise Rejection \t{\"errorType\":\"Runtime.UnhandledPromiseRejection\",\"errorMessage\":\"Error: lost\",\"reason\":{\"errorType\":\"Error\",\"errorMessage\":\"lost\",\"stack\":[\"Error: lost\",\"    at ",
            "\"promise\":{},\"stack\":[\"Runtime.UnhandledPromiseRejection: Error: lost\",\"    at ",
        ],
        ..Case::NODE
    },
    case!("exit in the handler", "exports.handler = async () => process.exit(4)\n", &[("{}", Exits(4))]),
    case!("exit while loading", "process.exit(3)\n", &[("{}", Exits(3))]),
    Case {
        name: "no such function",
        files: &[("index.js", ECHO)],
        handler: "index.other",
        calls: &[(
            "{}",
            InitFails("Runtime.HandlerNotFound", "index.other is undefined or not exported", &[]),
        )],
        log: &[
            "<time>\tundefined\tERROR\tUncaught Exception \t{\"errorType\":\"Runtime.HandlerNotFound\",\"errorMessage\":\"index.other is undefined or not exported\",\"stack\":[\"Runtime.HandlerNotFound: index.other is undefined or not exported\",\"    at ",
        ],
        ..Case::NODE
    },
    case!(
        "a handler that is no function",
        "exports.handler = 3\n",
        &[("{}", InitFails("Runtime.HandlerNotFound", "index.handler is not a function", &[]))]
    ),
    Case {
        name: "no dot",
        files: &[("index.js", ECHO)],
        handler: "index",
        calls: &[("{}", InitFails("Runtime.MalformedHandlerName", "Bad handler", &[]))],
        ..Case::NODE
    },
    Case {
        name: "a way out of the task root",
        files: &[("index.js", ECHO)],
        handler: "../index.handler",
        calls: &[(
            "{}",
            InitFails(
                "Runtime.MalformedHandlerName",
                "'../index.handler' is not a valid handler name. Use absolute paths when specifying root directories in handler names.",
                &[],
            ),
        )],
        ..Case::NODE
    },
    case!(
        "broken syntax",
        "exports.handler = (\n",
        &[("{}", InitFails("Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input", &[]))]
    ),
    case!(
        "an error while loading",
        "function f() {\n  throw new RangeError('boom')\n}\nf()\n",
        &[("{}", InitFails("RangeError", "boom", &["index.js:2", "index.js:4"]))]
    ),
    case!(
        "a rejection while loading",
        "Promise.reject(new Error('early'))\nexports.handler = async () => new Promise((r) => setTimeout(r, 1000))\n",
        &[("{}", InitFails("Runtime.UnhandledPromiseRejection", "Error: early", &[]))]
    ),
    Case {
        name: "nested folders and properties",
        files: &[("src/deep/app.js", "exports.a = { b: { c: async (e) => [e] } }\n")],
        handler: "src/deep/app.a.b.c",
        calls: &[("1", Returns("[1]"))],
        ..Case::NODE
    },
    Case {
        name: "a folder with an index",
        files: &[("src/index.js", ECHO)],
        handler: "src.handler",
        calls: &[("1", Returns("1"))],
        ..Case::NODE
    },
    Case {
        name: "a package of node_modules",
        files: &[("node_modules/dep/index.js", ECHO)],
        handler: "dep.handler",
        calls: &[("1", Returns("1"))],
        ..Case::NODE
    },
    Case {
        name: "an ES module by extension",
        files: &[
            (
                "index.mjs",
                "import { y } from './more.mjs'\nconst x = await y\nexport const handler = async (e) => [e, x]\n",
            ),
            ("more.mjs", "export const y = Promise.resolve(2)\n"),
        ],
        calls: &[("1", Returns("[1,2]"))],
        ..Case::NODE
    },
    Case {
        name: "an ES module by package",
        files: &[
            ("package.json", r#"{"type": "module"}"#),
            (
                "src/index.js",
                "export const handler = async (e) => [e, import.meta.url.endsWith('/src/index.js')]\n",
            ),
        ],
        handler: "src/index.handler",
        calls: &[("1", Returns("[1,true]"))],
        ..Case::NODE
    },
    Case {
        name: "CommonJS in a package of ES modules",
        files: &[("package.json", r#"{"type": "module"}"#), ("index.cjs", ECHO)],
        calls: &[("1", Returns("1"))],
        ..Case::NODE
    },
    Case {
        name: "an ES module that throws",
        files: &[("index.mjs", "throw new Error('boom')\n")],
        calls: &[("{}", InitFails("Error", "boom", &["index.mjs:1"]))],
        ..Case::NODE
    },
    Case {
        name: "a broken ES module",
        files: &[("index.mjs", "export const handler = (\n")],
        calls: &[(
            "{}",
            InitFails("Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input", &[]),
        )],
        ..Case::NODE
    },
    Case {
        name: "a missing dependency",
        files: &[("index.js", "require('nowhere')\n")],
        calls: &[(
            "{}",
            InitFails(
                "Runtime.ImportModuleError",
                "Error: Cannot find module 'nowhere'\nRequire stack:\n- <task>/index.js",
                &[],
            ),
        )],
        ..Case::NODE
    },
    Case {
        name: "the context",
        files: &[(
            "index.js",
            "exports.handler = async (e, c) => [c.awsRequestId, c.functionName, c.functionVersion, c.memoryLimitInMB, c.logGroupName, c.logStreamName, \
             c.invokedFunctionArn, c.identity, c.clientContext, c.callbackWaitsForEmptyEventLoop, c.getRemainingTimeInMillis() > 1e9, \
             process.env._X_AMZN_TRACE_ID, Object.keys(c)]\n",
        )],
        calls: &[(
            "{}",
            Returns(
                r#"["00000000-0000-4000-8000-000000000000","hello","$LATEST","128","/aws/lambda/hello","stream","arn:aws:lambda:us-east-1:000000000000:function:hello",null,{"client":{"app_title":"t"},"custom":{"k":"v"}},true,true,"Root=1-2-3",["callbackWaitsForEmptyEventLoop","succeed","fail","done","functionVersion","functionName","memoryLimitInMB","logGroupName","logStreamName","clientContext","identity","invokedFunctionArn","awsRequestId","tenantId","getRemainingTimeInMillis"]]"#,
            ),
        )],
        ..Case::NODE
    },
    Case {
        name: "the console as text",
        files: &[(
            "index.js",
            "console.log('loading')\nexports.handler = async () => {\n  console.log('a %s', 1, { b: [2] })\n  console.debug('two\\nlines')\n  console.trace('t')\n  \
             console.warn(new Error('w').message)\n  console.error()\n  console.fatal('f')\n  process.stdout.write('plain\\n')\n}\n",
        )],
        calls: &[("{}", Returns("null"))],
        log: &[
            "<time>\tundefined\tINFO\tloading\n",
            "<time>\t<id>\tINFO\ta 1 { b: [ 2 ] }\n",
            "<time>\t<id>\tDEBUG\ttwo\nlines\n",
            "<time>\t<id>\tTRACE\tt\n",
            "<time>\t<id>\tWARN\tw\n",
            "<time>\t<id>\tERROR\tundefined\n",
            "<time>\t<id>\tFATAL\tf\n",
            "plain\n",
        ],
        ..Case::NODE
    },
    Case {
        name: "the console as JSON, from a level on",
        files: &[(
            "index.js",
            "exports.handler = async () => {\n  console.debug('hidden')\n  console.log({ a: 1 })\n  console.log('x %d', 2)\n  console.warn('y', new RangeError('z'))\n  \
             console.log({ nested: new TypeError('n') }.nested.message)\n  throw new Error('é')\n}\n",
        )],
        env: &[("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("AWS_LAMBDA_LOG_LEVEL", "info")],
        calls: &[("{}", Fails("Error", "é", &["index.js:7"]))],
        log: &[
            r#"{"timestamp":"<time>","level":"INFO","requestId":"<id>","message":{"a":1}}"#,
            r#"{"timestamp":"<time>","level":"INFO","requestId":"<id>","message":"x 2"}"#,
            r#"{"timestamp":"<time>","level":"WARN","requestId":"<id>","message":"y RangeError: z\n    at "#,
            r#""errorType":"RangeError","errorMessage":"z","stackTrace":["RangeError: z","#,
            r#"{"timestamp":"<time>","level":"INFO","requestId":"<id>","message":"n"}"#,
            r#"{"timestamp":"<time>","level":"ERROR","requestId":"<id>","message":{"errorType":"Error","errorMessage":"é","stackTrace":["Error: é","    at "#,
        ],
        ..Case::NODE
    },
    case!(
        "state stays",
        "let n = 0\nexports.handler = async () => ++n\n",
        &[("{}", Returns("1")), ("{}", Returns("2"))]
    ),
    case!(
        "children do not hold the channel",
        "const { execFileSync } = require('child_process')\nexports.handler = async () => execFileSync('/bin/sh', ['-c', 'echo x >&3 2>/dev/null || echo closed']).toString()\n",
        &[("{}", Returns(r#""closed\n""#)), ("{}", Returns(r#""closed\n""#))]
    ),
    Case {
        name: "an answer of more than 6 MiB",
        files: &[("index.js", "exports.handler = async (e) => 'x'.repeat(6 * 1024 * 1024 + e)\n")],
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
        differs: Some("the tests' stand-in for its native part does not read the refusal"),
        ..Case::NODE
    },
    Case {
        name: "a large event",
        files: &[("index.js", "exports.handler = async (e) => [e.length, e.at(-1)]\n")],
        calls: &[
            ("letters 6291457", Returns(r#"[6291457,"x"]"#)),
            ("letters 70000", Returns(r#"[70000,"x"]"#)),
        ],
        ..Case::NODE
    },
    Case {
        name: "a handler that streams",
        files: &[("index.js", "exports.handler = awslambda.streamifyResponse(async () => {})\n")],
        calls: &[(
            "{}",
            InitFails(
                "Runtime.InvalidStreamingOperation",
                "Response streaming is not served by this platform yet.",
                &["index.js:1"],
            ),
        )],
        differs: Some("we leave streaming out for now"),
        ..Case::NODE
    },
];
