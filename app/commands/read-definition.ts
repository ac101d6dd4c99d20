import { isSecretName } from '../secrets/secret-name.ts'
import { limitsOf } from '../task/limits.ts'
import { nearestNames } from '../task/nearest-names.ts'
import { type Sentence, told } from '../task/told.ts'
import type { Command, Parameter, Value } from './command.ts'
import { commandName } from './command-name.ts'
import { commandRoles } from './command-role.ts'
import type { CommandDefinition } from './define-commands.ts'
import { longestText, usualLongest, whyNoPattern } from './pattern.ts'
import { parseTemplate, type Template } from './template.ts'
import { whyNoText, whyNoValue } from './why-no-value.ts'
import { WrongEntry } from './wrong-entry.ts'

export const commandDefaults = { cwd: '/', role: 'operator', timeoutMs: 600_000, graceMs: 10_000 } as const

/**
 * An entry of the commands file, if it holds. What the machine has to say about it (is the program there?) is looked at elsewhere.
 * @throws WrongEntry
 */
export const readDefinition = (name: string, given: unknown): Command => {
  if (!commandName.test(name))
    throw new WrongEntry(told`has a name that is none; allowed are a-z first, then a-z, 0-9, _ and -, at most 64`)
  // What the command line, and a page, have another use for.
  if (name === 'list') throw new WrongEntry(told`cannot be called list, which is how all of them are listed; choose another name`)
  const entry = objectWith(told`it`, given, entryKeys)
  const parameters = new Map(
    Object.entries(asObject('parameters', entry.parameters ?? {})).map(([key, one]) => [key, readParameter(key, one)]),
  )
  const templates = readTemplates(entry.arguments ?? [], parameters)
  return {
    name,
    description: optional('description', entry.description, told`a text of at most 500 characters`, isText(500)) ?? null,
    executable: required('executable', entry.executable, told`an absolute path`, isPath),
    templates,
    parameters,
    cwd: optional('cwd', entry.cwd, told`an absolute path`, isPath) ?? commandDefaults.cwd,
    env: readEnvironment(entry.env),
    runAs: runAsOf(entry.runAs),
    role: optional('role', entry.role, told`one of ${commandRoles.join(', ')}`, isOneOf(commandRoles)) ?? commandDefaults.role,
    timeoutMs:
      optional('timeoutMs', entry.timeoutMs, told`a whole number from 1 to 2073600000`, isWhole(1, 24 * 86_400_000)) ??
      commandDefaults.timeoutMs,
    graceMs: optional('graceMs', entry.graceMs, told`a whole number from 0 to 3600000`, isWhole(0, 3_600_000)) ?? commandDefaults.graceMs,
    outputBytes: optional('outputBytes', entry.outputBytes, told`a whole number from 1`, isWhole(1, Number.MAX_SAFE_INTEGER)) ?? null,
    rerunAfterCrash: optional('rerunAfterCrash', entry.rerunAfterCrash, told`true or false`, isBoolean) ?? false,
  }
}

const entryKeys = Object.keys({
  description: 0,
  executable: 0,
  arguments: 0,
  parameters: 0,
  cwd: 0,
  env: 0,
  runAs: 0,
  role: 0,
  timeoutMs: 0,
  graceMs: 0,
  outputBytes: 0,
  rerunAfterCrash: 0,
} satisfies Record<keyof CommandDefinition, 0>)

const readParameter = (name: string, given: unknown): Parameter => {
  const where = told`parameter ${name}`
  if (!parameterName.test(name))
    throw new WrongEntry(told`has a ${where}, which is no name; allowed are a-z and A-Z first, then also 0-9 and _`)
  if (isSecretName(name)) {
    throw new WrongEntry(
      told`has a ${where}, which looks like a secret; every user of the machine can read arguments (ps), so let the program read it from a file`,
    )
  }
  const entry = asObject(where, given)
  const kind = 'enum' in entry ? 'enum' : entry.type
  const keys =
    typeof kind === 'string' && Object.hasOwn(parameterKeys, kind) ? parameterKeys[kind as keyof typeof parameterKeys] : undefined
  if (!keys) throw new WrongEntry(told`has a ${where} that is of no kind; give it enum, or a type: integer, string or boolean`)
  objectWith(where, given, ['title', 'description', 'default', ...keys])
  const about = {
    name,
    title: optional(told`title of ${where}`, entry.title, told`a text of at most 100 characters`, isText(100)) ?? null,
    description: optional(told`description of ${where}`, entry.description, told`a text of at most 500 characters`, isText(500)) ?? null,
  }
  const parameter = { ...about, default: undefined, ...boundsOf(where, kind as keyof typeof parameterKeys, entry) } as Parameter
  return { ...parameter, default: defaultOf(where, parameter, entry.default) }
}

