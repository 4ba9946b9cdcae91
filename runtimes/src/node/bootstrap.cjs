// Loads one Node.js handler and serves calls over the framed socket on descriptor 3.
//
// The socket is read in blocking mode: an instance without work uses no processor, and everything that a handler left
// behind stands still until the next call. Where the function asks for several calls at once (AWS_LAMBDA_MAX_CONCURRENCY)
// the event loop reads it, and calls are told apart by what they wait for. Frames are [u32 LE length][u8 kind][payload];
// `runtimes/src/channel/frame.rs` is the other end. What a handler sees follows AWS's client for Node.js (`aws-lambda-ric` 3), the reference in the tests.
//
// The first argument says how the process begins:
// * none: it serves the handler that the environment names;
// * `wait`: it says that it waits and is told its environment first, by a frame of kind Load;
// * `template`: it is forked, and each copy waits as above (`template.cjs`);
// * `function`: it loads the handler, then is forked; each copy is told what of its environment differs, and serves.
'use strict'

const fs = require('node:fs')
const { format } = require('node:util')
const { runtimeError, describe, errorFields, asError, inText, inJson } = require('./errors.cjs')
const { loadHandler } = require('./handler.cjs')
const { watch, unseen } = require('./imports.cjs')

const KIND = { INVOKE: 1, LOAD: 2, READY: 16, INIT_ERROR: 17, RESPONSE: 18, ERROR: 19, LOG: 20, LAST_ERROR: 21, WAITS: 22 }
const CHANNEL_FD = 3
const OUTPUT_FD = 1
const READ_BYTES = 65536
const LOG_BYTES = 256 * 1024
const PAYLOAD_BYTES = 6 * 1024 * 1024 + 100
const EXIT = { REJECTION: 128, EXCEPTION: 129 }
const [MODE] = process.argv.splice(2)
const FORKED = MODE === 'template' || MODE === 'function'

// ---- the channel

const EMPTY = Buffer.alloc(0)
const chunk = Buffer.alloc(READ_BYTES)
const outgoing = Buffer.alloc(READ_BYTES)
let input = EMPTY
let stream // the channel, where several calls are served at once
let channel = FORKED ? undefined : CHANNEL_FD
let sink // where answers go that nobody waits for
let imports = EMPTY // what took long to load, if it was loaded here

// Ends the process quietly when the platform has hung up.
function unlessHungUp(action) {
  try {
    return action()
  } catch (error) {
    if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') throw error
    process.exit(0)
  }
}

function readInto(buffer, offset) {
  const got = unlessHungUp(() => fs.readSync(channel, buffer, offset, buffer.length - offset, null))
  if (got === 0) process.exit(0)
  return got
}

function nextFrame() {
  while (input.length < 5) {
    const read = chunk.subarray(0, readInto(chunk, 0))
    input = input.length === 0 ? read : Buffer.concat([input, read])
  }
  const end = 5 + input.readUInt32LE(0)
  let frame = input
  if (frame.length < end) {
    frame = Buffer.allocUnsafe(end)
    for (let have = input.copy(frame); have < end;) have += readInto(frame, have)
  }
  input = frame.length === end ? EMPTY : Buffer.from(frame.subarray(end))
  return frame.subarray(4, end)
}

function nextCall() {
  const frame = nextFrame()
  if (frame[0] !== KIND.INVOKE) throw new Error(`unknown frame kind ${frame[0]}`)
  const split = 5 + frame.readUInt32LE(1)
  return { header: JSON.parse(frame.toString('utf8', 5, split)), event: frame.toString('utf8', split) }
}

function send(kind, ...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const head = Buffer.allocUnsafe(5)
  head.writeUInt32LE(length, 0)
  head[4] = kind
  const whole = [head, ...parts]
  if (stream) {
    stream.write(Buffer.concat(whole))
    return
  }
  unlessHungUp(() => {
    let done = fs.writevSync(sink ?? channel, whole)
    if (done === length + 5) return
    const rest = Buffer.concat(whole)
    while (done < rest.length) done += fs.writeSync(sink ?? channel, rest, done)
  })
}

