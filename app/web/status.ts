import type { FastifyInstance } from 'fastify'
import { checkInstallation } from '../api/check.ts'
import { maskedConfig } from '../config.ts'
import { checkCron } from '../cron/check-cron.ts'
import { readSupervisor } from '../runs/supervisor-file.ts'
import { listHosts } from '../store/hosts.ts'
import type { Panel } from './panel.ts'
import { version } from './version.ts'

const levels = ['error', 'warning', 'ok']

/** What `check` finds, each with what to do, and what is in force. */
export const registerStatus = (app: FastifyInstance, panel: Panel) => {
  app.get('/reports/status', async (_request, reply) => {
    const findings = [...(await checkInstallation(panel.config, { newestAuditRows: 1_000 })), ...(await checkCron(panel.config))]
    const hosts = await listHosts(panel.background.db)
    return reply.page('status', {
      // What is wrong stands first; the order within is that of the steps to take.
      findings: findings.toSorted((left, right) => levels.indexOf(left.level) - levels.indexOf(right.level)),
      worst: findings.some(({ level }) => level === 'error')
        ? 'error'
        : findings.some(({ level }) => level === 'warning')
          ? 'warning'
          : 'ok',
      config: Object.entries(maskedConfig(panel.config)),
      versions: [
        ['bgtask', version],
        ['Node', process.versions.node],
        ['SQLite', process.versions.sqlite ?? '–'],
        ['database', panel.background.db.dialect],
        ['OS', `${process.platform} ${process.arch}`],
      ],
      supervisor: readSupervisor(panel.config.runtime),
      hosts,
    })
  })
}