const parameterKeys = {
  enum: ['enum', 'type'],
  integer: ['type', 'minimum', 'maximum'],
  string: ['type', 'pattern', 'maxLength'],
  boolean: ['type', 'flag'],
} as const

const boundsOf = (where: Sentence, kind: keyof typeof parameterKeys, entry: Record<string, unknown>) => {
  if (kind === 'enum') {
    if (entry.type !== undefined && entry.type !== 'string')
      throw new WrongEntry(told`has a ${where} with enum and another type than string`)
    const values = required(told`enum of ${where}`, entry.enum, told`a list of 1 to 1000 texts`, isTexts)
    for (const value of values) requireGoodText(told`the value ${JSON.stringify(value)} of ${where}`, value, longestText)
    if (new Set(values).size < values.length) throw new WrongEntry(told`has a ${where} with the same value twice`)
    return { kind: 'choice', values }
  }
  if (kind === 'integer') {
    const allowed = told`a whole number that can be kept exactly`
    const least = required(told`minimum of ${where}`, entry.minimum, allowed, isWhole(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER))
    const most = required(told`maximum of ${where}`, entry.maximum, allowed, isWhole(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER))
    if (least > most) throw new WrongEntry(told`has a ${where} whose minimum ${least} is more than its maximum ${most}`)
    return { kind: 'whole', least, most }
  }
  if (kind === 'string') {
    const longest =
      optional(told`maxLength of ${where}`, entry.maxLength, told`a whole number from 1 to ${longestText}`, isWhole(1, longestText)) ??
      usualLongest
    const pattern = required(told`pattern of ${where}`, entry.pattern, told`a text like ^[a-z]+$`, isText(1_000))
    const why = whyNoPattern(pattern, longest)
    if (why !== null) throw new WrongEntry(told`has a ${where} whose pattern ${why}`)
    return { kind: 'text', pattern, longest }
  }
  const flag = required(told`flag of ${where}`, entry.flag, told`a text like --dry-run`, isText(200))
  requireArgument(told`the flag of ${where}`, flag)
  if (flag === '') throw new WrongEntry(told`has a ${where} whose flag is empty`)
  return { kind: 'flag', flag }
}

const defaultOf = (where: Sentence, parameter: Parameter, given: unknown): Value | undefined => {
  if (given === undefined) return parameter.kind === 'flag' ? false : undefined
  const why = whyNoValue(parameter, given)
  if (why !== null) throw new WrongEntry(told`has a ${where} whose default ${why}`)
  return given as Value
}

const readTemplates = (given: unknown, parameters: ReadonlyMap<string, Parameter>): Template[] => {
  if (!Array.isArray(given) || given.length > 200) throw new WrongEntry(told`has arguments that are no list of at most 200 texts`)
  const templates = given.map((text: unknown) => {
    if (typeof text !== 'string')
      throw new WrongEntry(told`has an argument that is no text: ${JSON.stringify(text)}; write a number in quotes`)
    requireArgument(told`an argument`, text)
    return parseTemplate(text)
  })
  const used = new Set<string>()
  for (const template of templates) {
    for (const [index, part] of template.entries()) {
      if (typeof part === 'string') continue
      used.add(part.parameter)
      requirePlace(template, index, part.parameter, parameters)
    }
  }
  const idle = [...parameters.keys()].find(name => !used.has(name))
  if (idle !== undefined)
    throw new WrongEntry(told`has a parameter ${idle} that stands in no argument; write {${idle}} where it belongs, or take it out`)
  return templates
}

