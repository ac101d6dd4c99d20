import type { FastifyInstance } from 'fastify'
import { languages } from '../texts/format.ts'
import { fieldsOf } from './fields.ts'
import { nextPath } from './next-path.ts'
import { type Panel, themes, timeForms } from './panel.ts'

/** Language, theme, how times are told, and whether single keys do something: a matter of this browser, so they lie in cookies of their own. */
export const registerPreferences = (app: FastifyInstance, { root, top }: Pick<Panel, 'root' | 'top'>) => {
  app.post('/preferences', async (request, reply) => {
    const fields = fieldsOf(request.body)
    const language = languages.find(known => known === fields.language)
    const theme = themes.find(known => known === fields.theme)
    const times = timeForms.find(known => known === fields.times)
    const cookie = { path: top || '/', sameSite: 'strict', httpOnly: true, maxAge: 365 * 86_400 } as const
    if (language) reply.setCookie('bgtask-language', language, cookie)
    if (theme) reply.setCookie('bgtask-theme', theme, cookie)
    if (times) reply.setCookie('bgtask-times', times, cookie)
    if (fields.keys === 'on' || fields.keys === 'off') reply.setCookie('bgtask-keys', fields.keys, cookie)
    // The page from which this was asked is only to be looked at once more: to come back to it is no click that stops the loop.
    request.session.arrivedFromElsewhere = true
    return reply.redirect(nextPath(fields.next, root), 303)
  })
}
