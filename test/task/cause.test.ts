import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { causeOf, type EndedRun } from '../../app/task/cause.ts'
import { stallKindOf } from '../../app/task/end-facts.ts'
import { explainEnd } from '../../app/task/explain.ts'
import { lastErrorLine } from '../../app/task/last-error-line.ts'
import { translate } from '../../app/texts/translate.ts'

const run = (more: Partial<EndedRun>): EndedRun => ({
  outcome: 'failed',
  exitCode: 1,
  signal: null,
  recycled: false,
  error: null,
  content: null,
  ...more,
})
const threw = (error: Error): Partial<EndedRun> => ({ content: error.message, error: inspect(error) })
const systemError = (message: string, code: string) => Object.assign(new Error(message), { code })

test('what ended a run: by its signal, its code, who stopped it, and the words of its error', () => {
  const stop = { because: 'wanted-down', by: 'anna', at: 1, killedAfterMs: 4_000 } as const
  const cases: [Partial<EndedRun>, string | null, unknown?][] = [
    [{ outcome: 'succeeded', exitCode: 0 }, null],
    [{ outcome: 'cancelled', endFacts: { stop: { ...stop, killedAfterMs: null } } }, null],
    [{ outcome: 'cancelled', endFacts: { stop } }, 'ignoredStop', 4_000],
    [{ outcome: 'timed-out', endFacts: { stop: { ...stop, because: 'stalled', stalled: 'busy' } } }, 'blocked'],
    [{ outcome: 'timed-out', endFacts: { stop: { ...stop, because: 'stalled', stalled: 'waiting' } } }, 'hung'],
    // As it was stored before it was known who stopped it.
    [{ outcome: 'interrupted', error: 'It did not end within 300 ms after SIGTERM and was ended by SIGKILL.' }, 'ignoredStop', 300],
    [{ outcome: 'killed', exitCode: null, signal: 'SIGSEGV' }, 'segfault'],
    [{ outcome: 'killed', exitCode: null, signal: 'SIGABRT' }, 'aborted'],
    [{ outcome: 'killed', exitCode: null, signal: 'SIGTERM' }, 'signal'],
    [{ outcome: 'killed', exitCode: null, signal: 'SIGKILL' }, 'sigkill'],
    [{ outcome: 'killed', exitCode: null, signal: 'SIGKILL', endFacts: { kernelKills: 0 } }, 'byHand'],
    [{ outcome: 'killed', exitCode: null, signal: 'SIGKILL', endFacts: { kernelKills: 2 } }, 'kernelMemory'],
    [{ outcome: 'out-of-memory', exitCode: null, signal: 'SIGABRT', iterations: 0 }, 'memory'],
    [{ outcome: 'out-of-memory', exitCode: null, signal: 'SIGABRT', iterations: 1_000 }, 'leak', 1_000],
    [{ outcome: 'exited', exitCode: 0, content: 'The process left with exit code 0 before its action had ended.' }, 'exitZero'],
    [{ outcome: 'exited', exitCode: 3, content: 'The process left with exit code 3 before its action had ended.' }, 'exit', '3'],
    [{ outcome: 'exited', exitCode: 3, error: 'The process left with code 3 without an outcome.' }, null],
    [{ outcome: 'exited', exitCode: 78 }, null],
    [
      { outcome: 'exited', exitCode: 1, error: 'Last error printed: Error: connect ECONNREFUSED 10.0.0.7:5432' },
      'refused',
      '10.0.0.7:5432',
    ],
    [{ outcome: 'lost', exitCode: null }, null],
    [threw(new TypeError('x is not a function')), null],
    [{ ...threw(new Error('nobody')), endFacts: { uncaught: 'rejection' } }, 'rejection'],
    [{ ...threw(new Error('nobody')), endFacts: { uncaught: 'exception' } }, 'exception'],
    [threw(systemError('listen EADDRINUSE: address already in use :::8080', 'EADDRINUSE')), 'port', ':::8080'],
    [
      threw(new TypeError('fetch failed', { cause: systemError('connect ECONNREFUSED 127.0.0.1:9', 'ECONNREFUSED') })),
      'refused',
      '127.0.0.1:9',
    ],
    [threw(new AggregateError([systemError('connect ECONNREFUSED ::1:9', 'ECONNREFUSED')], '')), 'refused', '::1:9'],
    [threw(new Error('mail.example did not take it: connect ECONNREFUSED 192.0.2.7:25.')), 'refused', '192.0.2.7:25'],
    [threw(systemError('getaddrinfo ENOTFOUND db.example', 'ENOTFOUND')), 'name', 'db.example'],
    [threw(systemError('read ECONNRESET', 'ECONNRESET')), 'noAnswer', 'ECONNRESET'],
    [threw(systemError("ENOSPC: no space left on device, open '/data/x'", 'ENOSPC')), 'disk', 'ENOSPC'],
    [threw(systemError("EACCES: permission denied, open '/etc/shadow'", 'EACCES')), 'denied', '/etc/shadow'],
    [threw(systemError("ENOENT: no such file or directory, open '/data/in.csv'", 'ENOENT')), 'missing', '/data/in.csv'],
    [threw(systemError('spawn convert ENOENT', 'ENOENT')), 'missing', 'convert'],
    [threw(systemError('EMFILE: too many open files', 'EMFILE')), 'openFiles', 'EMFILE'],
    [
      threw(new Error('The database mysql://bgtask@db/bgtask cannot be reached: nothing listens there.')),
      'database',
      'mysql://bgtask@db/bgtask',
    ],
    [threw(systemError('Connection lost: The server closed the connection.', 'PROTOCOL_CONNECTION_LOST')), 'database'],
    [{ content: "The action a/b does not load from /x/b.ts: Cannot find package 'left-pad' imported from /x/b.ts" }, 'module', 'left-pad'],
    [
      { content: 'The action a/b does not load from /x/b.ts: Unexpected end of input', error: 'SyntaxError: Unexpected end of input' },
      'syntax',
      '/x/b.ts',
    ],
    // Data that is no JSON is no mistake in the code.
    [threw(new SyntaxError('Unexpected token } in JSON at position 3')), null],
    [{ content: 'It printed more than its limit of 200,000 bytes (killOnOutputBytes) and was ended.' }, 'flood', '200,000'],
  ]
  for (const [given, name, value] of cases) {
    const cause = causeOf(run(given))
    assert.equal(cause?.key ?? null, name === null ? null : `cause.${name}`, JSON.stringify(given))
    if (value !== undefined) assert.ok(Object.values(cause!.values).includes(value as string), JSON.stringify(cause))
    if (cause) for (const language of ['en', 'zh'] as const) assert.ok(translate(language, cause.key, cause.values).length > 10)
  }
})

