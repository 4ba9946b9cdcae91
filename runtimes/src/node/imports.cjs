// What it takes to load each package, while the handler is loaded.
//
// Every file of CommonJS goes through `Module.prototype.load` once. ES modules have no such place: what they take counts
// as the handler's own, which is the package `.`.
'use strict'

const { Module } = require('node:module')

const HANDLER = '.'
const LEAST_US = 1000 // what takes less is not told
const MOST = 16
const NAME_BYTES = 64
const LARGEST = 2 ** 32 - 1
const FOLDER = '/node_modules/'

const now = () => performance.now() * 1000

// The package that a file belongs to.
function packageOf(file) {
  const at = file.lastIndexOf(FOLDER)
  if (at < 0) return HANDLER
  const [first, second] = file.slice(at + FOLDER.length).split('/', 2)
  return first.startsWith('@') ? `${first}/${second}` : first
}

// Begins to watch. What it returns ends that and gives a report as a frame carries it.
function watch() {
  const packages = new Map()
  const before = Module.prototype.load
  let inner = 0 // microseconds of what was loaded inside the file that is being loaded
  const seen = (name) => {
    if (!packages.has(name)) packages.set(name, { name, modules: 0, own: 0, total: 0, depth: 0 })
    return packages.get(name)
  }
  const whole = seen(HANDLER)
  whole.depth = 1
  const began = now()
  Module.prototype.load = function load(file) {
    const of = seen(packageOf(file))
    const outer = inner
    inner = 0
    of.depth++
    const began = now()
    try {
      before.call(this, file)
      of.modules++
    } finally {
      const took = now() - began
      of.depth--
      of.own += took - inner
      if (of.depth === 0) of.total += took
      inner = outer + took
    }
  }
  return () => {
    Module.prototype.load = before
    whole.total = now() - began
    whole.own += whole.total - inner
    return report([...packages.values()])
  }
}

function report(packages) {
  const long = packages.filter(({ total }) => total >= LEAST_US).sort((a, b) => b.total - a.total).slice(0, MOST)
  return Buffer.concat(long.flatMap(({ name, modules, own, total }) => {
    const text = Buffer.from(name).subarray(0, NAME_BYTES)
    const head = Buffer.alloc(13)
    const numbers = [modules, own, total]
    numbers.forEach((number, place) => head.writeUInt32LE(Math.min(Math.max(0, Math.floor(number)), LARGEST), 4 * place))
    head[12] = text.length
    return [head, text]
  }))
}

// Leaves our own frames out of an error's stack.
function unseen(error) {
  if (typeof error?.stack !== 'string' || !error.stack.includes(__filename)) return error
  try {
    error.stack = error.stack.split('\n').filter((line) => !line.includes(__filename)).join('\n')
  } catch {} // it is frozen
  return error
}

module.exports = { watch, unseen }
