// Errors as callers and logs see them; as AWS's client for Node.js (`aws-lambda-ric` 3) shows them.
'use strict'

const { types } = require('node:util')

function runtimeError(name, message, more) {
  const error = new Error(message)
  error.stack = error.stack.replace(/^Error/, `Runtime.${name}`)
  Object.defineProperty(error, 'name', { value: `Runtime.${name}`, configurable: true })
  return Object.assign(error, more)
}

const printable = (text) => text?.replace(/\x7F/g, '%7F')

function looksLikeError(value) {
  return ['name', 'message', 'stack'].every((key) => value?.[key] && typeof value[key] === 'string')
}

// The error as the caller sees it.
function describe(error) {
  try {
    if (types.isNativeError(error) || looksLikeError(error)) {
      const trace = printable(error.stack).split('\n')
      return { errorType: printable(error.name), errorMessage: printable(error.message), trace }
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] }
  } catch {
    const problem = 'there was a problem while retrieving one or more of its message, name, and stack'
    return { errorType: 'handled', errorMessage: `callback called with Error argument, but ${problem}` }
  }
}

const asError = (value) => (value instanceof Error ? value : new Error(value))

const stackLines = (error) => (typeof error.stack === 'string' ? error.stack.split('\n') : error.stack)

// Errors inside logged values, in either log format.
function inText(_key, value) {
  if (!(value instanceof Error)) return value
  const { name, message, code } = value
  return { errorType: name, errorMessage: message, code, ...value, stack: stackLines(value) }
}

const errorFields = (error) => ({
  errorType: error.constructor?.name ?? 'UnknownError',
  errorMessage: error.message,
  stackTrace: stackLines(error),
})

function inJson(_key, value) {
  return value instanceof Error ? { ...errorFields(value), ...value } : value
}

module.exports = { runtimeError, describe, errorFields, asError, inText, inJson }