function log(date, text) {
  if (channel === undefined) return void fs.writeSync(OUTPUT_FD, `${text}\n`) // nobody calls a template
  const stamp = Buffer.allocUnsafe(8)
  stamp.writeBigUInt64LE(BigInt(date.valueOf()) * 1000n)
  send(KIND.LOG, stamp, Buffer.from(text, 'utf8').subarray(0, LOG_BYTES))
}

function answer(kind, id, text) {
  if (stream || 3 * (id.length + text.length) + 6 > outgoing.length) {
    const name = Buffer.from(id)
    send(kind, Buffer.from([name.length]), name, Buffer.from(text, 'utf8'))
    return
  }
  // A usual answer is written without a buffer of its own.
  const nameEnd = 6 + outgoing.write(id, 6)
  const end = nameEnd + outgoing.write(text, nameEnd)
  outgoing.writeUInt32LE(end - 5, 0)
  outgoing[4] = kind
  outgoing[5] = nameEnd - 6
  unlessHungUp(() => {
    for (let done = 0; done < end;) done += fs.writeSync(sink ?? channel, outgoing, done, end - done)
  })
}

// ---- the console

function logError(title, value) {
  const error = asError(value)
  if (jsonLogs) return console.error(error)
  let text
  try {
    text = JSON.stringify(error, inText)
  } catch {
    text = JSON.stringify(describe(error))
  }
  console.error(title, `\t${text}`)
}

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL']
let jsonLogs
let lowestLevel
let requestId
let tenantId
let whose = () => requestId

function textLine(date, level, params) {
  return `${date.toISOString()}\t${whose()}\t${level}\t${format(...params)}`
}

function jsonLine(date, level, params) {
  const line = { timestamp: date.toISOString(), level, requestId: whose(), tenantId: tenantId ?? undefined }
  if (params.length === 1) {
    try {
      return JSON.stringify({ ...line, message: params[0] }, inJson)
    } catch {
      return JSON.stringify({ ...line, message: format(params[0]) })
    }
  }
  const error = params.find((param) => param instanceof Error)
  return JSON.stringify({ ...line, message: format(...params), ...(error && errorFields(error)) })
}

function patchConsole() {
  LEVELS.forEach((level, rank) => {
    console[level.toLowerCase()] = (...params) => {
      if (rank < lowestLevel && level !== 'FATAL') return
      const date = new Date()
      const line = jsonLogs ? jsonLine : textLine
      log(date, line(date, level, params.length ? params : [undefined]))
    }
  })
  console.log = console.info
}

// ---- serving

let handler
let atEmptyLoop = () => {} // runs when nothing is left to wait for
let reportLast // an error after which the process ends
let whenAnswered = serveOne
let same // what every context says. Looked up once: each look at `process.env` is a call into the C library.

const reportInit = (error, code) => {
  send(KIND.INIT_ERROR, Buffer.from(JSON.stringify(describe(error))))
  process.exit(code)
}

// Takes on what the environment says of the function and the instance.
function adoptEnvironment() {
  const { env } = process
  jsonLogs = env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON'
  lowestLevel = Math.max(0, LEVELS.indexOf(env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()))
  same = {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
  }
}

let scheduleNext = () => setImmediate(whenAnswered)

// One call: its context, its callback, and the promise that it is answered at most once.
class Invocation {
  constructor(header) {
    this.header = header
    this.answered = false
    this.finished = false
    this.waits = true
  }

  respond(result) {
    if (this.answered) {
      console.error('Invocation has already been reported as done. Cannot call complete more than once per invocation.')
      return
    }
    let text
    try {
      text = JSON.stringify(result === undefined ? null : result)
    } catch {}
    if (text === undefined) throw new Error('Unable to stringify response body')
    this.answered = true
    if (Buffer.byteLength(text) > PAYLOAD_BYTES) {
      const problem = `Response payload size exceeded maximum allowed payload size (${PAYLOAD_BYTES} bytes).`
      answer(KIND.ERROR, this.header.id, JSON.stringify({ errorType: 'Function.ResponseSizeTooLarge', errorMessage: problem }))
    } else {
      answer(KIND.RESPONSE, this.header.id, text)
    }
    scheduleNext()
  }

  fail(error) {
    logError('Invoke Error', error)
    if (this.answered) return
    this.answered = true
    answer(KIND.ERROR, this.header.id, JSON.stringify(describe(error)))
    scheduleNext()
  }

  failForGood(error, code) {
    if (!this.answered) {
      this.answered = true
      answer(KIND.LAST_ERROR, this.header.id, JSON.stringify(describe(error)))
    }
    process.exit(code)
  }

  // Of callback, succeed, fail and done, the first that is called counts.
  once(action) {
    return (...args) => {
      if (this.finished) return
      action(...args)
      this.finished = true
    }
  }

  callback(error, result) {
    if (!this.answered) atEmptyLoop = () => {}
    if (error !== undefined && error !== null) this.fail(error)
    else if (!this.waits || this.answered || stream) this.respond(result)
    else atEmptyLoop = () => setImmediate(() => this.respond(result))
  }

  done(error, result) {
    if (!this.answered) atEmptyLoop = () => {}
    if (error !== undefined && error !== null) this.fail(error)
    else this.respond(result)
  }

  context() {
    const { header } = this
    const invocation = this
    const parse = (text, name) => {
      try {
        return text === undefined || text === null ? undefined : JSON.parse(text)
      } catch (error) {
        throw new Error(`Cannot parse ${name} as json: ${error}`)
      }
    }
    return {
      get callbackWaitsForEmptyEventLoop() { return invocation.waits },
      set callbackWaitsForEmptyEventLoop(value) { invocation.waits = value },
      succeed: this.succeed,
      fail: this.failed,
      done: this.once((error, result) => this.done(error, result)),
      ...same,
      clientContext: parse(header.client_context, 'ClientContext'),
      identity: parse(header.cognito_identity, 'CognitoIdentity'),
      invokedFunctionArn: header.arn,
      awsRequestId: header.id,
      tenantId: header.tenant_id ?? undefined,
      getRemainingTimeInMillis: () => header.deadline_ms - Date.now(),
    }
  }

  run(event) {
    this.succeed = this.once((result) => this.done(null, result))
    this.failed = this.once((error) => this.done(error ?? 'handled', null))
    const callback = this.once((error, result) => this.callback(error, result))
    atEmptyLoop = () => {
      this.answered || this.respond(null)
    }
    reportLast = (error, code) => this.failForGood(error, code)
    try {
      const result = handler(JSON.parse(event), this.context(), callback)
      if (typeof result?.then === 'function') result.then(this.succeed, this.failed)?.catch?.(this.failed)
    } catch (error) {
      callback(error)
    }
  }
}

function serveOne() {
  const { header, event } = nextCall()
  requestId = header.id
  tenantId = header.tenant_id
  if (header.trace) process.env._X_AMZN_TRACE_ID = header.trace
  else delete process.env._X_AMZN_TRACE_ID
  new Invocation(header).run(event)
}

// Several calls at once. A rejection or an exception that nobody catches ends the process, as always, but only after
// the other calls have ended, if it can be told whose it was.
function serveTogether() {
  const { AsyncLocalStorage } = require('node:async_hooks')
  const { Socket } = require('node:net')
  const calls = new AsyncLocalStorage()
  const running = new Set()
  let lastCode
  const settle = () => {
    for (const call of running) call.answered && running.delete(call)
    if (lastCode !== undefined && running.size === 0) stream.end(() => process.exit(lastCode))
  }
  const failLast = (call, error) => {
    if (!call.answered) answer(KIND.LAST_ERROR, call.header.id, JSON.stringify(describe(error)))
    call.answered = true
  }
  stream = new Socket({ fd: channel, readable: true, writable: true })
  whose = () => calls.getStore()?.header.id
  scheduleNext = settle
  const begin = (frame) => {
    const split = 9 + frame.readUInt32LE(5)
    const call = new Invocation(JSON.parse(frame.toString('utf8', 9, split)))
    running.add(call)
    calls.run(call, () => call.run(frame.toString('utf8', split)))
    atEmptyLoop = () => {}
    reportLast = (error, code) => {
      const mine = calls.getStore()
      for (const call of mine ? [mine] : running) failLast(call, error)
      lastCode = code
      settle()
    }
  }
  stream.on('data', (data) => {
    input = input.length === 0 ? data : Buffer.concat([input, data])
    while (input.length >= 5) {
      const end = 5 + input.readUInt32LE(0)
      if (input.length < end) break
      const frame = input.subarray(0, end)
      input = input.subarray(end)
      begin(frame)
    }
  })
  stream.on('end', () => process.exit(0))
  stream.on('error', () => process.exit(0))
}

