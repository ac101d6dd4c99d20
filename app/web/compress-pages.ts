import { promisify } from 'node:util'
import { type BrotliOptions, brotliCompress, constants, gzip } from 'node:zlib'
import type { FastifyInstance, FastifyRequest } from 'fastify'

/**
 * Pages are compressed as they are sent. A page holds what its address says beside what only its reader may see, and how much they are alike shows in
 * its length: whoever can have a browser ask for addresses of their choice, and watches the lengths go by, could guess the rest (BREACH). So only what
 * a reader asked for themself, or a page of ours did, is compressed; whatever a page elsewhere asked for is not, nor what a browser says nothing
 * about. Answers to forms are not either: they show secrets that are told once. (The token of forms is another one in each page in any case.)
 */
export const compressPages = (app: FastifyInstance): void => {
  app.addHook('onSend', async (request, reply, payload) => {
    if (typeof payload !== 'string' || payload.length < leastLength) return payload
    if (!String(reply.getHeader('content-type')).startsWith('text/html') || reply.hasHeader('content-encoding')) return payload
    reply.header('vary', 'accept-encoding, sec-fetch-site')
    const encoding = isAskedForByReader(request) ? encodingFor(request) : null
    if (encoding === null) return payload
    reply.header('content-encoding', encoding).removeHeader('content-length')
    return encoding === 'br' ? toBrotli(payload, brotli) : toGzip(payload, { level: 6 })
  })
}

/** Shorter ones gain nothing. */
const leastLength = 1_400

const isAskedForByReader = ({ method, headers }: FastifyRequest): boolean =>
  method === 'GET' && (headers['sec-fetch-site'] === 'same-origin' || headers['sec-fetch-site'] === 'none')

const encodingFor = ({ headers }: FastifyRequest): 'br' | 'gzip' | null => {
  const accepted = String(headers['accept-encoding'] ?? '')
  return /\bbr\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(accepted)
    ? 'br'
    : /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(accepted)
      ? 'gzip'
      : null
}

// On threads of libuv, so that others are answered meanwhile.
const toBrotli = promisify<string, BrotliOptions, Buffer>(brotliCompress)
const toGzip = promisify<string, { level: number }, Buffer>(gzip)
/** As small as gzip makes it at its best, in the time that it takes at its fastest. */
const brotli: BrotliOptions = { params: { [constants.BROTLI_PARAM_QUALITY]: 4, [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT } }
