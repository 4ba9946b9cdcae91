// A process that is forked into instances: what is loaded before, and what each copy does to be one of its own.
//
// V8 and libuv allow it where nothing of them runs beside the main thread (`--single-threaded --v8-pool-size=0`) and
// V8's pages may be inherited, which the template's filter sees to. The process that the platform has started loads
// everything, then forks once: the copy has one thread, and is what is forked from then on. Before it says that it is
// ready, one more copy does what functions do. Where that fails, this Node is not forked, and the reason is told.
'use strict'

const fs = require('node:fs')
const vm = require('node:vm')
const v8 = require('node:v8')
const path = require('node:path')
const url = require('node:url')
const crypto = require('node:crypto')

const CHANNEL_FD = 3
const REASON_BYTES = 1000
const PROBE_MS = 20000
const STEP_MS = 10000
const QUIET_TURNS = 100
const QUIET_TURN_MS = 20
const REHEARSALS = 20
const STARTS = 3 // V8 compiles a function when it is called first, and begins to note what it is called with soon after
// In the shapes that the platform's own have: V8 knows an object by its members and their order.
const REHEARSAL = frame(1, '{"id":"rehearsal","deadline_ms":0,"arn":"arn","trace":"Root=1-0-0"}', JSON.stringify({
  version: '2.0', routeKey: '$default', rawPath: '/', rawQueryString: '',
  headers: { 'x-forwarded-proto': 'http', 'x-forwarded-for': '::1', 'x-forwarded-port': '80', 'x-amzn-trace-id': 'Root=1-0-0', host: 'h' },
  requestContext: { accountId: 'anonymous', apiId: 'a', domainName: 'd', domainPrefix: 'd', http: { method: 'GET', path: '/',
    protocol: 'HTTP/1.1', sourceIp: '::1', userAgent: '' }, requestId: 'r', routeKey: '$default', stage: '$default',
  time: '01/Jan/1970:00:00:00 +0000', timeEpoch: 1 },
  isBase64Encoded: false,
}))
const NAMES = ['AWS_LAMBDA_FUNCTION_NAME', 'AWS_LAMBDA_FUNCTION_VERSION', 'AWS_LAMBDA_FUNCTION_MEMORY_SIZE',
  'AWS_LAMBDA_LOG_GROUP_NAME', 'AWS_LAMBDA_LOG_STREAM_NAME', 'AWS_LAMBDA_LOG_FORMAT', 'AWS_LAMBDA_INITIALIZATION_TYPE',
  'AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN',
  'AWS_XRAY_CONTEXT_MISSING', 'AWS_XRAY_DAEMON_ADDRESS', '_HANDLER', 'LAMBDA_TASK_ROOT', 'LAMBDA_RUNTIME_DIR', 'TZ', 'LANG',
  'PATH', 'LD_LIBRARY_PATH', 'AWS_ENDPOINT_URL', 'HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'NO_PROXY',
  'no_proxy', 'NODE_USE_ENV_PROXY', 'AWS_EXECUTION_ENV', 'NODE_PATH']
const KEPT = ['LAMBDA_RUNTIME_DIR', 'TZ', 'LANG', 'PATH', 'LD_LIBRARY_PATH', 'NODE_PATH'] // of those that Node looks at itself
const UUIDS_AHEAD = 128 // as many as Node draws at once
// Shares of the memory setting, as `runtimes/src/plan` gives them to processes of their own.
const HEAP_SHARE = 0.9
const LARGEST_MB = 10240 // as the template was started with

// What most functions and their libraries need sooner or later. Loaded once, it costs an instance no time and, until it
// is written to, no memory.
const COMMON = ['assert', 'async_hooks', 'buffer', 'child_process', 'crypto', 'diagnostics_channel', 'dns', 'events', 'fs/promises',
  'http', 'http2', 'https', 'module', 'net', 'os', 'perf_hooks', 'process', 'querystring', 'readline', 'stream',
  'stream/promises', 'stream/web', 'string_decoder', 'timers', 'timers/promises', 'tls', 'tty', 'url', 'util', 'util/types',
  'worker_threads', 'zlib']

let entry
let sink
let freshRandom // `Math.random` of a context where nobody has drawn yet
let random = Math.random
let workers = 0
let threadsBefore
let bornAt
let drawnAhead = 0 // UUIDs that Node may have drawn before the fork

// What `runtimes/src/channel/frame.rs` writes: with an event, the header's length stands before it.
function frame(kind, header, event) {
  const head = Buffer.alloc(event === undefined ? 5 : 9)
  head.writeUInt32LE(head.length - 5 + header.length + (event?.length ?? 0), 0)
  head[4] = kind
  if (event !== undefined) head.writeUInt32LE(header.length, 5)
  return Buffer.concat([head, Buffer.from(header), Buffer.from(event ?? '')])
}

function refuse(why) {
  fs.writeSync(CHANNEL_FD, Buffer.from(why, 'utf8').subarray(0, REASON_BYTES))
  if (entry) entry.exit(1)
  process.reallyExit(1)
}

