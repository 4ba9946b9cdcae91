//! What copies have of their own, what they may use, and which templates are refused.

use crate::nest::{Instance, Nest};
use runtimes::Event;
use sandbox::Exit;
use serde_json::{Value, json};

pub async fn all(nest: &Nest<'_>) {
    copies_differ(nest).await;
    the_rest_works(nest).await;
    memory_is_bounded(nest).await;
    what_cannot_be_shared(nest).await;
    waiting_processes(nest).await;
}

/// What must never be the same twice, and what must follow the environment that a copy is told.
const SELF: &str = "
const crypto = require('crypto')
const { random } = Math, uuid = crypto.randomUUID
const early = [Math.random(), crypto.randomUUID(), crypto.randomBytes(8).toString('hex'), crypto.generateKeyPairSync('ed25519')]
exports.handler = async (event, context) => ({
  different: [Math.random(), random(), crypto.randomUUID(), crypto.randomBytes(8).toString('hex'),
    crypto.generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x,
    crypto.webcrypto.getRandomValues(new Uint32Array(4)).join(), crypto.webcrypto.randomUUID(), uuid(), require('fs').readlinkSync('/proc/self/ns/pid')],
  own: [context.logStreamName, process.env.AWS_ACCESS_KEY_ID, process.env.AWS_LAMBDA_LOG_STREAM_NAME],
  same: [process.pid, require('fs').readlinkSync('/proc/self'), process.cwd(), process.argv.length, process.uptime() < 60,
    require('child_process').execFileSync('/bin/sh', ['-c', 'echo $AWS_LAMBDA_LOG_STREAM_NAME']).toString().trim() === context.logStreamName],
})
";

async fn copies_differ(nest: &Nest<'_>) {
    let package = nest.package("self", SELF);
    let any = nest.template().await.expect("this Node can be forked");
    let one = nest.function(&package, 256).await.expect("this function can be forked");
    let (mut answers, mut alive): (Vec<Value>, Vec<Instance>) = Default::default();
    for (template, name) in [(&any, "a"), (&any, "b"), (&one, "c"), (&one, "d"), (&one, "e")] {
        let mut copy = nest.fork(template, &package, 256, name).await;
        copy.expect_ready().await;
        let answer = copy.answer("{}").await;
        assert_eq!(answer["own"], json!([name, format!("key of {name}"), name]));
        assert_eq!(answer["same"], json!([2, "2", "/var/task", 2, true, true]));
        answers.push(answer["different"].clone());
        alive.push(copy);
    }
    for copy in alive {
        copy.sandbox.kill().await;
    }
    for index in 0..answers[0].as_array().unwrap().len() {
        let mut values: Vec<String> = answers.iter().map(|answer| answer[index].to_string()).collect();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), answers.len(), "value {index} is the same twice: {answers:#?}");
    }
    println!("copies differ where they must");
}

/// Everything that uses threads, processes, timers and memory; and that a loop without work is noticed after it.
const WORK: &str = "
const { Worker } = require('worker_threads'), fs = require('fs/promises'), util = require('util')
const once = (make) => new Promise(make)
const acts = {
  files: async () => (await fs.readFile(__filename)).length > 0,
  threads: () => once((yes, no) => new Worker('require(\"worker_threads\").parentPort.postMessage(Math.random())', { eval: true }).on('message', (x) => yes(x > 0)).on('error', no)),
  exits: () => once((yes) => new Worker('process.exit(3)', { eval: true }).on('exit', (code) => yes(code === 3))),
  digest: async () => (await util.promisify(require('crypto').scrypt)('a', 'b', 16)).length === 16,
  zip: async () => (await util.promisify(require('zlib').gzip)(Buffer.alloc(1e6))).length > 0,
  timers: async () => { const at = Date.now(); await new Promise((yes) => setTimeout(yes, 30)); return Date.now() - at >= 29 },
  wasm: async () => WebAssembly.validate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])) && !!(await WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))),
  garbage: async () => { let kept; for (let i = 0; i < 3e6; i += 1) kept = { kept: i % 1e4 ? kept : undefined, i }; return true },
  serves: () => once((yes, no) => { const s = require('http').createServer((_, r) => r.end('hi')).listen(0, '127.0.0.1', () =>
    fetch(`http://127.0.0.1:${s.address().port}`).then((r) => r.text()).then((t) => { s.close(); s.closeAllConnections(); yes(t === 'hi') }, no)) }),
  child: async () => (await util.promisify(require('child_process').execFile)('/bin/echo', ['x'])).stdout === 'x\\n',
  signals: () => once((yes) => {
    const late = setTimeout(yes, 9000, 'no signal')
    process.once('SIGUSR2', () => { clearTimeout(late); yes(true) })
    process.kill(process.pid, 'SIGUSR2')
  }),
  imports: async () => (await import('node:os')).EOL === '\\n',
}
exports.handler = (name, context, callback) => {
  if (acts[name]) acts[name]().then((is) => callback(null, is), callback)
  // and whatever else: an answer when nothing is left to wait for
}
";

