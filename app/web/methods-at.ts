import type { FastifyInstance } from 'fastify'

/** Tells by which methods an address can be asked for: none when nothing is there. Call it before routes are registered. */
export const collectMethods = (app: FastifyInstance): ((path: string) => string[]) => {
  const routes: { parts: string[]; methods: string[] }[] = []
  app.addHook('onRoute', ({ url, method }) => {
    routes.push({ parts: url.split('/'), methods: [method].flat() })
  })
  return path => {
    const parts = path.split('/')
    return [...new Set(routes.filter(route => fits(route.parts, parts)).flatMap(route => route.methods))].sort()
  }
}

/** A part with a parameter stands for anything, its own rule (`:id(\\d+)`) aside: it is known already that no route has taken the request. */
const fits = (route: readonly string[], path: readonly string[]): boolean => {
  const rest = route.findIndex(part => part.includes('*'))
  if (rest < 0 ? route.length !== path.length : path.length <= rest) return false
  return route.every((part, at) => (rest >= 0 && at >= rest) || (part.includes(':') ? path[at] !== '' : part === path[at]))
}