// `undefined` where nothing of `/proc` is seen.
function threads() {
  try {
    return fs.readdirSync('/proc/self/task').length
  } catch {
    return undefined
  }
}

// Before any of the function's code.
async function prepare(mode) {
  try {
    entry = require(path.join(__dirname, 'dayfly.node'))
  } catch (error) {
    refuse(`this Node cannot be forked: ${error.message}`)
  }
  entry.alone() // the versions that cannot be told do not need it
  sink = fs.openSync('/dev/null', 'w')
  if (mode === 'template') return loadCommon()
  freshRandom = vm.runInNewContext('Math.random')
  Math.random = Object.defineProperty(() => random(), 'name', { value: 'random', configurable: true })
  drawAnew(crypto)
  drawAnew(Object.getPrototypeOf(crypto.webcrypto))
  require('node:module').syncBuiltinESMExports()
  await fs.promises.stat('/') // libuv has its threads now: those do not count
  threadsBefore = threads()
  require('node:diagnostics_channel').subscribe('worker_threads', ({ worker }) => {
    workers += 1
    worker.once('exit', () => { workers -= 1 })
  })
}

// Node draws UUIDs ahead. Who asks for one in a copy first throws away those of its template.
function drawAnew(owner) {
  const draw = owner.randomUUID
  owner.randomUUID = function randomUUID(options) {
    for (; drawnAhead > 0; drawnAhead -= 1) Reflect.apply(draw, this, [])
    return Reflect.apply(draw, this, [options])
  }
}

function loadCommon() {
  for (const name of COMMON) require(`node:${name}`)
  require('node:tls').createSecureContext() // reads the root certificates
  void globalThis.Response
  void globalThis.crypto?.subtle
  new TextDecoder().decode(new TextEncoder().encode(new URL('http://localhost/').href))
  new Date(0).toLocaleString()
}

// Waits until nothing is on its way that a copy would never see arrive.
async function becomeQuiet(mode) {
  const shared = ['Timeout', 'Immediate', 'TTYWrap', 'PipeWrap', 'FSEventWrap', 'StatWatcher', 'SignalWrap']
  for (let turn = 0; ; turn += 1) {
    const started = workers || threads() - threadsBefore
    if (mode === 'function' && started > 0) return refuse(`its code has started ${started} threads`)
    const busy = process.getActiveResourcesInfo().find((kind) => !shared.includes(kind))
    if (busy === undefined) return
    if (turn === QUIET_TURNS) return refuse(`its code keeps a ${busy} open`)
    await new Promise((resolve) => setTimeout(resolve, QUIET_TURN_MS))
  }
}

function collectGarbage() {
  v8.setFlagsFromString('--expose-gc')
  vm.runInNewContext('gc')()
  v8.setFlagsFromString('--no-expose-gc')
}

// What is left of a collection, sweeping, would be done page by page in every copy, and the C library would give each
// what is free here and there. So nothing is left to sweep, which looking for objects needs too, and little is free.
// V8 forgets the code of functions that were not called between a few collections; here none are.
function tidyUp() {
  v8.setFlagsFromString('--no-flush-bytecode')
  collectGarbage()
  const { emitWarning } = process
  process.emitWarning = () => {} // that this is experimental
  v8.queryObjects?.(class {}, { format: 'count' })
  process.emitWarning = emitWarning
  v8.setFlagsFromString('--flush-bytecode')
  entry.fill()
}

// What an instance may be told, as a frame of kind Load.
function told(more) {
  const value = (name) => (KEPT.includes(name) ? process.env[name] : undefined) ?? 'x'.repeat(40)
  const env = Object.fromEntries(NAMES.map((name) => [name, value(name)]))
  return frame(2, JSON.stringify({ env: { ...env, ...more } }))
}

// Does something that changes the environment, and sets it back.
async function elsewhere(act) {
  const before = NAMES.map((name) => [name, process.env[name]])
  const folder = process.cwd()
  await act()
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name]
    else if (process.env[name] !== value) process.env[name] = value
  }
  process.chdir(folder)
}

// Goes through what makes a copy an instance: of any function with a stranger's code, of one function without.
async function rehearseStart(mode, { rehearseLoad, rehearseCode }) {
  const generic = mode === 'template'
  await elsewhere(async () => {
    rehearseLoad(told(generic ? { LAMBDA_TASK_ROOT: __dirname, _HANDLER: 'rehearsal.handler' } : { LAMBDA_TASK_ROOT: '/' }))
    if (!generic) return
    boundHeap(LARGEST_MB)
    await rehearseCode()
    delete require.cache[path.join(__dirname, 'rehearsal.js')]
  })
}

