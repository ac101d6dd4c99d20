import { redactJson } from '../secrets/redact-json.ts'
import { createRedactor, type Redactor } from '../secrets/redactor.ts'
import { formsOf, secretValuesIn } from '../secrets/secret-values.ts'
import type { Run } from '../task/run.ts'
import type { Json, Task } from '../task/task.ts'
import type { Beat } from './beat.ts'
import { knownSecrets, type SecretConfig } from './known-secrets.ts'
import { runPaths } from './runtime-folder.ts'
import { readSecrets } from './secrets-file.ts'
import { readTicket } from './ticket.ts'

/** Hides secrets from whoever looks: pages, command line, API and log show tasks, runs and output only as they come out of here. */
export interface Redaction {
  /** A text that belongs to no task: without the secrets of this installation. */
  text(text: string): string
  /** The task as people may see it: params by name and value, all texts by value. The stored one stays as it is, for the run. */
  task<Seen extends Task>(task: Seen): Seen
  /** A run of the task. */
  run<Seen extends Pick<Run, 'content' | 'error'>>(run: Seen, task: Pick<Task, 'params'>): Seen
  /** What a live run says of itself. */
  beat(beat: Beat, folder: string): Beat
  /** Finds the secrets of the installation and of these params. */
  ofParams(params: Json): Redactor
  /** Finds those of a run too, and what its action gave to `ctx.secret()` until now. @param params default: those of its ticket */
  ofRun(folder: string, params?: Json): Redactor
  /** What hides in the output of a task's run: its params may have been changed since. Without a ticket, those that the task has now. */
  ofOutput(folder: string, task: Pick<Task, 'params'>): Redactor
  /** The same, of a run that has no folder. */
  ofValues(params: Json, values: readonly string[]): Redactor
}

/** Kept for as long as the configuration is, so that it may be asked for often. */
export const redactionOf = (config: SecretConfig): Redaction => {
  const kept = redactions.get(config)
  if (kept) return kept
  const made = createRedaction(config)
  redactions.set(config, made)
  return made
}

const redactions = new WeakMap<object, Redaction>()

const createRedaction = (config: SecretConfig): Redaction => {
  let known: { values: string[]; redactor: Redactor; complete: boolean } | null = null
  const installation = () => {
    if (known?.complete) return known
    const { values, complete } = knownSecrets(config)
    known = { values, redactor: createRedactor(values.flatMap(formsOf)), complete }
    return known
  }
  const withValues = (values: readonly string[]): Redactor => {
    const { values: ours, redactor } = installation()
    return values.length === 0 ? redactor : createRedactor([...ours, ...values].flatMap(formsOf))
  }
  const ofValues = (params: Json, values: readonly string[]) => withValues([...secretValuesIn(params), ...values])
  const ofParams = (params: Json) => ofValues(params, [])
  const ofRun = (folder: string, params: Json = readTicket(folder)?.params ?? null) =>
    ofValues(params, readSecrets(runPaths(folder).secrets))
  return {
    text: text => installation().redactor.text(text),
    ofParams,
    ofRun,
    ofOutput: (folder, task) => ofRun(folder, readTicket(folder)?.params ?? task.params),
    ofValues,
    task(task) {
      const redactor = ofParams(task.params)
      const { reason } = task
      return {
        ...task,
        params: redactJson(task.params, redactor),
        type: redactor.text(task.type),
        creator: redactor.text(task.creator),
        content: textOrNull(redactor, task.content),
        uniqueKey: textOrNull(redactor, task.uniqueKey),
        reason: reason && {
          ...reason,
          ...(reason.detail === undefined ? {} : { detail: redactor.text(reason.detail) }),
          ...(reason.by === undefined ? {} : { by: redactor.text(reason.by) }),
        },
      }
    },
    run(run, { params }) {
      if (run.content === null && run.error === null) return run
      const redactor = ofParams(params)
      return { ...run, content: textOrNull(redactor, run.content), error: textOrNull(redactor, run.error) }
    },
    beat(beat, folder) {
      if (!beat.lastError && !beat.progress?.note) return beat
      const redactor = ofRun(folder)
      const { progress } = beat
      return {
        ...beat,
        lastError: textOrNull(redactor, beat.lastError),
        progress: progress && { ...progress, note: textOrNull(redactor, progress.note) },
      }
    },
  }
}

const textOrNull = (redactor: Redactor, text: string | null) => (text === null ? null : redactor.text(text))
