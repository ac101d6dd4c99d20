import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BgtaskError, messageOf } from '../errors.ts'
import { isInstalled, ourCommand } from '../paths.ts'
import { ignoreRuntime } from './ignore-runtime.ts'
import { writeNew } from './write-new.ts'

/**
 * Gives the application in the current folder its first action and a place for settings. What is there already is left as it is.
 * @throws BgtaskError `misconfigured` where there is no application, or the package is not in it
 */
export const runInit = async (): Promise<number> => {
  const folder = process.cwd()
  requireApplication(folder)
  const isCommonJs = readManifest(folder).type === 'commonjs'
  const [ending, action, settings] = isCommonJs ? ['js', commonJsAction, commonJsSettings] : ['ts', moduleAction, moduleSettings]
  const said = [
    writeNew(folder, join('app', 'actions', 'demo', `hello.${ending}`), action, 'your first action'),
    ...(['ts', 'js'].some(other => existsSync(join(folder, `bgtask.config.${other}`)))
      ? ['bgtask.config is there already, and left as it is']
      : [writeNew(folder, `bgtask.config.${ending}`, settings, 'settings; all of them have a default')]),
    ignoreRuntime(folder),
  ]
  for (const line of said) console.log(`  ${line}`)
  console.log(`
Next:
  ${ourCommand} serve                                  the panel and the supervisor; open the link that it prints
  ${ourCommand} add demo/hello '{"name": "Kim"}'         in another terminal: a task, which runs at once
  ${ourCommand} records                                how it went`)
  return 0
}

const requireApplication = (folder: string) => {
  if (!isInstalled)
    throw new BgtaskError(
      'misconfigured',
      'This is bgtask itself, and its actions are in app/actions already: init is for an application that has it as a package.',
    )
  if (!existsSync(join(folder, 'package.json')))
    throw new BgtaskError(
      'misconfigured',
      `There is no package.json in ${folder}: go to the folder of your application, or make one there with npm init -y.`,
    )
}

const readManifest = (folder: string): { type?: string } => {
  const path = join(folder, 'package.json')
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as { type?: string }
  } catch (error) {
    throw new BgtaskError('misconfigured', `${path} cannot be read: ${messageOf(error)}. Mend it first.`, { cause: error })
  }
}

const moduleAction = `import { defineAction } from 'bgtask'

// Its name is demo/hello, after its place in app/actions. Anywhere in your application:
// import { addTask } from 'bgtask'
// await addTask('demo/hello', { name: 'Kim' })
export default defineAction({
  description: 'Greets someone.',
  params: {
    type: 'object',
    properties: { name: { type: 'string', maxLength: 100, default: 'world' } },
    additionalProperties: false,
  },
  execute: ctx => {
    ctx.log('greeting', { name: ctx.params.name ?? 'world' })
    return \`Hello, \${ctx.params.name ?? 'world'}.\`
  },
})
`

const commonJsAction = `// Its name is demo/hello, after its place in app/actions. Anywhere in your application:
// const { addTask } = require('bgtask')
// await addTask('demo/hello', { name: 'Kim' })
exports.execute = async ctx => {
  ctx.log('greeting', { name: ctx.params.name ?? 'world' })
  return \`Hello, \${ctx.params.name ?? 'world'}.\`
}
`

const hints = `  // PORT: 8080,
  // DATABASE_URL: 'mysql://user:password@localhost/app',
  // BGTASK_PREFIX: '/admin',
`
const moduleSettings = `// Environment variables of the same names go first. ${'`'}npx bgtask check${'`'} lists all, and what is in force.
export default {
${hints}}
`
const commonJsSettings = moduleSettings.replace('export default', 'module.exports =')
