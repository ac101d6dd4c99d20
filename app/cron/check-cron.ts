import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Finding, fault, ok, warning } from '../api/check.ts'
import type { Config } from '../config.ts'
import { messageOf } from '../errors.ts'
import { told } from '../task/told.ts'
import { cronFacts } from './cron-facts.ts'
import { misnamedModules } from './scan-modules.ts'

/** What is wrong with the modules, for `check` and the page of the status. Never throws. */
export const checkCron = async (config: Config): Promise<Finding[]> => {
  const subject = 'cron'
  try {
    if (!existsSync(config.modules)) return [ok(subject, told`There is no modules folder (${config.modules}), so cron has nothing to do.`)]
    const { modules, queues } = await cronFacts(config)
    const misnamed = misnamedModules(config.modules).map(name =>
      warning(
        subject,
        told`${join(config.modules, name)} is no module: its name must be of a-z, 0-9, _ and -, and begin with a letter.`,
        told`Rename it, or begin its name with _ if it shall be none.`,
      ),
    )
    const broken = modules.flatMap(({ name, file, error }) =>
      error === null
        ? []
        : [fault(subject, told`The module ${name} cannot be used: ${error}`, told`Mend ${file}; all other modules work.`)],
    )
    if (broken.length > 0) return [...broken, ...misnamed]
    const hooks = modules.filter(({ hook }) => hook).length
    return [
      ...misnamed,
      ok(
        subject,
        told`${modules.length === 1 ? told`1 module` : told`${modules.length} modules`} with ${hooks === 1 ? told`1 hook` : told`${hooks} hooks`} and ${queues.length === 1 ? told`1 queue` : told`${queues.length} queues`}: all of it loads.`,
      ),
    ]
  } catch (error) {
    const remedy = told`Check that the folder can be read, or set BGTASK_MODULES to another one.`
    return [fault(subject, told`The modules in ${config.modules} cannot be looked at (${messageOf(error)}).`, remedy)]
  }
}
