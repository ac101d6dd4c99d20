import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import { inPackage } from '../paths.ts'

/** The few files a page needs, read once: addresses carry a hash of the content, so a browser may keep them for good. */
export interface Assets {
  /** Address of a file by its name, `app.css` say. */
  href(name: string): string
  register(app: FastifyInstance): void
}

export const loadAssets = (root: string): Assets => {
  const files = new Map<string, Asset>()
  const hrefs = new Map<string, string>()
  const add = (name: string, path: string, change = (text: Buffer) => text) => {
    const type = types[extname(name)]
    if (!type) return
    const body = change(readFileSync(path))
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 12)
    const href = `${root}${prefix}${hash}/${name}`
    hrefs.set(name, href)
    files.set(href, { type, body, zipped: gzipSync(body, { level: 9 }) })
  }
  add('app.css', inPackage('public', 'styles', 'tokens.css'), () =>
    Buffer.concat(styles.map(name => readFileSync(inPackage('public', 'styles', `${name}.css`)))),
  )
  for (const name of readdirSync(inPackage('public'))) add(name, inPackage('public', name))
  const turbo = import.meta.resolve('@hotwired/turbo/package.json')
  add('turbo.js', join(dirname(fileURLToPath(turbo)), 'dist', 'turbo.es2017-esm.js'), withoutInlineStyle)

  return {
    href(name) {
      const href = hrefs.get(name)
      if (!href) throw new Error(`There is no file ${name} in public/.`)
      return href
    },
    register(app) {
      app.get(`${prefix}:hash/:name`, { exposeHeadRoute: false, config: { role: 'public' } }, (request, reply) => {
        const file = files.get(request.url.split('?', 1)[0]!)
        if (!file)
          return reply
            .code(404)
            .header('cache-control', 'no-store')
            .type('text/plain')
            .send('This file is not here: load the page again.\n')
        reply.header('cache-control', 'public, max-age=31536000, immutable').header('vary', 'accept-encoding').type(file.type)
        if (!/\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))) return reply.send(file.body)
        return reply.header('content-encoding', 'gzip').send(file.zipped)
      })
    },
  }
}

/** Turbo's progress bar brings a style element along as soon as it is loaded, which our policy refuses; it is only shown by Turbo Drive, which is off. */
const withoutInlineStyle = (script: Buffer): Buffer => {
  const text = script.toString()
  const call = 'this.installStylesheetElement();'
  if (text.split(call).length !== 2)
    throw new Error(`Turbo does not call ${call} once any more: look how its progress bar gets its style, and mend assets.ts.`)
  return Buffer.from(text.replace(call, ''))
}

interface Asset {
  type: string
  body: Buffer
  zipped: Buffer
}

/** One file for the browser, one for each concern here; the first names the order of the layers. */
const styles = [
  'tokens',
  'base',
  'layout',
  'controls',
  'tasks',
  'tables',
  'charts',
  'edits',
  'forms',
  'login',
  'notes',
  'output',
  'timeline',
  'narrow',
]
const prefix = '/assets/'
const types: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}