// ---- beginning

const kept = {} // of what was rehearsed: V8 forgets shapes and names of what nobody holds

// Goes once through everything that a call needs but the handler itself, and answers into `into`.
function rehearse(call, into) {
  return new Promise((resolve) => {
    const before = { handler, reportLast }
    whenAnswered = () => {
      ({ handler, reportLast } = before)
      sink = undefined
      whenAnswered = serveOne
      atEmptyLoop = () => {}
      requestId = tenantId = undefined
      resolve()
    }
    input = call
    handler = async (...all) => {
      kept.call = all
      return all[0]
    }
    sink = into
    send(KIND.READY, imports)
    serveOne()
    // What else happens meanwhile is not of this call.
    reportLast = before.reportLast
    requestId = undefined
  })
}

// Goes through the beginning of an instance that is told `environment`, a frame of kind Load, up to its code.
function rehearseLoad(environment) {
  channel = fs.openSync(__filename)
  readInto(chunk, 0)
  fs.closeSync(channel)
  channel = undefined
  input = environment
  kept.environment = load()
  adoptEnvironment()
  textLine(new Date(), 'INFO', ['%s', 'text', { a: [1] }])
}

// And through the loading of code.
async function rehearseCode() {
  kept.handler = await findHandler()
}

// Is told the environment; takes it on.
function load() {
  const frame = nextFrame()
  if (frame[0] !== KIND.LOAD) throw new Error(`unknown frame kind ${frame[0]}`)
  const { env } = JSON.parse(frame.toString('utf8', 1))
  const path = process.env.NODE_PATH
  for (const [name, value] of Object.entries(env)) {
    if (process.env[name] !== value) process.env[name] = value
  }
  if (process.env.NODE_PATH !== path) require('node:module')._initPaths() // read once otherwise
  process.chdir(process.env.LAMBDA_TASK_ROOT ?? '/var/task')
  return env
}

async function findHandler() {
  const seen = watch()
  try {
    return await loadHandler(require, process.env.LAMBDA_TASK_ROOT ?? '/var/task', process.env._HANDLER ?? '')
  } catch (error) {
    throw unseen(error)
  } finally {
    imports = seen()
  }
}

function dress() {
  patchConsole()
  process.on('beforeExit', () => atEmptyLoop())
  process.on('uncaughtException', (error) => {
    logError('Uncaught Exception', error)
    reportLast(error, EXIT.EXCEPTION)
  })
  process.on('unhandledRejection', (reason, promise) => {
    const error = runtimeError('UnhandledPromiseRejection', String(reason), { reason, promise })
    logError('Unhandled Promise Rejection', error)
    reportLast(error, EXIT.REJECTION)
  })
  globalThis.awslambda = {
    streamifyResponse() {
      throw runtimeError('InvalidStreamingOperation', 'Response streaming is not served by this platform yet.')
    },
  }
}

// Goes on in each copy.
async function beForked() {
  const template = require('./template.cjs')
  adoptEnvironment()
  reportLast = (error) => {
    const { errorType, errorMessage } = describe(asError(error))
    template.refuse(`its code could not be loaded: ${errorType}: ${errorMessage}`)
  }
  await template.prepare(MODE)
  if (MODE === 'function') handler = await findHandler()
  await template.fork(MODE, { rehearse, rehearseLoad, rehearseCode })
  channel = CHANNEL_FD
  reportLast = reportInit
  load()
  if (MODE === 'template') template.boundHeap(process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE)
  adoptEnvironment()
  imports = EMPTY // the template's, if any
  if (MODE === 'function') process.emit('afterRestore')
}

async function main() {
  dress()
  reportLast = reportInit
  try {
    if (FORKED) await beForked()
    else if (MODE === 'wait') {
      send(KIND.WAITS)
      load()
    }
    if (!FORKED) adoptEnvironment()
    handler ??= await findHandler()
  } catch (error) {
    process.emit('uncaughtException', error)
    return
  }
  setImmediate(serve) // after the rejections that loading left behind
}

function serve() {
  const together = Number(process.env.AWS_LAMBDA_MAX_CONCURRENCY) > 1
  if (together) serveTogether()
  send(KIND.READY, imports)
  if (!together) serveOne()
}

main()
