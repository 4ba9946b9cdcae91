// A handler of nobody's: what loading one needs is there before the first real one.
'use strict'

const { readFileSync } = require('fs')
const path = require('path')

let calls = 0

exports.handler = async (event, context, callback) => {
  calls += 1
  const { body, headers = {}, queryStringParameters, requestContext } = event
  const name = process.env.NAME ?? path.basename(__filename)
  console.log('request', context.awsRequestId, name, headers, queryStringParameters, requestContext)
  return { statusCode: 200, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ hello: 'world', body, calls, size: readFileSync(__filename).length }) }
}
