import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { subjects } from '../../app/api/check.ts'
import { roles } from '../../app/api/users.ts'
import { loopStates, onceStates } from '../../app/task/task.ts'
import { told } from '../../app/task/told.ts'
import { en } from '../../app/texts/en.ts'
import { formatBytes, formatDuration, formatRelative } from '../../app/texts/format.ts'
import { auditNote, stored } from '../../app/texts/stored.ts'
import { storedPartsZh, storedZh } from '../../app/texts/stored-zh.ts'
import { tell } from '../../app/texts/tell.ts'
import { toldZh } from '../../app/texts/told-zh.ts'
import { chooseLanguage, translate } from '../../app/texts/translate.ts'
import { zh } from '../../app/texts/zh.ts'
import { toldSentences } from './told-sentences.ts'

const root = join(import.meta.dirname, '..', '..')

test('both languages have the same texts, with the same values in them', () => {
  assert.deepEqual(Object.keys(zh), Object.keys(en))
  for (const key of Object.keys(en) as (keyof typeof en)[]) {
    // A word chosen by count need not be there in a language that does not have plural forms.
    const places = (text: string) => [...new Set([...text.matchAll(/\{(\w+)/g)].map(found => found[1]))].sort()
    assert.deepEqual(places(zh[key]), places(en[key]), key)
    assert.ok(en[key].trim() !== '' && zh[key].trim() !== '', key)
  }
})

test('no text shows a brace, whatever the count', () => {
  for (const language of ['en', 'zh'] as const) {
    for (const [key, text] of Object.entries(language === 'en' ? en : zh)) {
      for (const count of [0, 1, 2]) {
        const values = Object.fromEntries([...text.matchAll(/\{(\w+)/g)].map(found => [found[1]!, count]))
        assert.doesNotMatch(translate(language, key as keyof typeof en, values), /[{}]/, `${language} ${key}`)
      }
    }
  }
})

test('every text is used, and every text that is used is there', () => {
  const sources = [...filesIn('app'), ...filesIn('views')]
    .filter(path => !/app\/texts\/(en|zh)\.ts$/.test(path))
    .map(path => readFileSync(path, 'utf8'))
  const all = sources.join('\n')
  // `state.${…}`: every text that begins so is taken as used.
  const families = [...all.matchAll(/[`'"]([a-z][a-zA-Z]*(?:\.[a-zA-Z]+)*\.)\$\{/g)].map(found => found[1]!)
  const named = new Set([...all.matchAll(/['"`]([a-z][a-zA-Z]*(?:\.[\w -]+)+|yes|no|comma)['"`]/g)].map(found => found[1]!))
  const unused = Object.keys(en).filter(key => !named.has(key) && !families.some(family => key.startsWith(family)))
  assert.deepEqual(unused, [])
  const asked = [...all.matchAll(/(?:\bt|\bsay|translate)\((?:\w+(?:\.\w+)*, )?['"]([a-z][a-zA-Z]*(?:\.[\w-]+)+)['"]/g)].map(
    found => found[1]!,
  )
  assert.ok(asked.length > 100)
  assert.deepEqual(
    [...new Set(asked)].filter(key => !(key in en)),
    [],
  )
})

test('every sentence that the code tells is there in Chinese, with the same values, and no other is', () => {
  // Words that the code makes of names which it knows: states and roles.
  const words = [...onceStates, ...loopStates, ...roles]
  const told = new Set([...toldSentences(join(root, 'app')), ...words])
  assert.ok(told.size > 400)
  assert.deepEqual(
    [...told].filter(key => toldZh[key] === undefined),
    [],
  )
  assert.deepEqual(
    Object.keys(toldZh).filter(key => !told.has(key)),
    [],
  )
  const places = (text: string) => [...new Set(text.match(/\{\d+\}/g))].sort()
  for (const [key, text] of Object.entries(toldZh)) assert.deepEqual(places(text), places(key), key)
})

test('a told sentence is English as text and as JSON, and is told in the language of the reader, with those in it', () => {
  const path = '/srv/a b'
  const sentence = told`${path} is not there and cannot be made (${told`nothing can be made in ${'/srv'}: ${'EACCES'}`}).`
  const english = '/srv/a b is not there and cannot be made (nothing can be made in /srv: EACCES).'
  assert.equal(String(sentence), english)
  assert.equal(JSON.stringify({ sentence }), JSON.stringify({ sentence: english }))
  assert.equal(tell('en', sentence), english)
  assert.equal(tell('zh', sentence), '/srv/a b 不存在，也无法创建（无法在 /srv 中创建任何东西：EACCES）。')
  assert.equal(tell('zh', 'ENOENT: no such file'), 'ENOENT: no such file')
  // What a value holds is never taken for a place, nor for a sentence of ours.
  assert.equal(tell('zh', told`${'{0} is missing'} is missing`), '缺少 {0} is missing')
})

test('what bgtask has stored in English is told in Chinese, and what programs have stored stays as it is', () => {
  for (const [text, chinese] of [
    [
      '2 hooks, of which walk failed, 1 item done, 3 set aside, 1 module cannot be used.',
      '2 个钩子，其中 walk 失败，完成 1 个条目，3 个被搁置，1 个模块不能使用。',
    ],
    ['Stopped after 1 of 3; the next run goes on from there.', '完成 3 项中的 1 项后停止；下次运行从那里继续。'],
    ['TypeError: cron is "daily"; it must be a function', 'TypeError：cron 是 "daily"；必须是函数'],
    [
      'retried 1,200 failed tasks; 3 stay failed, since other tasks have their unique keys by now',
      '已重试 1,200 个失败任务；3 个仍为失败，因为其唯一键现已被其他任务持有',
    ],
    [
      'It did not end within 300 ms after SIGTERM and was ended by SIGKILL.\nand more',
      '它在 SIGTERM 之后 300 毫秒内没有结束，已被 SIGKILL 终止。\nand more',
    ],
    ['There are no orders before 2020.', 'There are no orders before 2020.'],
    ['', ''],
  ] as const) {
    assert.equal(stored('zh', text), chinese)
    assert.equal(stored('en', text), text)
  }
  assert.equal(stored('zh', 'stopped after 1 iteration'), '迭代 1 轮后停止')
  assert.equal(stored('zh', 'stopped after 12 iterations, 3 of which threw'), '迭代 12 轮后停止，其中 3 轮抛出错误')
  assert.equal(auditNote('zh', 'report/build, replacing task 7'), 'report/build，取代任务 7')
  assert.equal(
    auditNote('zh', 'Task 7 is running; only an ended task or a stopped loop can be deleted. Cancel or stop it first.'),
    '任务 7 运行中；只有已结束的任务或已停止的循环才能删除。请先取消或停止它。',
  )
  assert.equal(auditNote('zh', 'report/build'), 'report/build')
})

test('the words by which stored sentences are known again are those of the code', () => {
  const code = filesIn('app')
    .filter(path => !path.includes('app/texts/'))
    .map(path => readFileSync(path, 'utf8'))
    .join('\n')
  const pieces = Object.keys({ ...storedZh, ...storedPartsZh })
    .flatMap(english => english.split(/\{\d+#?\}|(?<=\.) /))
    .map(piece => piece.trim().replace(/^modules? |,$/g, ''))
    .filter(piece => piece.length >= 14)
  assert.ok(pieces.length > 30)
  assert.deepEqual(
    pieces.filter(piece => !code.includes(piece)),
    [],
  )
})

test('what check can speak of has a name in both languages', () => {
  for (const subject of subjects) assert.ok(`subject.${subject}` in en, subject)
})

test('values: numbers by locale, the word that fits the count, durations, sizes, times', () => {
  assert.equal(translate('en', 'overview.attention', { n: 1 }), '1 task needs attention.')
  assert.equal(translate('en', 'overview.attention', { n: 1234 }), '1,234 tasks need attention.')
  assert.equal(translate('zh', 'overview.attention', { n: 1234 }), '1,234 个任务需要关注。')
  assert.equal(translate('en', 'next.forcedAfterGrace', { graceMs: 90_000 }), 'What has not ended after 1 min 30 s is ended by force.')
  assert.equal(translate('en', 'next.nextTry', { until: 38_000 }, 0), 'Next try in 38 seconds.')
  assert.throws(() => translate('en', 'next.nextTry', {}), /needs a value for "until"/)
  assert.deepEqual(
    [0, 850, 4_240, 59_900, 185_000, 7_440_000, 442_800_000].map(ms => formatDuration('en', ms)),
    ['0 ms', '850 ms', '4.2 s', '59.9 s', '3 min 5 s', '2 h 4 min', '5 d 3 h'],
  )
  assert.deepEqual(
    [512, 1_500, 50_000_000].map(bytes => formatBytes('en', bytes)),
    ['512 B', '1.5 kB', '50 MB'],
  )
  assert.equal(formatRelative('en', 0, 12_000), '12 seconds ago')
  assert.equal(formatRelative('zh', 0, 12_000), '12秒钟前')
})

test('the language is that of the browser, as far as we speak it', () => {
  for (const [header, expected] of [
    [undefined, 'en'],
    ['', 'en'],
    ['zh-CN,zh;q=0.9,en;q=0.8', 'zh'],
    ['en;q=0.5, zh;q=0.7', 'zh'],
    ['de, fr;q=0.5', 'en'],
    ['xx;q=nonsense', 'en'],
  ] as const) {
    assert.equal(chooseLanguage(header), expected)
  }
})

const filesIn = (folder: string): string[] =>
  readdirSync(join(root, folder)).flatMap(name => {
    const path = join(folder, name)
    if (statSync(join(root, path)).isDirectory()) return filesIn(path)
    return /\.(ts|eta)$/.test(name) ? [join(root, path)] : []
  })
