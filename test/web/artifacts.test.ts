import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { openArtifact } from '../../app/api/open-artifact.ts'
import { makeToken } from '../../app/api/tokens.ts'
import { lookAtMachine } from '../../app/runs/machine.ts'
import { runtimePaths } from '../../app/runs/runtime-folder.ts'
import { listArtifacts, type RunArtifact } from '../../app/store/artifacts.ts'
import { deleteTask } from '../../app/store/wishes.ts'
import { dispositionOf, rangeOf } from '../../app/web/artifact-answer.ts'
import { buildServer } from '../../app/web/server.ts'
import { sharedMariaDb } from '../helpers/mariadb.ts'
import { makeScene, type Scene, until } from '../helpers/scene.ts'

const machine = await lookAtMachine([])
const needsRoot = machine.runAs === null ? false : `NOT TRIED ON THIS MACHINE: ${machine.runAs}`

for (const dialect of ['SQLite', 'MariaDB'] as const) {
  describe(`files that a run declares, on ${dialect}`, async () => {
    const ending: (() => unknown)[] = []
    const t = { after: (end: () => unknown) => void ending.unshift(end) }
    let scene: Scene
    let origin: string
    let token: string
    /** Where the application keeps its files; the runtime folder is elsewhere. */
    let folder: string

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'bgtask-artifacts-'))
      t.after(() => rmSync(folder, { recursive: true, force: true }))
      chmodSync(folder, 0o755)
      scene = await makeScene(t as never, dialect === 'MariaDB' ? { databaseUrl: await (await sharedMariaDb()).newDatabase() } : {})
      await scene.supervise()
      const app = await buildServer(scene.config, { background: scene.background })
      t.after(() => app.close())
      origin = await app.listen({ host: '127.0.0.1', port: 0 })
      token = await reader(scene)
    })
    after(async () => {
      for (const end of ending) await end()
    })

    const made = (name: string, content = `what lies in ${name}\n`) => {
      const path = join(folder, name)
      writeFileSync(path, content)
      return path
    }
    const ask = (path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> =>
      new Promise((resolve, reject) => {
        get(`${origin}${path}`, { headers: { authorization: `Bearer ${token}`, ...headers } }, resolve).on('error', reject)
      })
    const told = async (path: string, headers?: Record<string, string>) => {
      const answer = await ask(path, headers)
      return { status: answer.statusCode, headers: answer.headers, body: await text(answer) }
    }
    const listed = async (id: number) =>
      JSON.parse((await told(`/api/v1/tasks/${id}/artifacts`)).body).artifacts as {
        n: number
        name: string
        sizeBytes: number
        trouble: string | null
        path: string
      }[]
    const declares = async (files: { path: string; name?: string }[], more: object = {}, action = 'test/declares') =>
      (await scene.background.addTask(action, { files, ...more })).id
    const declared = async (path: string, name?: string) => {
      const id = await declares([{ path, ...(name ? { name } : {}) }])
      const { content } = await scene.untilState(id, 'succeeded')
      assert.equal(content, 'declared')
      return { id, file: `/api/v1/tasks/${id}/artifacts/1/1` }
    }

    test('are listed and downloaded while it lives and when it has ended, whole and in parts, to be saved and never shown', async () => {
      const path = made('report.csv', 'abcdefghij')
      const go = join(folder, 'go')
      const id = await declares([{ path, name: 'Über „alles“ 报告.csv' }], { go })
      await until('the file is listed', async () => (await listed(id)).length === 1)
      assert.equal((await told(`/api/v1/tasks/${id}/artifacts/1/1`)).body, 'abcdefghij')
      appendFileSync(path, 'klmno')
      assert.equal((await told(`/api/v1/tasks/${id}/artifacts/1/1`)).body, 'abcdefghijklmno')
      writeFileSync(go, '')
      await scene.untilState(id, 'succeeded')
      const [file] = await listed(id)
      assert.deepEqual([file!.name, file!.sizeBytes, file!.trouble], ['Über „alles“ 报告.csv', 15, null])
      const whole = await told(file!.path)
      assert.deepEqual([whole.status, whole.body], [200, 'abcdefghijklmno'])
      assert.deepEqual(
        ['content-disposition', 'content-type', 'x-content-type-options', 'content-length', 'cache-control'].map(
          name => whole.headers[name],
        ),
        [
          `attachment; filename="_ber _alles_ __.csv"; filename*=UTF-8''%C3%9Cber%20%E2%80%9Ealles%E2%80%9C%20%E6%8A%A5%E5%91%8A.csv`,
          'application/octet-stream',
          'nosniff',
          '15',
          'no-store',
        ],
      )
      assert.match(String(whole.headers['content-security-policy']), /sandbox/)
      const part = await told(file!.path, { range: 'bytes=5-9', 'if-range': String(whole.headers.etag) })
      assert.deepEqual([part.status, part.body, part.headers['content-range']], [206, 'fghij', 'bytes 5-9/15'])
      // Of what was another file then, the whole is told.
      assert.equal((await told(file!.path, { range: 'bytes=5-9', 'if-range': '"other"' })).status, 200)
      const beyond = await told(file!.path, { range: 'bytes=15-' })
      assert.deepEqual([beyond.status, beyond.headers['content-range']], [416, 'bytes */15'])
      for (const wrong of [
        `/api/v1/tasks/${id}/artifacts/1/2`,
        `/api/v1/tasks/${id}/artifacts/2/1`,
        `/api/v1/tasks/${id}/artifacts/1/..%2f1`,
      ])
        assert.equal((await told(wrong)).status, 404, wrong)
    })

    test('are gone for the reader when they are gone, replaced or changed, whatever lies there then', async () => {
      const trouble = async (name: string, change: (path: string) => void, expected: string) => {
        const path = made(name)
        const { id, file } = await declared(path)
        change(path)
        const answer = await told(file)
        assert.deepEqual([answer.status, (await listed(id))[0]!.trouble], [410, expected], name)
        assert.equal(JSON.parse(answer.body).error.code, 'gone')
        assert.ok(!answer.body.includes('what lies in'), answer.body)
      }
      const secret = runtimePaths(scene.runtime).sessionSecret
      assert.ok(existsSync(secret))
      await trouble('removed', path => rmSync(path), 'gone')
      await trouble(
        'link-to-a-secret',
        path => {
          rmSync(path)
          symlinkSync(secret, path)
        },
        'replaced',
      )
      await trouble(
        'hard-link-to-a-secret',
        path => {
          rmSync(path)
          linkSync(secret, path)
        },
        'replaced',
      )
      await trouble('another-file', path => renameSync(made('other'), path), 'replaced')
      await trouble(
        'a-folder',
        path => {
          rmSync(path)
          mkdirSync(path)
        },
        'replaced',
      )
      await trouble(
        'a-pipe',
        path => {
          rmSync(path)
          spawnSync('mkfifo', [path])
        },
        'replaced',
      )
      await trouble(
        'written-on',
        path => {
          appendFileSync(path, 'more')
          utimesSync(path, new Date(), new Date(Date.now() + 60_000))
        },
        'changed',
      )
      // A folder above it now leads elsewhere.
      mkdirSync(join(folder, 'sub'))
      await trouble(
        'sub/session-secret',
        () => {
          rmSync(join(folder, 'sub'), { recursive: true })
          symlinkSync(scene.runtime, join(folder, 'sub'))
        },
        'replaced',
      )
    })

    test('are none of our own, by whatever name', async () => {
      const paths = runtimePaths(scene.runtime)
      const exports = join(scene.runtime, 'exports')
      mkdirSync(exports, { recursive: true })
      linkSync(paths.sessionSecret, join(exports, 'hard'))
      symlinkSync(paths.sessionSecret, join(exports, 'soft'))
      writeFileSync(paths.cronKey, 'a key', { mode: 0o600 })
      linkSync(paths.cronKey, join(exports, 'hard-key'))
      writeFileSync(join(exports, 'good'), 'good')
      const ours = [
        paths.sessionSecret,
        join(exports, '..', 'session-secret'),
        join(exports, 'soft'),
        join(exports, 'hard'),
        join(exports, 'hard-key'),
        paths.hostId,
        paths.log,
        '/proc/self/environ',
        '/dev/null',
        folder,
        join(folder, 'nowhere'),
        '',
      ]
      const id = await declares([...ours.map(path => ({ path })), { path: join(exports, 'good') }])
      const said = (await scene.untilState(id, 'succeeded')).content!.split('\n')
      assert.deepEqual(
        said.map(one => one === 'declared'),
        [...ours.map(() => false), true],
        said.join('\n'),
      )
      assert.match(
        said[0]!,
        /it lies in the runtime folder, which holds what must stay here; of that only what is below exports\/ is handed out/,
      )
      assert.match(said[3]!, /it is a file of bgtask itself/)
      assert.match(said[4]!, /it is a file of bgtask itself/)
      assert.match(said[10]!, /it is not there; declare a file when it is made/)
      assert.deepEqual(
        (await listed(id)).map(({ name }) => name),
        ['good'],
      )
      const named = await declares(
        ['../x', 'a\nb', '.hidden', ' ', 'x'.repeat(151), '\u202egpj.exe'].map(name => ({ path: join(exports, 'good'), name })),
      )
      assert.ok(
        (await scene.untilState(named, 'succeeded'))
          .content!.split('\n')
          .every(one => one.includes('the name') && one.includes('cannot be used')),
      )
    })

    test('cannot be made of ours by writing into the run folder either', async () => {
      const { sessionSecret } = runtimePaths(scene.runtime)
      const go = join(folder, 'go-forger')
      const id = await declares([], { go })
      await scene.untilState(id, 'running')
      const folderOfRun = runtimePaths(scene.runtime).run(`${id}-1`)
      await until('it has its folder', () => existsSync(folderOfRun.output))
      writeFileSync(
        folderOfRun.artifacts,
        JSON.stringify({ artifacts: [forgedOf(sessionSecret), { ...forgedOf(sessionSecret), n: 2, path: '../session-secret' }] }),
      )
      assert.equal((await told(`/api/v1/tasks/${id}/artifacts/1/1`)).status, 403)
      writeFileSync(go, '')
      await scene.untilState(id, 'succeeded')
      assert.deepEqual(
        (await listed(id)).map(({ n, trouble }) => [n, trouble]),
        [[1, 'kept-back']],
      )
      assert.equal((await told(`/api/v1/tasks/${id}/artifacts/1/1`)).status, 403)
    })

    test('outlive a crash of the run, and go with the task; the file stays', async () => {
      const path = made('before-the-crash')
      const id = await declares([{ path }], { crash: true })
      await until('it has crashed for good', async () => (await scene.task(id)).state === 'failed', 60_000)
      const { number } = await scene.task(id)
      assert.equal((await told(`/api/v1/tasks/${id}/artifacts/${number}/1`)).body, 'what lies in before-the-crash\n')
      assert.equal(await deleteTask(scene.background.db, id), true)
      assert.deepEqual(await listArtifacts(scene.background.db, id, number), [])
      assert.ok(existsSync(path))
    })

    test('are the newest fifty, each path once', async () => {
      const paths = Array.from({ length: 60 }, (_, n) => made(`many-${n}`))
      const id = await declares([...paths, paths[59]!].map(path => ({ path })))
      await scene.untilState(id, 'succeeded')
      const names = (await listed(id)).map(({ name }) => name)
      assert.deepEqual([names.length, names[0], names.at(-1)], [50, 'many-10', 'many-59'])
    })

    if (dialect === 'SQLite') {
      test('of another user’s run are read as that user: what it claims of others’ files is refused', { skip: needsRoot }, async () => {
        // /tmp has the sticky bit, and nobody owns what it makes here.
        const open = join(folder, 'open')
        mkdirSync(open)
        chmodSync(open, 0o777)
        const actions = join(folder, 'actions', 'other')
        mkdirSync(actions, { recursive: true })
        writeFileSync(
          join(actions, 'user.ts'),
          `import { writeFileSync, writeSync } from 'node:fs'
export const runAs = 'nobody'
export const execute = ({ params, artifact }) => {
  writeFileSync(params.path, 'of nobody')
  artifact(params.path, 'own.txt')
  if (params.forged) for (let fd = 5; fd < 16; fd++) try { writeSync(fd, params.forged, 0) } catch {}
  let refused = 0
  for (const path of params.closed) try { artifact(path) } catch { refused++ }
  return 'refused ' + refused
}`,
        )
        const other = await makeScene(t as never, { env: { BGTASK_ACTIONS: join(folder, 'actions') } })
        await other.supervise()
        const app = await buildServer(other.config, { background: other.background })
        t.after(() => app.close())
        const there = await app.listen({ host: '127.0.0.1', port: 0 })
        const key = await reader(other)
        const fetched = async (id: number, n: number, headers: Record<string, string> = {}) => {
          const answer = await fetch(`${there}/api/v1/tasks/${id}/artifacts/1/${n}`, {
            headers: { authorization: `Bearer ${key}`, ...headers },
          })
          return [answer.status, await answer.text()]
        }
        const closed = join(folder, 'only-root-reads')
        writeFileSync(closed, 'a secret of root')
        chmodSync(closed, 0o600)
        const own = join(open, 'own')
        const { id } = await other.background.addTask('other/user', {
          path: own,
          closed: [closed, runtimePaths(other.runtime).sessionSecret],
        })
        assert.equal((await other.untilState(id, 'succeeded')).content, 'refused 2')
        assert.deepEqual(await fetched(id, 1), [200, 'of nobody'])
        assert.deepEqual(await fetched(id, 1, { range: 'bytes=3-' }), [206, 'nobody'])
        // Readable for root, who serves it, and for nobody else: the right numbers of the file do not help.
        const text = JSON.stringify({ artifacts: [forgedOf(closed)] }).padEnd(4096)
        const { id: forger } = await other.background.addTask('other/user', { path: join(open, 'two'), forged: text, closed: [] })
        await other.untilState(forger, 'succeeded')
        const [kept] = await listArtifacts(other.background.db, forger, 1)
        assert.deepEqual([kept?.path, kept?.user?.asked], [closed, 'nobody'])
        const [status, body] = await fetched(forger, 1)
        assert.equal(status, 403, String(body))
        assert.ok(!String(body).includes('secret'))
        rmSync(own)
        assert.equal((await fetched(id, 1))[0], 410)
      })

      test('of 300 MB go through in little memory, and one that becomes shorter breaks off', async () => {
        const path = made('large')
        truncateSync(path, 300_000_000)
        const { id, file } = await declared(path)
        const answer = await ask(file)
        let bytes = 0
        let most = 0
        const before = process.memoryUsage().rss
        for await (const piece of answer) {
          bytes += (piece as Buffer).length
          if (bytes % 50 === 0) most = Math.max(most, process.memoryUsage().rss)
        }
        most = Math.max(most, process.memoryUsage().rss)
        assert.equal(bytes, 300_000_000)
        assert.ok(most - before < 150e6, `${(most - before) / 1e6} MB more`)
        const [artifact] = await listArtifacts(scene.background.db, id, 1)
        const [run] = await scene.runs(id)
        const opened = await openArtifact(scene.config, artifact as RunArtifact, run!)
        assert.ok(typeof opened !== 'string')
        truncateSync(path, 1_000)
        await assert.rejects(text(opened.read(0, 299_999_999)), /the file ended 299999000 bytes early/)
      })
    }
  })
}

