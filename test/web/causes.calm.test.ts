import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ring } from '../../app/runs/doorbell.ts'
import { insertTasks } from '../../app/store/insert-task.ts'
import { wishDown } from '../../app/store/wishes.ts'
import { en } from '../../app/texts/en.ts'
import { zh } from '../../app/texts/zh.ts'
import type { ListeningPanel, SignedIn } from '../helpers/listening-panel.ts'
import { startMariaDb } from '../helpers/mariadb.ts'
import { openPanel } from '../helpers/open-panel.ts'
import { makeScene, type Scene, until } from '../helpers/scene.ts'
import { mariadbMissing } from '../helpers/tools.ts'
import { newTask } from '../store/new-task.ts'

/*
 * Loops that fail, each really and by one thing: what their pages say of it. Read is the first screen, as an operator finds it who opens the page: the
 * head of the page with its sentences, and nothing below them; and before that its line on the overview. Both have to name the right cause, in both
 * languages, and no other.
 */

const fixtures = join(import.meta.dirname, '..', 'fixtures', 'causes')

interface Failure {
  name: string
  action: string
  params?: Record<string, string | number>
  graceMs?: number
  /** What is done to the loop once it runs. */
  act?: (scene: Scene, id: number) => Promise<unknown>
  /** The text that names the cause. */
  cause?: keyof typeof en
  /** What else the first screen has to say. */
  says: RegExp
  saysInChinese: RegExp
  /** It has no line on the overview: there is nothing to be done about it. */
  isSettled?: true
}

const failures = async (t: TestContext): Promise<Failure[]> => {
  const taken = await portTaken(t)
  return [
    {
      name: 'out of memory',
      action: 'fails/out-of-memory',
      cause: 'cause.memory',
      says: /memory limit of 96 MB/,
      saysInChinese: /96 MB 的内存上限/,
    },
    { name: 'leak', action: 'fails/leaks', cause: 'cause.leak', says: /memory limit of 96 MB/, saysInChinese: /内存泄漏/ },
    {
      name: 'segfault',
      action: 'fails/segfaults',
      cause: 'cause.segfault',
      says: /killed by SIGSEGV/,
      saysInChinese: /被 SIGSEGV 终止.*段错误/,
    },
    {
      name: 'bad configuration',
      action: 'fails/is-misconfigured',
      says: /its configuration is wrong.*The address of the mail server is not set\. Set MAIL_HOST/,
      saysInChinese: /配置有误.*The address of the mail server is not set\. Set MAIL_HOST/,
    },
    {
      name: 'endless iteration',
      action: 'fails/iterates-without-end',
      cause: 'cause.hangs',
      says: /has not finished an iteration in the time it promised/,
      saysInChinese: /未能在承诺的时间内完成一轮迭代/,
    },
    {
      name: 'blocked event loop',
      action: 'fails/blocks',
      cause: 'cause.blocks',
      says: /has not finished an iteration in the time it promised/,
      saysInChinese: /未能在承诺的时间内完成一轮迭代/,
    },
    {
      name: 'ignored stop',
      action: 'fails/ignores-stop',
      graceMs: 700,
      act: (scene, id) => stop(scene, id, 'anna'),
      isSettled: true,
      cause: 'cause.ignoredStop',
      says: /Stopped by anna.*SIGKILL ended it (?:\d{3} ms|[\d.]+ s) after SIGTERM/,
      saysInChinese: /anna .*停止.*SIGTERM 之后/,
    },
    {
      name: 'port taken',
      action: 'fails/wants-port',
      params: { port: taken },
      cause: 'cause.port',
      says: new RegExp(`already \\(127\\.0\\.0\\.1:${taken}\\)`),
      saysInChinese: new RegExp(`127\\.0\\.0\\.1:${taken}`),
    },
    {
      name: 'refused connection',
      action: 'fails/wants-connection',
      // Nobody is asked for a port below 1024, and nobody here listens at the first.
      params: { port: 1 },
      cause: 'cause.refused',
      says: /nothing listens at 127\.0\.0\.1:\d+/,
      saysInChinese: /127\.0\.0\.1:\d+ 处没有程序在监听/,
    },
    {
      name: 'flood of output',
      action: 'fails/floods',
      cause: 'cause.flood',
      says: /printed more than its limit of 200,000 bytes/,
      saysInChinese: /输出超过了 200,000 字节的上限/,
    },
    {
      name: 'missing module',
      action: 'broken/missing-module',
      cause: 'cause.module',
      says: /imports not-installed-anywhere/,
      saysInChinese: /not-installed-anywhere/,
    },
    {
      name: 'syntax error',
      action: 'broken/syntax-error',
      cause: 'cause.syntax',
      says: /syntax-error\.ts/,
      saysInChinese: /syntax-error\.ts/,
    },
    { name: 'unhandled rejection', action: 'fails/rejects', cause: 'cause.rejection', says: /rose garden/, saysInChinese: /rose garden/ },
    {
      name: 'exit 0 without outcome',
      action: 'fails/leaves-with-zero',
      cause: 'cause.exitZero',
      says: /It left with code 0 without an outcome/,
      saysInChinese: /以代码 0 退出/,
    },
    {
      name: 'disk full',
      action: 'fails/fills-disk',
      params: { path: join(smallDisk(t), 'ballast') },
      cause: 'cause.disk',
      says: /ENOSPC/,
      saysInChinese: /ENOSPC/,
    },
    {
      name: 'wrong params',
      action: 'fails/wants-count',
      says: /params do not fit what its action asks for: .*count/,
      saysInChinese: /参数不符合动作的要求：.*count/,
    },
    {
      name: 'crash at once',
      action: 'fails/crashes-at-once',
      cause: 'cause.aborted',
      says: /the last time \d+ ms after its start.*killed by SIGABRT/,
      saysInChinese: /最后一次仅运行了 \d+ 毫秒.*被 SIGABRT 终止/,
    },
    {
      name: 'crash after a second',
      action: 'fails/crashes-after-a-second',
      cause: 'cause.exit',
      says: /the last time [1-9][\d.]* s after its start.*Its last error line: Error: the file of the queue is damaged/,
      saysInChinese: /最后一次仅运行了 [1-9][\d.]* 秒.*最后一行错误：Error[:：] ?the file of the queue is damaged/,
    },
    {
      name: 'killed by hand',
      action: 'fails/runs-well',
      act: async (scene, id) => {
        const pid = await until('its process', () => scene.marked().find(({ mark }) => mark.includes(`/${id}-1/`))?.pid)
        process.kill(pid, 'SIGKILL')
      },
      cause: 'cause.byHand',
      says: /It is up again.*killed by SIGKILL/,
      saysInChinese: /再次运行中.*被 SIGKILL 终止/,
    },
  ]
}

