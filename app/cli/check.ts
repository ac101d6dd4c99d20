import { checkInstallation, type Finding } from '../api/check.ts'
import { loadConfig, maskedConfig } from '../config.ts'
import { checkCron } from '../cron/check-cron.ts'
import { exitCodes } from '../errors.ts'
import { print, printJson } from './print.ts'

export const runCheck = async ({ json }: { json?: boolean }): Promise<number> => {
  const config = await loadConfig()
  const findings = [...(await checkInstallation(config)), ...(await checkCron(config))]
  const values = maskedConfig(config)
  if (json) printJson({ findings, configuration: values })
  else print(`${findings.map(line).join('\n')}\n\nEffective values:\n${pairs(values)}`)
  return findings.some(finding => finding.level === 'error') ? exitCodes.misconfigured : exitCodes.done
}

const marks = { ok: 'ok     ', warning: 'warning', error: 'ERROR  ' }

const line = ({ level, subject, sentence, remedy }: Finding) =>
  `${marks[level]}  ${subject}: ${sentence}${remedy === null ? '' : `\n           → ${remedy}`}`

const pairs = (values: Record<string, string>) => {
  const width = Math.max(...Object.keys(values).map(name => name.length))
  return Object.entries(values)
    .map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)
    .join('\n')
}