test('how lives ended, in the words of the table of lives', () => {
  const say = (more: Partial<EndedRun>, language: 'en' | 'zh' = 'en') => {
    const { key, values } = explainEnd(run(more))
    return translate(language, key, values)
  }
  const stop = (
    because: 'wanted-down' | 'fresh-wish' | 'reload' | 'leaving' | 'stalled' | 'cancel' | 'timeout',
    by: string | null = null,
  ) => ({
    endFacts: { stop: { because, by, at: 1, killedAfterMs: null } },
  })
  const recycled = { outcome: 'succeeded', exitCode: 0, recycled: true } as const
  const cases: [Partial<EndedRun>, string, string][] = [
    [
      { ...recycled, content: 'recycled after 1000 iterations' },
      'Recycled after 1,000 iterations: a fresh process follows.',
      '迭代 1,000 轮后回收，随后换上新进程。',
    ],
    [
      { ...recycled, content: 'recycled after 90000 ms' },
      'Recycled after 1 min 30 s: a fresh process follows.',
      '运行 1 分 30 秒后回收，随后换上新进程。',
    ],
    [
      { ...recycled, content: 'recycled at 201 MB of memory, after 7 iterations' },
      'Recycled at 201 MB of memory: a fresh process follows.',
      '内存达到 201 MB 时回收，随后换上新进程。',
    ],
    [
      { ...recycled, content: 'done for today' },
      'Ended by its own recycling rule: a fresh process follows.',
      '按自身的回收规则结束，随后换上新进程。',
    ],
    [
      { outcome: 'out-of-memory', error: 'It needed more memory than its limit of 512 MB (memoryMb).' },
      'It reached its memory limit of 512 MB.',
      '达到 512 MB 的内存上限。',
    ],
    [{ outcome: 'cancelled', ...stop('wanted-down', 'anna') }, 'Stopped by anna.', '被 anna 停止。'],
    [{ outcome: 'cancelled', ...stop('wanted-down') }, 'It was stopped.', '被停止。'],
    [{ outcome: 'cancelled', ...stop('cancel', 'anna') }, 'Cancelled by anna.', '被 anna 取消。'],
    [{ outcome: 'interrupted', ...stop('fresh-wish', 'anna') }, 'Restarted by anna.', '被 anna 重启。'],
    [
      { outcome: 'interrupted', ...stop('reload', 'anna') },
      'Replaced by fresh code (reload by anna).',
      '换用新代码（anna 要求重新加载）。',
    ],
    [{ outcome: 'interrupted', ...stop('leaving') }, 'Stopped with the supervisor.', '随监管进程一同停止。'],
    [
      { outcome: 'interrupted', ...stop('leaving', 'anna') },
      'Stopped with the supervisor, which anna stopped.',
      '随监管进程一同停止（anna 停止了监管进程）。',
    ],
    [
      { outcome: 'timed-out', ...stop('stalled') },
      'It finished no iteration in the time it promised, and was restarted.',
      '未能在承诺的时间内完成一轮迭代，已被重启。',
    ],
    [{ outcome: 'timed-out', ...stop('timeout') }, 'It was stopped at its time limit.', '到达时限，被停止。'],
    [{ outcome: 'lost', exitCode: null }, 'It ended while nobody watched and left no trace.', '在无人监视时结束，没有留下痕迹。'],
    [
      { outcome: 'exited', exitCode: 3, error: 'Last line printed: SMTP_HOST is not set' },
      'It left with code 3 without an outcome. Its last line of output: SMTP_HOST is not set',
      '以代码 3 退出，未留下结果。输出的最后一行：SMTP_HOST is not set',
    ],
    [
      { outcome: 'exited', exitCode: 3, error: 'The process left with code 3 without an outcome.\nLast error printed: Error: no queue' },
      'It left with code 3 without an outcome. Its last error line: Error: no queue',
      '以代码 3 退出，未留下结果。最后一行错误：Error: no queue',
    ],
  ]
  for (const [given, english, chinese] of cases) {
    assert.equal(say(given), english)
    assert.equal(say(given, 'zh'), chinese)
  }
})

test('the last line that names an error: its message, not its stack', () => {
  const output = [
    'polled 3',
    'Error: connect ECONNREFUSED 127.0.0.1:9',
    '    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1637:16) {',
    '  errno: -111,',
    "  code: 'ECONNREFUSED',",
    '}',
    'leaving',
  ].join('\n')
  assert.equal(lastErrorLine(output), 'Error: connect ECONNREFUSED 127.0.0.1:9')
  assert.equal(lastErrorLine('12:00:01 warn  the disk is failing: read failed\nbye'), '12:00:01 warn  the disk is failing: read failed')
  assert.equal(lastErrorLine('all is well\nbye\n'), null)
  assert.equal(lastErrorLine(''), null)
  assert.equal(lastErrorLine(`Error: ${'x'.repeat(1_000)}`)?.length, 300)
})

test('a stalled loop computes or waits', () => {
  assert.equal(stallKindOf(1_900, 2_000), 'busy')
  assert.equal(stallKindOf(60, 2_000), 'waiting')
})