test('nineteen ways to fail: the first screen of the loop and its line on the overview name the right cause, in both languages, and no other', {
  timeout: 150_000,
}, async t => {
  const scene = await makeScene(t, { env: { BGTASK_ACTIONS: [fixtures, brokenActions(t)].join(delimiter) } })
  const panel = await openPanel(t, { env: { BGTASK_RUNTIME: scene.runtime, BGTASK_ACTIONS: scene.config.actions.join(delimiter) } })
  const viewer = await panel.signIn('viewer')
  const supervisor = await scene.supervise()
  const all = await failures(t)
  const open = new Map<Failure, { id: number; places: Map<string, Seen | null> }>()
  const begin = async (failure: Failure) => {
    const { action, params = {}, graceMs = 2_000 } = failure
    // As they were stored before the action asked for others.
    const given = action === 'fails/wants-count' ? { count: 'many' } : params
    const [added] = await insertTasks(scene.background.db, [
      newTask({ action, params: given, execType: 'FOREVER', graceMs, runAt: Date.now() }),
    ])
    const { id } = added!.task
    const places = failure.isSettled ? ['page'] : ['page', 'overview']
    open.set(failure, { id, places: new Map(places.map(place => [place, null])) })
    ring(scene.runtime)
    if (failure.act) {
      await scene.untilState(id, 'running', 60_000)
      await failure.act(scene, id)
    }
  }
  const wrong: string[] = []
  const look = async (failure: Failure) => {
    const { id, places } = open.get(failure)!
    for (const place of [...places.keys()]) {
      const read = place === 'page' ? firstScreen : overviewLine
      const seen = { en: await read(panel, viewer, id, 'en'), zh: await read(panel, viewer, id, 'zh-CN') }
      places.set(place, seen)
      if (!namesCause(failure, seen)) continue
      for (const [language, texts] of [
        ['en', en],
        ['zh', zh],
      ] as const)
        for (const key of othersIn(seen[language], texts, failure.cause))
          wrong.push(`${failure.name} is told as ${key} by its ${place}: ${seen[language]}`)
      places.delete(place)
    }
    if (places.size > 0) return
    open.delete(failure)
    await stop(scene, id, 'test')
  }
  // Some at a time, so that they do not only wait for one another.
  const waiting = [...all]
  await until(
    'the page of each and the overview name its cause',
    async () => {
      while (open.size < atOnce && waiting.length > 0) await begin(waiting.shift()!)
      for (const failure of [...open.keys()]) await look(failure)
      return open.size === 0 && waiting.length === 0
    },
    120_000,
    () => [...open].map(([{ name }, { places }]) => `\n${name}: ${JSON.stringify([...places])}`).join(''),
  )
  assert.deepEqual(wrong, [])
  assert.equal(await supervisor.stop(), 0)
})