const requirePlace = (template: Template, index: number, name: string, parameters: ReadonlyMap<string, Parameter>) => {
  const parameter = parameters.get(name)
  if (!parameter) {
    const [nearest] = nearestNames(name, [...parameters.keys()])
    throw new WrongEntry(
      told`has {${name}} in an argument, and no parameter of that name; ${nearest ? told`did you mean {${nearest}}?` : told`describe it under parameters, or write {{ for a brace`}`,
    )
  }
  if (parameter.kind === 'flag' && template.length > 1)
    throw new WrongEntry(told`has {${name}} within a longer argument; a flag stands alone, as "{${name}}"`)
  if (parameter.kind === 'whole' && parameter.least < 0 && index === 0) {
    throw new WrongEntry(
      told`has {${name}} at the beginning of an argument, where a negative number would look like an option; write it as in --${name}={${name}}, or let its minimum be 0`,
    )
  }
}

const readEnvironment = (given: unknown): Record<string, string> => {
  if (given === undefined) return {}
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(asObject('env', given))) {
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,100}$/.test(name))
      throw new WrongEntry(told`has ${JSON.stringify(name)} in env, which is no name of a variable`)
    if (/^(BGTASK_|DATABASE_URL)/.test(name)) throw new WrongEntry(told`has ${name} in env; names that begin like that are ours`)
    if (typeof value !== 'string') throw new WrongEntry(told`has ${name} in env with a value that is no text; write it in quotes`)
    requireArgument(told`${name} in env`, value)
    env[name] = value
  }
  return env
}

const runAsOf = (given: unknown): string | null => {
  try {
    return limitsOf({ runAs: given })?.runAs ?? null
  } catch (error) {
    throw new WrongEntry(told`has a wrong ${(error as Error).message}`)
  }
}

const parameterName = /^[a-zA-Z][a-zA-Z0-9_]{0,63}$/

const requireGoodText = (what: Sentence, text: string, longest: number) => {
  const why = whyNoText(text, longest)
  if (why !== null) throw new WrongEntry(told`has ${what}, which ${why}`)
}
// Of what the file itself says: it may begin with - and be empty, and no system takes a NUL.
const requireArgument = (what: Sentence, text: string) => {
  if (text.includes('\0')) throw new WrongEntry(told`has a NUL character in ${what}, which no program can be given`)
}

const asObject = (what: Sentence, given: unknown): Record<string, unknown> => {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given as Record<string, unknown>
  throw new WrongEntry(told`has a wrong entry: ${what} is ${JSON.stringify(given) ?? String(given)}, and must be an object`)
}

const objectWith = (what: Sentence, given: unknown, allowed: readonly string[]): Record<string, unknown> => {
  const object = asObject(what, given)
  const strange = Object.keys(object).find(key => !allowed.includes(key))
  if (strange === undefined) return object
  const [nearest] = nearestNames(strange, allowed)
  throw new WrongEntry(
    told`says ${JSON.stringify(strange)}${String(what) === 'it' ? '' : told` of ${what}`}, which is not known; ${nearest ? told`did you mean ${nearest}?` : told`there are ${allowed.join(', ')}`}`,
  )
}

const optional = <T>(what: Sentence, given: unknown, allowed: Sentence, fits: (value: unknown) => value is T): T | undefined => {
  if (given === undefined) return undefined
  if (fits(given)) return given
  throw new WrongEntry(told`has a wrong ${what}: it is ${JSON.stringify(given)?.slice(0, 80) ?? String(given)}, and must be ${allowed}`)
}
const required = <T>(what: Sentence, given: unknown, allowed: Sentence, fits: (value: unknown) => value is T): T => {
  const value = optional(what, given, allowed, fits)
  if (value !== undefined) return value
  throw new WrongEntry(told`has no ${what}; give ${allowed}`)
}

const isText =
  (most: number) =>
  (value: unknown): value is string =>
    typeof value === 'string' && value.length <= most
const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length >= 1 && value.length <= 1_000 && value.every(one => typeof one === 'string')
const isPath = (value: unknown): value is string => typeof value === 'string' && value.startsWith('/') && !value.includes('\0')
const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean'
const isWhole =
  (least: number, most: number) =>
  (value: unknown): value is number =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
const isOneOf =
  <T extends string>(allowed: readonly T[]) =>
  (value: unknown): value is T =>
    allowed.some(one => one === value)
