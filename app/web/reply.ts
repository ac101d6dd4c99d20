import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { readHold } from '../runs/flags.ts'
import { isSilent, readSupervisor } from '../runs/supervisor-file.ts'
import type { Panel } from './panel.ts'
import { prepareForms } from './session.ts'

/** `reply.page(view, model)`: the page in the reader's language, with what the frame around it needs. */
export const registerReply = (app: FastifyInstance, panel: Panel) => {
  app.decorateReply('page', function (this: FastifyReply, view: string, model: object = {}, status = 200) {
    const html = panel.pages.render(view, this.request, pageModel(panel, this.request, this, model))
    return this.code(status).type('text/html; charset=utf-8').send(html)
  })
}

/** What the frame (`views/layout.eta`) needs besides the page's own model. */
export const pageModel = (panel: Panel, request: FastifyRequest, reply: FastifyReply, model: object): object => {
  const flash = request.session?.flash
  if (flash) request.session.flash = undefined
  // Without a session (the Host was wrong, say, or the database is away) there is no form either.
  const hasForms = request.session?.sessionId !== undefined && !('csrf' in model)
  if (hasForms) prepareForms(request, panel.secret)
  return {
    path: request.url.split('?', 1)[0],
    here: request.url,
    flash: flash ?? null,
    csrf: hasForms ? reply.generateCsrf() : null,
    keysOff: request.cookies?.['bgtask-keys'] === 'off',
    bar: request.user ? barModel(panel) : null,
    ...model,
  }
}

/** How supervisor and database stand: shown at the top of every page. Read from files, so it holds while the database is away. */
export const barModel = ({ config }: Pick<Panel, 'config'>) => {
  const supervisor = readSupervisor(config.runtime)
  return {
    supervisor,
    hold: readHold(config.runtime),
    state: supervisor === null ? ('down' as const) : isSilent(supervisor, Date.now()) ? ('silent' as const) : supervisor.phase,
    databaseAwaySince: supervisor?.databaseAwaySince ?? null,
  }
}
