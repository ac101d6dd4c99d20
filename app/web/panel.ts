import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Background } from '../api/background.ts'
import type { Config } from '../config.ts'
import type { Language } from '../texts/format.ts'
import type { Assets } from './assets.ts'
import type { LiveHub } from './live-hub.ts'
import type { Pages } from './render.ts'
import type { Role } from './roles.ts'

/** What every page stands on. */
export interface Panel {
  config: Config
  background: Background
  assets: Assets
  pages: Pages
  live: LiveHub
  /** Signs session cookies and one-time links of the loop's stop. */
  secret: string
  /** When the database was first found away; null while it answers. */
  databaseAwaySince: number | null
}

export interface SignedIn {
  id: number
  name: string
  role: Role
}

export const themes = ['system', 'light', 'dark'] as const
export type Theme = (typeof themes)[number]

declare module 'fastify' {
  interface FastifyInstance {
    /** For controllers: `app.get(path, { onRequest: app.requireLogin('operator') }, …)` lets in who is signed in with that role or a higher one. */
    requireLogin(role?: Role): (request: FastifyRequest) => Promise<void>
  }
  interface FastifyReply {
    /** Answers with `views/<view>.eta`. */
    page(view: string, model?: object, status?: number): FastifyReply
  }
  interface FastifyRequest {
    user: SignedIn | null
    language: Language
    theme: Theme
  }
  interface FastifyContextConfig {
    /** Who may come in; every route of the panel names it. */
    role?: Role | 'public'
  }
  interface Session {
    userId?: number
    signedInAt?: number
    flash?: Flash | undefined
    /** The next page is only to be looked at: a link elsewhere led to it. */
    arrivedFromElsewhere?: boolean | undefined
  }
}

/** Said once, on the next page. */
export interface Flash {
  tone: 'good' | 'bad' | 'plain'
  text: string
}

/** What the request has to say who it is in the audit log. */
export const actorOf = (request: FastifyRequest) => ({ userName: request.user?.name ?? null, ip: request.ip })

/** Answers a POST: a sentence for the next page, and a 303 so that a reload repeats nothing. */
export const redirectWith = (request: FastifyRequest, reply: FastifyReply, path: string, flash?: Flash) => {
  if (flash) request.session.flash = flash
  return reply.redirect(path, 303)
}
