import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { messageOf } from '../errors.ts'
import { inWorkFolder } from '../paths.ts'
import { canonicalRoot } from './addresses.ts'
import { apiPrefix } from './bearer.ts'
import type { Panel } from './panel.ts'

/**
 * Registers every file of app/controllers and its folders by itself, but for those whose name begins with _ or a dot. Each exports a Fastify plugin as its default; its pages are the application's own:
 * anybody may ask for them unless the controller says `onRequest: app.requireLogin()`. It is given the background, and the panel's root. One that does not load harms nothing else.
 */
export const registerControllers = async (
  app: FastifyInstance,
  panel: Panel,
  folder: string = inWorkFolder(join('app', 'controllers')),
) => {
  for (const name of filesIn(folder)) {
    const leaveOut = (error: unknown) => app.log.error(error, `The controller ${join(folder, name)} is left out: ${messageOf(error)}`)
    try {
      const module = (await import(pathToFileURL(join(folder, name)).href)) as { default?: unknown }
      if (typeof module.default !== 'function') throw new Error('it has no default export that is a Fastify plugin')
      const plugin = module.default as FastifyPluginAsync<Pick<Panel, 'background' | 'root'>>
      // Called and not registered: a plugin that throws while it is registered takes the whole panel with it.
      await app.register(async inner => {
        inner.addHook('onRoute', route => {
          if ([panel.root, canonicalRoot, apiPrefix].some(own => route.url === own || route.url.startsWith(`${own}/`)))
            throw new Error(`the address ${route.url} is the panel's own`)
          route.config = { role: 'public', ...route.config }
        })
        try {
          await plugin(inner, { background: panel.background, root: panel.root })
        } catch (error) {
          leaveOut(error)
        }
      })
    } catch (error) {
      leaveOut(error)
    }
  }
}

const filesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter(name => /\.[tj]s$/.test(name) && !/\.(?:test|d)\.[tj]s$/.test(name) && !/(^|[/])[._]/.test(name))
      .sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
