import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Background } from '../api/background.ts'
import type { Config } from '../config.ts'
import type { Language } from '../texts/format.ts'
import type { Addresses } from './addresses.ts'
import type { Assets } from './assets.ts'
import type { LiveHub } from './live-hub.ts'
import type { Pages } from './render.ts'
import type { Role } from './roles.ts'

/** What every page stands on. */
export interface Panel extends Addresses {
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

/** How instants are told: from now ("12 seconds ago"), or as clocks show them. The other one is the tooltip. */
export const timeForms = ['relative', 'exact'] as const
export type TimeForm = (typeof timeForms)[number]

declare module 'fastify' {
  interface FastifyInstance {
    /** Ends the live streams; browsers ask for them again. */
    endStreams(): void
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
    times: TimeForm
  }
  interface FastifyContextConfig {
    /** Who may come in; every route of the panel names it. */
    role?: Role | 'public'
    /** Only for who has given the password in the last 5 minutes; who has not is asked for it first. A function: where it depends on what is asked for. */
    fresh?: boolean | ((request: FastifyRequest) => Promise<boolean>)
  }
  interface Session {
    userId?: number | undefined
    /** Of the password with which it was signed in: another password ends it, however late that login was answered. */
    passwordChangedAt?: number
    /** The second factor was asked for; without, the session ends when that is turned on. */
    secondFactor?: boolean
    signedInAt?: number
    /** From where it was signed in. Given once, at the login: it lies in columns of its own. */
    from?: { ip: string; userAgent: string | null } | undefined
    /** When the password was last given in this session; signing in counts. Milliseconds since 1970. */
    provedAt?: number
    /** The password was right, the code of the second factor is still asked for. Opens nothing else. */
    half?: { userId: number; at: number; passwordChangedAt: number; next: string } | undefined
    /** Shown to the person who is turning the second factor on, and not theirs before a code fits. */
    newTotpSecret?: string | undefined
    flash?: Flash | undefined
    /** The next page is only to be looked at: a link elsewhere led to it. */
    arrivedFromElsewhere?: boolean | undefined
    /** It is in the table, or was: it is only ever changed there, never added again. */
    stored?: boolean
  }
}

/** Said once, on the next page. */
export interface Flash {
  tone: 'good' | 'bad' | 'plain'
  text: string
  /** Address of the POST that undoes what was done. */
  undo?: string
}

/** Answers a POST: a sentence for the next page, and a 303 so that a reload repeats nothing. */
export const redirectWith = (request: FastifyRequest, reply: FastifyReply, path: string, flash?: Flash) => {
  if (flash) request.session.flash = flash
  return reply.redirect(path, 303)
}
