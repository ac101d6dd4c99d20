import { type Role, roles } from '../api/users.ts'

/** viewer reads; operator also runs, stops and adds; admin also manages users and settings. */
export type { Role }

export const mayAct = (role: Role | undefined, needed: Role): boolean => role !== undefined && roles.indexOf(role) >= roles.indexOf(needed)

/** The role that each route of the panel needs. A route that is not here cannot be registered: what is forgotten is closed. */
export const routeRoles: Readonly<Record<string, Role | 'public'>> = {
  'GET /': 'public',
  'GET /healthz': 'public',
  'GET /admin/assets/:hash/:name': 'public',
  'GET /admin/login': 'public',
  'POST /admin/login': 'public',
  'POST /admin/logout': 'public',
  'GET /admin/setup/:token': 'public',
  'POST /admin/setup/:token': 'public',
  'POST /admin/preferences': 'public',
  'GET /admin': 'viewer',
  'GET /admin/live': 'viewer',
  'GET /admin/account': 'viewer',
  'POST /admin/account': 'viewer',
  'GET /admin/core/bgtask': 'viewer',
  'GET /admin/core/bgtask/new': 'operator',
  'POST /admin/core/bgtask': 'operator',
  'GET /admin/core/bgtask/debug': 'operator',
  'POST /admin/core/bgtask/debug': 'operator',
  'GET /admin/core/bgtask/restart': 'operator',
  'POST /admin/core/bgtask/restart': 'operator',
  'POST /admin/core/bgtask/loop/start': 'operator',
  'POST /admin/core/bgtask/loop/stop': 'operator',
  'POST /admin/core/bgtask/loop/hold': 'operator',
  'POST /admin/core/bgtask/loop/reload': 'operator',
  'GET /admin/core/bgtask/:id': 'viewer',
  'GET /admin/core/bgtask/:id/output': 'viewer',
  'POST /admin/core/bgtask/:id/start': 'operator',
  'POST /admin/core/bgtask/:id/stop': 'operator',
  'POST /admin/core/bgtask/:id/restart': 'operator',
  'POST /admin/core/bgtask/:id/run': 'operator',
  'POST /admin/core/bgtask/:id/cancellation': 'operator',
  'POST /admin/core/bgtask/:id/retry': 'operator',
  'POST /admin/core/bgtask/:id/clone': 'operator',
  'POST /admin/core/bgtask/:id/deletion': 'operator',
  'GET /admin/reports/status': 'viewer',
}
