import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from './free-port.ts'
import { until } from './scene.ts'
import { endWithParent, findProgram } from './tools.ts'

/** What Prometheus answers to an expression: one entry for each series, or for a number without labels. */
export interface Answer {
  metric: Record<string, string>
  value: [at: number, text: string]
}

export interface Prometheus {
  origin: string
  /** @throws Error when the expression is none */
  query(expr: string): Promise<Answer[]>
  /** The `data` of an answer of its API. */
  api<T>(path: string): Promise<T>
}

/** A real Prometheus, on this machine alone, that scrapes one target each second with the token given. Ended with the test; ask prometheusMissing() first. */
export const startPrometheus = async (
  t: TestContext,
  { target, token, rules }: { target: string; token: string; rules: string },
): Promise<Prometheus> => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-prometheus-'))
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  const config = `
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [${JSON.stringify(rules)}]
scrape_configs:
  - job_name: bgtask
    authorization: { credentials_file: ${JSON.stringify(file('token', token))} }
    static_configs: [{ targets: [${JSON.stringify(target)}] }]
`
  const port = await freePort()
  const [program, ...first] = [...endWithParent(), findProgram('prometheus')!]
  const options = [
    ...[`--config.file=${file('prometheus.yml', config)}`, `--storage.tsdb.path=${join(folder, 'data')}`],
    ...[`--web.listen-address=127.0.0.1:${port}`, '--log.level=warn'],
  ]
  const child = spawn(program!, [...first, ...options], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = new Promise(resolve => child.once('exit', resolve))
  let said = ''
  child.stderr.on('data', chunk => (said += chunk))
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  const origin = `http://127.0.0.1:${port}`
  await until(
    'Prometheus is ready',
    () => {
      if (child.exitCode !== null) throw new Error(`Prometheus ended: ${said}`)
      return fetch(`${origin}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      )
    },
    60_000,
    () => said,
  )
  const api = async <T>(path: string): Promise<T> => {
    const answer = (await (await fetch(`${origin}/api/v1/${path}`)).json()) as { status: string; error?: string; data: T }
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`)
    return answer.data
  }
  return {
    origin,
    api,
    async query(expr) {
      const { resultType, result } = await api<{ resultType: string; result: Answer[] | Answer['value'] }>(
        `query?${new URLSearchParams({ query: expr })}`,
      )
      return resultType === 'scalar' ? [{ metric: {}, value: result as Answer['value'] }] : (result as Answer[])
    },
  }
}

/** Prometheus' own tool. @returns all that it said, and its exit code */
export const promtool = (args: readonly string[], input = ''): { code: number | null; said: string } => {
  const { status, stdout, stderr } = spawnSync(findProgram('promtool')!, args, { input, encoding: 'utf8' })
  return { code: status, said: `${stdout}${stderr}` }
}
