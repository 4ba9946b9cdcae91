// Finds a handler by its name; as AWS's client for Node.js (`aws-lambda-ric` 3) finds it.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { runtimeError } = require('./errors.cjs')

function packageIsModule(folder) {
  for (let at = folder; !at.endsWith('/node_modules'); at = path.dirname(at)) {
    try {
      return JSON.parse(fs.readFileSync(path.join(at, 'package.json'), 'utf8'))?.type === 'module'
    } catch (error) {
      if (error instanceof SyntaxError) return false
    }
    if (at === '/') return false
  }
  return false
}

async function loadModule(require, root, folder, name) {
  const file = path.resolve(root, folder, name)
  const required = (extension) => (fs.existsSync(file + extension) ? require(file + extension) : undefined)
  const imported = (extension) => (fs.existsSync(file + extension) ? import(file + extension) : undefined)
  const script = fs.existsSync(`${file}.js`) && packageIsModule(path.dirname(file)) ? imported : required
  return required('') || (await script('.js')) || (await imported('.mjs')) || required('.cjs') ||
    require(require.resolve(name, { paths: [root, path.resolve(root, folder)] }))
}

// `require`: of the module that shall stand above the handler.
async function loadHandler(require, root, name) {
  if (name.includes('..')) {
    const advice = 'Use absolute paths when specifying root directories in handler names.'
    throw runtimeError('MalformedHandlerName', `'${name}' is not a valid handler name. ${advice}`)
  }
  const base = path.basename(name)
  const dot = base.indexOf('.')
  if (dot < 0) throw runtimeError('MalformedHandlerName', 'Bad handler')
  let found
  try {
    found = await loadModule(require, root, name.slice(0, name.indexOf(base)), base.slice(0, dot))
  } catch (error) {
    if (error instanceof SyntaxError) throw runtimeError('UserCodeSyntaxError', String(error))
    if (error?.code === 'MODULE_NOT_FOUND') throw runtimeError('ImportModuleError', String(error))
    throw error
  }
  const keys = base.slice(dot + 1).split('.')
  const handler = keys.reduce((at, key) => at && at[key], found) || keys.reduce((at, key) => at && at[key], found?.default)
  if (!handler) throw runtimeError('HandlerNotFound', `${name} is undefined or not exported`)
  if (typeof handler !== 'function') throw runtimeError('HandlerNotFound', `${name} is not a function`)
  return handler
}

module.exports = { loadHandler }
