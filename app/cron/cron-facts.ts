import { join } from 'node:path'
import type { Config } from '../config.ts'
import { moduleEnding } from '../paths.ts'
import { readDescribingChild } from '../runs/describing-child.ts'
import { redactionOf } from '../runs/redaction.ts'
import { runtimePaths } from '../runs/runtime-folder.ts'
import { readJson, writeJson } from '../runs/write-file.ts'
import { type CronFacts, hookDefaultS, type ModuleFacts } from './module-facts.ts'
import { type ModuleFile, scanModules } from './scan-modules.ts'

type FactsConfig = Pick<Config, 'modules' | 'runtime' | 'actions' | 'childEnv'>

/**
 * What modules, hooks and queues there are, learnt in a process of its own: no code of a module is ever run in the panel or the supervisor.
 * May be called often: the folder is looked at no more than twice a second, and described anew only when a file changed; what was learnt is kept in
 * memory and in runtime/modules.json.
 * @throws BgtaskError `misconfigured` when the folder cannot be read
 */
export const cronFacts = (config: FactsConfig): Promise<CronFacts> => {
  const key = JSON.stringify([config.modules, config.runtime])
  const shelf = shelves.get(key) ?? { lookedAt: Number.NEGATIVE_INFINITY, known: null, looking: null }
  shelves.set(key, shelf)
  if (shelf.looking) return shelf.looking
  if (shelf.known && performance.now() - shelf.lookedAt < lookEveryMs) return Promise.resolve(shelf.known.facts)
  shelf.looking = look(shelf, config).finally(() => (shelf.looking = null))
  return shelf.looking
}

const lookEveryMs = 500
/** A module that does not load may be mended without a change of its own file: by a package that is installed, say. */
const retryBrokenMs = 30_000
/** How long one part of a module may take while it is described. */
export const describeMs = 10_000

interface Known {
  stamp: string
  facts: CronFacts
  /** Milliseconds since 1970. */
  describedAt: number
}

interface Shelf {
  lookedAt: number
  known: Known | null
  looking: Promise<CronFacts> | null
}
const shelves = new Map<string, Shelf>()

const look = async (shelf: Shelf, config: FactsConfig): Promise<CronFacts> => {
  const files = scanModules(config.modules)
  const stamp = JSON.stringify([format, config.modules, files])
  const path = runtimePaths(config.runtime).modules
  let known = shelf.known?.stamp === stamp ? shelf.known : readJson<Known>(path)
  if (known?.stamp !== stamp || isStale(known)) {
    known = { stamp, facts: withoutSecrets(config, await describe(config, files)), describedAt: Date.now() }
    remember(path, known)
  }
  shelf.known = known
  shelf.lookedAt = performance.now()
  return known.facts
}

/** Raised when what is stored changes its form. */
const format = 1

const isStale = ({ facts, describedAt }: Known) =>
  facts.modules.some(({ error }) => error !== null) && Math.abs(Date.now() - describedAt) > retryBrokenMs

const remember = (path: string, known: Known) => {
  try {
    writeJson(path, known)
  } catch (error) {
    // Only other processes have to describe the files again then; whether runtime/ can be written is told elsewhere.
    if (!(error instanceof Error && 'code' in error)) throw error
  }
}

const withoutSecrets = (config: FactsConfig, { modules, queues }: CronFacts): CronFacts => ({
  modules: modules.map(module => ({ ...module, error: module.error && redactionOf(config).text(module.error) })),
  queues,
})

/** A module that ends the process, or holds it up, is left out, and the others are described anew: they may alter one another's queues. */
const describe = async (config: FactsConfig, files: readonly ModuleFile[]): Promise<CronFacts> => {
  const left: ModuleFacts[] = []
  for (;;) {
    const rest = files.filter(({ name }) => !left.some(module => module.name === name))
    if (rest.length === 0) return { modules: left, queues: [] }
    const { facts, died } = await describeOnce(config, rest)
    if (facts) {
      const modules = [...facts.modules, ...left].sort((a, b) => (a.name < b.name ? -1 : 1))
      return { modules, queues: facts.queues }
    }
    const { name, file } = rest.find(one => one.name === died.module) ?? rest[0]!
    left.push({ name, file, hook: false, hookMs: hookDefaultS * 1000, queues: [], error: died.why })
  }
}

type Line = { module: string; part: string } | { facts: CronFacts }

const describeOnce = async (
  config: FactsConfig,
  files: readonly ModuleFile[],
): Promise<{ facts: CronFacts; died: null } | { facts: null; died: { module: string; why: string } }> => {
  const given = files.flatMap(({ name, file }) => [name, file])
  let facts: CronFacts | null = null
  let at = { module: files[0]!.name, part: 'import' }
  const { code, signal, tookTooLong } = await readDescribingChild(config, {
    program: join(import.meta.dirname, `describe-modules${moduleEnding}`),
    given,
    limitMs: describeMs,
    onLine: text => {
      const line = JSON.parse(text) as Line
      if ('facts' in line) facts = line.facts
      else at = line
    },
  })
  if (facts) return { facts, died: null }
  return { facts: null, died: { module: at.module, why: wordsOf(at.part, tookTooLong, code, signal) } }
}

const wordsOf = (part: string, tookTooLong: boolean, code: number | null, signal: string | null): string => {
  const doing = part === 'import' ? 'loading' : `calling ${part}`
  if (tookTooLong) return `it does not end ${doing}: ended after ${describeMs / 1000} s`
  // https://nodejs.org/api/process.html#exit-codes: 13, unsettled top-level await
  if (code === 13) return `it never ends ${doing}: it awaits something that nothing is left to settle`
  if (signal) return `${doing} it ended the process by ${signal}`
  return `${doing} it leaves the process with code ${code}; a module must only define what it exports`
}