async fn the_rest_works(nest: &Nest<'_>) {
    let package = nest.package("work", WORK);
    let acts = [
        "files", "threads", "exits", "digest", "zip", "timers", "wasm", "garbage", "serves", "child",
        "signals", "imports", "exits",
    ];
    for function in [false, true] {
        let template = if function { nest.function(&package, 512).await } else { nest.template().await }
            .expect("a template");
        let mut copy = nest.fork(&template, &package, 512, "work").await;
        copy.expect_ready().await;
        for act in acts {
            assert_eq!(copy.answer(&format!("{act:?}")).await, json!(true), "{act}");
            assert_eq!(copy.answer("\"nothing\"").await, json!(null), "after {act}");
        }
        copy.sandbox.kill().await;
    }
    println!("threads, processes, timers and memory work");
}

const EATER: &str = "
const v8 = require('v8')
const kept = []
exports.handler = async ({ keep, drop }) => {
  for (let i = 0; i < keep; i += 1) kept.push(new Array(131072).fill(i))
  for (let i = 0; i < drop; i += 1) if (new Array(131072).fill(i).length !== 131072) return 'wrong'
  return Math.round(v8.getHeapStatistics().heap_size_limit / 1048576)
}
";

/// An array of the function above has 1 MiB.
async fn memory_is_bounded(nest: &Nest<'_>) {
    let package = nest.package("eater", EATER);
    let template = nest.template().await.expect("a template");
    for (memory_mb, keeps, too_many) in [(128, 50, 400), (1024, 700, 2500)] {
        let function = nest.function(&package, memory_mb).await.expect("a template");
        for how in ["spawned", "template", "function"] {
            let mut instance = match how {
                "spawned" => nest.spawn(&package, memory_mb).await,
                "template" => nest.fork(&template, &package, memory_mb, "eater").await,
                _ => nest.fork(&function, &package, memory_mb, "eater").await,
            };
            instance.expect_ready().await;
            let text = format!("{memory_mb} MB, {how}");
            let limit = instance.answer(&format!(r#"{{"keep": {keeps}, "drop": 2000}}"#)).await;
            let limit = limit.as_u64().expect(&text);
            let share = memory_mb * 90 / 100;
            assert!((share..share + 200).contains(&limit), "{text}: V8's bound is {limit} MiB");
            let last = instance.ask(&format!(r#"{{"keep": {too_many}, "drop": 0}}"#)).await;
            assert!(matches!(last, Event::Closed), "{text}: {last:?}");
            let exit = instance.sandbox.exited().await;
            println!(
                "{text}: V8's bound {limit} MiB; eating more ends with {exit:?}, {}",
                instance.sandbox.oom_killed()
            );
            assert!(matches!(exit, Exit::Signal(_) | Exit::Code(134)), "{text}: {exit:?}");
        }
    }
}

async fn what_cannot_be_shared(nest: &Nest<'_>) {
    let cases = [
        ("require('net').createServer().listen(0); exports.handler = () => 1", "keeps a TCP"),
        (
            "const s = require('net').createServer().listen(0); s.unref(); exports.handler = () => 1",
            "1 connections",
        ),
        (
            "new (require('worker_threads').Worker)('setInterval(() => {}, 1e3)', { eval: true }).unref(); exports.handler = () => 1",
            "started 1 threads",
        ),
        ("throw new TypeError('not today')", "could not be loaded: TypeError: not today"),
        ("exports.other = () => 1", "could not be loaded: Runtime.HandlerNotFound"),
        (
            "require('child_process').spawn('/bin/sleep', ['600']).unref(); exports.handler = () => 1",
            "its code",
        ),
    ];
    for (index, (text, expected)) in cases.into_iter().enumerate() {
        let package = nest.package(&format!("refused-{index}"), text);
        let why = nest.function(&package, 256).await.map(|_| ()).unwrap_err();
        assert!(why.contains(expected), "{text}: {why}");
    }
    println!("what cannot be shared is refused");
}

/// Where a Node cannot be forked.
async fn waiting_processes(nest: &Nest<'_>) {
    let package = nest.package("self", SELF);
    let mut instance = nest.waiting(&package, 256).await;
    instance.load(&nest.env(256, "waiting"));
    instance.expect_ready().await;
    let answer = instance.answer("{}").await;
    assert_eq!(answer["own"], json!(["waiting", "key of waiting", "waiting"]));
    assert_eq!(answer["same"], json!([2, "2", "/var/task", 2, true, true]));
    instance.sandbox.kill().await;
    println!("a process that waits is told its environment");
}
