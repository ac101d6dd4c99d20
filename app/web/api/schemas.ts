import { type TSchema, Type } from 'typebox'
import { type EndFacts, type StopFacts, stopCauses } from '../../task/end-facts.ts'
import { outcomeKinds } from '../../task/outcome.ts'
import type { Run } from '../../task/run.ts'
import { loopStates, onceStates, type Reason, reasonCodes, type Task } from '../../task/task.ts'

/*
 * What programs send and are told, as typebox schemas: they check what comes in, make the OpenAPI document, and are held against every answer
 * by the tests. What has an $id is a component of the document.
 */

/** Of an enumeration, as one word in the document: `enum`, not a list of constants. */
const oneOf = <const Word extends string>(all: readonly Word[], options: object = {}) =>
  Type.Unsafe<Word>({ type: 'string', enum: [...new Set(all)], ...options })

const orNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])
const ms = (description: string) => Type.Integer({ description: `${description} Milliseconds since 1970.` })
const msOrNull = (description: string) => orNull(ms(description))
/** Counted from 0, exactly, up to 2^53. */
const count = (description: string) => Type.Integer({ minimum: 0, description })

export const taskState = oneOf([...onceStates, ...loopStates])

export const reasonSchema = Type.Object(
  {
    code: oneOf(reasonCodes),
    at: ms('When it came to be so.'),
    until: Type.Optional(ms('When the next step is due.')),
    failures: Type.Optional(count('Failures in a row.')),
    number: Type.Optional(Type.Integer()),
    by: Type.Optional(Type.String({ description: 'Who wanted it.' })),
    detail: Type.Optional(Type.String()),
  } satisfies Record<keyof Reason, TSchema>,
  { $id: 'Reason', additionalProperties: false, description: 'Why the task is in its state, as data.' },
)

/** What is told of a task besides its row. */
const sentences = {
  why: orNull(Type.String({ description: 'Why the task is in its state, as a sentence.' })),
  end: orNull(Type.String({ description: 'How its last run ended.' })),
  next: orNull(Type.String({ description: 'What comes next.' })),
}

export const taskSchema = Type.Object(
  {
    id: Type.Integer({ minimum: 1 }),
    uid: Type.String({ description: 'Random public id, 16 characters of a-z0-9; addresses take it in place of the id.' }),
    action: Type.String(),
    params: Type.Unknown({ description: 'As they were given; what is secret by its name or value is hidden.' }),
    execType: oneOf(['ONCE', 'FOREVER']),
    type: Type.String(),
    creator: Type.String(),
    state: taskState,
    wanted: oneOf(['up', 'down']),
    content: orNull(Type.String({ description: 'What the last run said it achieved.' })),
    reason: orNull(reasonSchema),
    priority: Type.Integer(),
    runAt: ms('When it is due.'),
    uniqueKey: orNull(Type.String()),
    attempt: count('Failed tries so far.'),
    maxAttempts: Type.Integer(),
    timeoutMs: orNull(Type.Integer()),
    graceMs: Type.Integer(),
    rerunAfterCrash: Type.Boolean(),
    crashCount: count('Runs in a row that died without an outcome.'),
    number: count('Number of its newest run; 0 before the first.'),
    wish: count('Grows with each wish for a fresh process.'),
    superseded: count('Calls with keepLast whose params were overwritten by a newer one while it waited.'),
    edits: count('How often people have changed its params or limits.'),
    host: orNull(Type.String()),
    epoch: orNull(Type.String()),
    createdAt: ms('When it was added.'),
    startedAt: msOrNull('When its newest run began.'),
    finishedAt: msOrNull('When it ended for good.'),
    updatedAt: ms('When its row was last changed.'),
    ...sentences,
  } satisfies Record<keyof Task | keyof typeof sentences, TSchema>,
  { $id: 'Task', additionalProperties: false },
)

const endFactsSchema = Type.Object(
  {
    stop: Type.Optional(
      Type.Object(
        {
          because: oneOf(stopCauses, { description: 'Who or what wanted it to end.' }),
          by: orNull(Type.String({ description: 'Who asked; null when it was no person.' })),
          at: ms('When it was asked to stop, by SIGTERM.'),
          killedAfterMs: orNull(Type.Integer({ description: 'How long after that it took SIGKILL; null when it ended by itself.' })),
          stalled: Type.Optional(oneOf(['busy', 'waiting'], { description: 'What it was doing when it stalled.' })),
        } satisfies Record<keyof StopFacts, TSchema>,
        { additionalProperties: false },
      ),
    ),
    uncaught: Type.Optional(
      oneOf(['rejection', 'exception'], { description: 'It failed by what was thrown where nothing waited for it.' }),
    ),
    kernelKills: Type.Optional(
      count('Ended by SIGKILL of others: processes of the machine that the kernel ended just then for want of memory.'),
    ),
  } satisfies Record<keyof EndFacts, TSchema>,
  { additionalProperties: false },
)

export const runSchema = Type.Object(
  {
    taskId: Type.Integer(),
    number: Type.Integer({ minimum: 1 }),
    host: Type.String(),
    epoch: Type.String(),
    pid: orNull(Type.Integer()),
    startTicks: orNull(Type.Integer()),
    bootId: orNull(Type.String()),
    startedAt: ms('When it was spawned.'),
    endedAt: msOrNull('null while it lives.'),
    outcome: orNull(oneOf(outcomeKinds)),
    exitCode: orNull(Type.Integer()),
    signal: orNull(Type.String()),
    content: orNull(Type.String({ description: 'What it said it achieved.' })),
    error: orNull(Type.String({ description: 'Message and stack of what was thrown.' })),
    iterations: orNull(Type.Integer()),
    peakMemoryBytes: orNull(Type.Integer()),
    cpuMs: orNull(Type.Integer()),
    outputBytes: orNull(Type.Integer()),
    recycled: Type.Boolean(),
    attempt: Type.Integer(),
    adopted: Type.Boolean(),
    dueAt: msOrNull('When it was due: what it began after that, it was late.'),
    downFrom: msOrNull('No supervisor ran on its host from then; null when there was none before.'),
    downTo: msOrNull('No supervisor ran on its host until then; null when that is not why it was late.'),
    residentTask: orNull(
      Type.Integer({ description: 'Its place among the tasks of its resident runner; null when it had a process of its own.' }),
    ),
    endFacts: orNull(endFactsSchema),
  } satisfies Record<keyof Run, TSchema>,
  { $id: 'Run', additionalProperties: false },
)

export const errorSchema = Type.Object(
  {
    error: Type.Object(
      {
        code: Type.String({ description: 'A word to act upon, like refused or rate-limited.' }),
        message: Type.String({ description: 'A sentence: what is wrong, with what, what to do next.' }),
      },
      { additionalProperties: false },
    ),
  },
  { $id: 'Error', additionalProperties: false },
)

/** One task in the answer to an adding. */
export const addedSchema = Type.Object(
  {
    task: taskSchema,
    added: Type.Boolean({ description: 'false: one with the same unique key was kept, or updated.' }),
    updated: Type.Boolean({ description: 'keepLast: a task that waited already has these params and options now.' }),
    replaced: orNull(Type.Integer({ description: 'Id of the task that this one replaces.' })),
  },
  { $id: 'Added', additionalProperties: false },
)

export const taskAnswer = Type.Object({ task: taskSchema }, { additionalProperties: false })

/** `:id` of an address. */
export const taskParams = Type.Object({ id: Type.String({ description: 'The id of the task, or its uid.', examples: ['7'] }) })

export { ms, msOrNull, oneOf, orNull }