test('the database is away: overview and the loop’s address say so meanwhile, and afterwards what it ended of', {
  skip: mariadbMissing(),
  timeout: 90_000,
}, async t => {
  const server = await startMariaDb()
  t.after(() => server.stop())
  const databaseUrl = await server.newDatabase()
  const scene = await makeScene(t, { databaseUrl, env: { BGTASK_ACTIONS: fixtures } })
  const panel = await openPanel(t, { env: { BGTASK_RUNTIME: scene.runtime, BGTASK_ACTIONS: fixtures, DATABASE_URL: databaseUrl } })
  const viewer = await panel.signIn('viewer')
  const supervisor = await scene.supervise()
  const { id } = await scene.background.addTask('fails/asks-database', {}, 'FOREVER')
  await scene.untilState(id, 'running')
  await server.kill()
  for (const [language, says] of [
    ['en', /The database does not answer/],
    ['zh-CN', /数据库/],
  ] as const) {
    const { status, body } = await panel.ask({ url: `/admin/core/bgtask/${id}`, as: viewer, headers: { 'accept-language': language } })
    assert.equal(status, 503)
    assert.match(body, says)
    const overview = await panel.ask({ url: '/admin', as: viewer, headers: { 'accept-language': language } })
    assert.match(overview.body, says)
  }
  await until('its run has ended', () => scene.marked().every(({ mark }) => !mark.includes(`/${id}-1/`)))
  await server.restart()
  await until(
    'its page and its line on the overview say what it ended of',
    async () => {
      for (const read of [firstScreen, overviewLine]) {
        const seen = { en: await read(panel, viewer, id, 'en'), zh: await read(panel, viewer, id, 'zh-CN') }
        if (!seen.en.includes(opening(en['cause.database'])) || !seen.zh.includes(opening(zh['cause.database']))) return false
      }
      return true
    },
    20_000,
    async () => `${await firstScreen(panel, viewer, id, 'en')}\n${await overviewLine(panel, viewer, id, 'en')}`,
  )
  await supervisor.stop()
})

const stop = async ({ background, runtime }: Scene, id: number, by: string) => {
  await wishDown(background.db, id, by, Date.now())
  ring(runtime)
}

/** Failing loops of which the pages are looked at again and again. */
const atOnce = 7

/** The head of the page as text, up to the figures below its sentences. Empty when the page is not there. */
const firstScreen = async (panel: ListeningPanel, as: SignedIn, id: number, language: string): Promise<string> => {
  const { body } = await panel.ask({ url: `/admin/core/bgtask/${id}`, as, headers: { 'accept-language': language } })
  const head = /<section id="task-head"[\s\S]*?<dl class="facts strip">/.exec(body)?.[0] ?? ''
  // The buttons are no part of what is said.
  return textOf(head.replace(/<div class="acts">[\s\S]*$/, ''))
}

/** What the overview says of it, among what needs attention or what runs. Empty when it is in neither. */
const overviewLine = async (panel: ListeningPanel, as: SignedIn, id: number, language: string): Promise<string> => {
  const { body } = await panel.ask({ url: '/admin', as, headers: { 'accept-language': language } })
  const lines = body.match(/<li class="line">[\s\S]*?<\/li>/g) ?? []
  return textOf(lines.find(line => line.includes(`class="line-name" href="/admin/core/bgtask/${id}"`)) ?? '')
}

const textOf = (html: string) =>
  html
    .replace(/<[^>]+>/g, '')
    .replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code))
    .replace(/&(lt|gt|amp|quot);/g, (_, name: string) => ({ lt: '<', gt: '>', amp: '&', quot: '"' })[name]!)
    .replace(/\s+/g, ' ')
    .trim()

interface Seen {
  en: string
  zh: string
}

const namesCause = ({ says, saysInChinese, cause }: Failure, seen: Seen) =>
  says.test(seen.en) &&
  saysInChinese.test(seen.zh) &&
  (cause === undefined || (seen.en.includes(opening(en[cause])) && seen.zh.includes(opening(zh[cause]))))

/** What a sentence begins with, before the first place for a value. */
const opening = (text: string) =>
  text
    .split('{', 1)[0]!
    .trim()
    .replace(/^(.{60}).*$/, '$1')

const othersIn = (said: string, texts: Record<string, string>, own: string | undefined): string[] =>
  Object.entries(texts).flatMap(([key, text]) => {
    const begins = opening(text)
    return key.startsWith('cause.') && key !== own && begins.length > 6 && said.includes(begins) ? [key] : []
  })

const portTaken = async (t: TestContext): Promise<number> => {
  const server = await listening()
  t.after(() => server.close())
  return (server.address() as { port: number }).port
}

const listening = (): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(server))
  })

/** A file system of its own with little room; where none can be mounted, the device that is always full stands for it. */
const smallDisk = (t: TestContext): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-mount-'))
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'bgtask-test', folder]).status !== 0)
    spawnSync('ln', ['-s', '/dev/full', join(folder, 'ballast')])
  t.after(() => {
    spawnSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

/** Files that no compiler here is to look at. */
const brokenActions = (t: TestContext): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bgtask-broken-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'broken'))
  writeFileSync(join(folder, 'broken', 'missing-module.ts'), "import 'not-installed-anywhere'\nexport const execute = () => {}\n")
  writeFileSync(join(folder, 'broken', 'syntax-error.ts'), 'export const execute = () => {\n  return 1 +\n}\n')
  return folder
}
