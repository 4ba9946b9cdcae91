// Stands in for the native part of AWS's Node.js client, which is plain HTTP to the Runtime API:
// node --require client.cjs .../aws-lambda-ric/bin/index.mjs HANDLER
'use strict'
const http = require('node:http')
const Module = require('node:module')

const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':')
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
let before = Promise.resolve()

function request(method, rest, body, headers) {
  const sent = before.then(() => new Promise((resolve, reject) => {
    const options = { hostname, port, method, agent, path: `/2018-06-01/runtime/invocation/${rest}`, headers }
    const asked = http.request(options, (response) => {
      const parts = []
      response.on('data', (part) => parts.push(part))
      response.on('end', () => resolve({ headers: response.headers, bodyJson: Buffer.concat(parts).toString() }))
    })
    asked.on('error', reject)
    asked.end(body)
  }))
  before = sent.catch(() => {})
  return sent
}

const post = (id, kind, body) => {
  if (typeof body !== 'string') throw new TypeError('Wrong arguments')
  const length = Buffer.byteLength(body)
  request('POST', `${id}/${kind}`, body, { 'content-type': 'application/json', 'content-length': length })
}
const client = {
  next: () => request('GET', 'next'),
  done: (id, body) => post(id, 'response', body),
  error: (id, body) => post(id, 'error', body),
}

// The client ends the process right after its last error, which its native part has sent by then.
const exit = process.exit
process.exit = (code) => (code === 128 || code === 129 ? before.then(() => exit(code)) : exit(code))

const load = Module._load
Module._load = (name, ...rest) => (name.endsWith('rapid-client.node') ? client : load(name, ...rest))