test('what a Range asks for', () => {
  const cases: [string | undefined, unknown][] = [
    [undefined, null],
    ['bytes=0-', { first: 0, last: 9 }],
    ['bytes=2-4', { first: 2, last: 4 }],
    ['bytes=2-400', { first: 2, last: 9 }],
    ['bytes=-3', { first: 7, last: 9 }],
    ['bytes=-300', { first: 0, last: 9 }],
    ['bytes=10-', 'none'],
    ['bytes=-0', 'none'],
    ['bytes=4-2', null],
    ['bytes=0-1,3-4', null],
    ['lines=1-2', null],
    ['bytes=-', null],
  ]
  for (const [asked, expected] of cases) assert.deepEqual(rangeOf(asked, 10), expected, asked)
  assert.equal(rangeOf('bytes=0-', 0), 'none')
})

test('no name breaks out of its header', () => {
  for (const name of ['a"; filename="b.exe', 'a\\', "it's", 'a%0d%0ab', '100% (1).csv']) {
    const header = dispositionOf(name)
    const [, plain, encoded] = /^attachment; filename="([A-Za-z0-9._ -]*)"; filename\*=UTF-8''([A-Za-z0-9%._~!-]*)$/.exec(header)!
    assert.equal(decodeURIComponent(encoded!), name, plain)
  }
})

const reader = async ({ background }: Scene) =>
  (await makeToken(background.db, { name: null, ip: null, via: 'command-line' }, { name: 'reader', scopes: ['task:read'] })).text

/** As somebody writes it who knows all numbers of the file. */
const forgedOf = (path: string) => {
  const { dev, ino, birthtimeNs, size } = statSync(path, { bigint: true })
  return {
    n: 1,
    name: 'forged.txt',
    path,
    sizeBytes: Number(size),
    declaredAt: 1,
    device: String(dev),
    inode: String(ino),
    bornNs: String(birthtimeNs),
  }
}
