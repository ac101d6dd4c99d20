import { messageOf } from '../errors.ts'
import { type Beat, type BeatMinute, writeBeat } from '../runs/beat.ts'
import { noteDuration } from '../task/durations.ts'
import { noteThrown } from '../task/thrown-errors.ts'

/** Keeps count of a run's iterations and progress, and writes them to beat.json at most once a second. */
export interface BeatWriter {
  readonly beat: Readonly<Beat>
  iterationStarted(): void
  /** @param thrown what the iteration threw, wrapped so that a thrown `undefined` counts too; whether the loop goes on, so that only here it is told */
  iterationEnded(thrown?: { error: unknown; goesOn: boolean }): void
  /** @param delayMs until the next iteration */
  sleeps(delayMs: number): void
  progress(done: number, total: number | null, note: string | null): void
  /** Writes what was not written yet; nothing when there never was anything to say. */
  flush(): void
}

const leastMs = 1000
const noteLength = 500
/** So that whoever reads them once a minute may be late by one. */
const keptMinutes = 3

/** @param given path or descriptor of beat.json, or what makes the place for it; null counts and writes nothing */
export const createBeatWriter = (given: string | number | null | (() => string)): BeatWriter => {
  let place = typeof given === 'function' ? '' : given
  const minutes: BeatMinute[] = []
  const beat: Beat = {
    at: 0,
    pid: process.pid,
    iterations: 0,
    errors: 0,
    iterationStartedAt: null,
    lastIterationMs: null,
    lastIterationAt: null,
    lastSuccessAt: null,
    lastError: null,
    nextIterationAt: null,
    progress: null,
    memoryBytes: 0,
    minutes,
  }
  let startedAt = 0 // on the monotonic clock
  let writtenAt = -leastMs
  let changed = false
  let timer: NodeJS.Timeout | undefined
  let complained = false

  const write = () => {
    timer = undefined
    if (!changed || place === null) return
    changed = false
    writtenAt = performance.now()
    beat.at = Date.now()
    beat.memoryBytes = process.memoryUsage.rss()
    try {
      if (place === '' && typeof given === 'function') place = given()
      writeBeat(place, beat)
    } catch (error) {
      // A run does not fail because the disk is full: the page shows an old beat, and the output says why.
      if (!complained)
        console.error(`bgtask: ${typeof place === 'number' ? 'its beat' : place} cannot be written (${messageOf(error)}); the run goes on.`)
      complained = true
    }
  }
  const touch = () => {
    changed = true
    if (timer || place === null) return
    const waitMs = writtenAt + leastMs - performance.now()
    if (waitMs <= 0) write()
    else timer = setTimeout(write, waitMs).unref()
  }

  return {
    beat,
    iterationStarted() {
      startedAt = performance.now()
      beat.iterationStartedAt = Date.now()
      beat.nextIterationAt = null
      touch()
    },
    iterationEnded(thrown) {
      beat.iterations++
      beat.lastIterationAt = Date.now()
      beat.lastIterationMs = beat.iterationStartedAt === null ? null : Math.round((performance.now() - startedAt) * 1000) / 1000
      beat.iterationStartedAt = null
      const minute = minuteOf(minutes, beat.lastIterationAt)
      minute.iterations++
      if (thrown) minute.errors++
      else beat.lastSuccessAt = beat.lastIterationAt
      if (beat.lastIterationMs !== null) noteDuration(minute.durations, beat.lastIterationMs)
      if (thrown) {
        beat.errors++
        const message = messageOf(thrown.error)
        beat.lastError = cut(message)
        if (thrown.goesOn) {
          beat.thrown ??= []
          noteThrown(beat.thrown, message, beat.lastIterationAt)
        }
      }
      touch()
    },
    sleeps(delayMs) {
      beat.nextIterationAt = Date.now() + Math.round(delayMs)
      touch()
    },
    progress(done, total, note) {
      beat.progress = { done, total, note: note === null ? null : cut(note) }
      touch()
    },
    flush() {
      clearTimeout(timer)
      write()
    },
  }
}

/** The one that this moment lies in, begun if need be. */
const minuteOf = (minutes: BeatMinute[], now: number): BeatMinute => {
  const at = Math.floor(now / 60_000) * 60_000
  const last = minutes.at(-1)
  if (last?.at === at) return last
  const begun = { at, iterations: 0, errors: 0, durations: {} }
  minutes.push(begun)
  minutes.splice(0, minutes.length - keptMinutes)
  return begun
}

const cut = (text: string) => (text.length > noteLength ? `${text.slice(0, noteLength)}…` : text)