// Returns in the copies only.
async function fork(mode, acts) {
  const { rehearse } = acts
  for (let time = 0; time < STARTS; time += 1) {
    adopt(mode, process.pid, vm.runInNewContext('Math.random'))
    await rehearseStart(mode, acts)
    // What is imported is never forgotten: each time under another name.
    if (mode === 'template') await import(`${url.pathToFileURL(path.join(__dirname, 'rehearsal.mjs'))}?${time}`)
  }
  for (let time = 0; time < REHEARSALS; time += 1) await rehearse(REHEARSAL, sink)
  process.emit('beforeSnapshot')
  await becomeQuiet(mode)
  liveAlone()
  tidyUp()
  const seeded = entry.seed()
  if (seeded < 0) refuse(`it cannot be forked: error ${-seeded}`)
  if (mode === 'template') entry.enlarge() // one for all functions can have the memory that it takes
  const status = entry.probe(PROBE_MS)
  if (status === -1) return probe(mode)
  if (status !== 0) refuse(`copies of this Node do not work: ${STEPS[status - 1]?.[0] ?? describe(status)}`)
  // Copies inherit what this one, which is a copy itself, has needed of the program since.
  adopt(mode, process.pid, vm.runInNewContext('Math.random'))
  await rehearseStart(mode, acts)
  await rehearse(REHEARSAL, sink)
  entry.inherit()
  fs.writeSync(CHANNEL_FD, 'ready')
  const pid = entry.serve(CHANNEL_FD)
  if (pid < 0) entry.exit(1)
  adopt(mode, pid)
  if (!entry.pending(CHANNEL_FD)) { // nobody waits yet: memory is made its own now, not during a call
    await rehearseStart(mode, acts)
    await rehearse(REHEARSAL, sink)
  }
  fs.closeSync(sink)
}

// What must differ between copies.
function adopt(mode, pid, fresh) {
  Object.defineProperty(process, 'pid', { value: pid, writable: false, enumerable: true, configurable: true })
  bornAt = process.hrtime.bigint()
  reseed(mode, fresh)
}

// What a copy of one thread does in another way.
function liveAlone() {
  bornAt = process.hrtime.bigint()
  process.uptime = () => Number(process.hrtime.bigint() - bornAt) / 1e9
  process.uptime()
  process.execArgv = process.execArgv.filter((flag) => flag.startsWith('--max-'))
  // The usual end waits for threads that only the original has.
  process.reallyExit = (status) => entry.exit(status ?? 0)
  const { emit } = process
  process.emit = function (name, ...values) {
    const heard = Reflect.apply(emit, this, [name, ...values])
    if (name === 'exit') entry.exit(Number(process.exitCode ?? values[0]) & 0xff)
    return heard
  }
}

// OpenSSL sees for itself that its process is another one. `fresh`: as `freshRandom`; the template's own stays as it is.
function reseed(mode, fresh = mode === 'function' ? freshRandom : random) {
  v8.setFlagsFromString(`--random-seed=${entry.draw()}`)
  if (mode === 'function') random = fresh
  fresh()
  v8.setFlagsFromString('--random-seed=0') // which other threads would begin with as well
  drawnAhead = UUIDS_AHEAD
}

function boundHeap(memory) {
  const mebibytes = Math.floor(Number(memory) * HEAP_SHARE)
  if (!(mebibytes > 0)) return
  entry.bound(mebibytes)
  process.execArgv = [`--max-old-space-size=${mebibytes}`]
}

// ---- what a copy must be able to do

const STEPS = [
  ['timers', () => new Promise((resolve) => setTimeout(resolve, 1))],
  ['files', () => fs.promises.stat('/')],
  ['the collection of garbage', () => {
    let kept
    for (let i = 0; i < 200000; i += 1) kept = { kept: i % 1000 ? kept : undefined, text: `${i}` }
    collectGarbage()
    return kept
  }],
  ['optimised code', () => {
    const sum = (numbers) => numbers.reduce((total, number) => total + number, 0)
    for (let i = 0; i < 20000; i += 1) if (sum([i, 1, 2]) !== i + 3) throw new Error('wrong')
  }],
  ['cryptography', () => require('node:util').promisify(require('node:crypto').pbkdf2)('a', 'b', 100, 16, 'sha256')],
  ['WebAssembly', () => WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))],
  ['names', () => new Promise((resolve) => require('node:dns').lookup('localhost', () => resolve()))],
  ['worker threads', () => new Promise((resolve, reject) => {
    const { Worker } = require('node:worker_threads')
    const worker = new Worker("require('node:worker_threads').parentPort.postMessage(1)", { eval: true })
    worker.on('error', reject).on('exit', resolve)
  })],
  ['the bound of its memory', () => {
    const limit = () => v8.getHeapStatistics().heap_size_limit
    const before = limit()
    if (entry.bound(64) !== 1 || limit() >= before) throw new Error('not lowered')
  }],
]

const describe = (status) =>
  status === 256 ? `one took more than ${PROBE_MS / 1000} seconds` : `one ended with status ${status}`

// In a copy of its own; ends it. The status names the step that fails.
async function probe(mode) {
  adopt(mode, process.pid)
  for (const [index, [, act]] of STEPS.entries()) {
    const late = setTimeout(() => entry.exit(index + 1), STEP_MS)
    try {
      await act()
    } catch {
      entry.exit(index + 1)
    }
    clearTimeout(late)
  }
  entry.exit(0)
}

module.exports = { prepare, fork, refuse, boundHeap }
