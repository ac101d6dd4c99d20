import { inspect } from 'node:util'

/** A reporter for node:test: one JSON line for each event that run-file.js counts. */
export default async function* eventsReporter(source) {
  for await (const { type, data } of source) {
    if (!['test:dequeue', 'test:complete', 'test:start', 'test:pass', 'test:fail'].includes(type)) continue
    const { name, nesting, file, line, skip, todo, details } = data
    yield `${JSON.stringify({ type, name, nesting, file, line, skip, todo, kind: details?.type, failure: failureOf(details?.error) })}\n`
  }
}

function failureOf(error) {
  if (!error) return undefined
  return { type: error.failureType, message: inspect(error.cause ?? error, { depth: 4 }) }
}
