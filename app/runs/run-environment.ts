import { delimiter } from 'node:path'
import type { Config } from '../config.ts'
import { markVariable } from './process-identity.ts'

/** The whole environment of a run: named variables only, so that no password or secret of ours reaches it. */
export const runEnvironment = (
  config: Pick<Config, 'runtime' | 'actions' | 'childEnv'> & Partial<Pick<Config, 'modules' | 'commands'>>,
  more: { mark: string; runFolder?: string },
  parent: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv => {
  const handedOn = ['PATH', 'HOME', 'LANG', 'TZ', 'NODE_ENV', ...config.childEnv]
  return {
    ...Object.fromEntries(handedOn.flatMap(name => (parent[name] === undefined ? [] : [[name, parent[name]]]))),
    BGTASK_RUNTIME: config.runtime,
    BGTASK_ACTIONS: config.actions.join(delimiter),
    ...(config.modules ? { BGTASK_MODULES: config.modules } : {}),
    // A command is looked up in the same file as here, whatever the run's own folder.
    ...(config.commands ? { BGTASK_COMMANDS: config.commands } : {}),
    [markVariable]: more.mark,
    ...(more.runFolder ? { BGTASK_RUN_FOLDER: more.runFolder } : {}),
  }
}
