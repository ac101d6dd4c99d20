import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { messageOf } from '../errors.ts'
import { LineFollower } from '../runs/line-follower.ts'
import { type Handed, parseHanded, residentPaths } from '../runs/resident-files.ts'
import { HandedPages } from './handed-pages.ts'

/** A page of handed or told goes over to the next one beyond this. */
const pageBytes = 4_000_000

/** What the supervisor and a resident runner write to each other, page by page; runs/resident-files.ts tells the rules. No disk makes it throw. */
export class ResidentPages {
  /** The page that is read. */
  toldPage = 1
  readonly #folder: string
  readonly #paths: ReturnType<typeof residentPaths>
  readonly #isHeldFrom: (page: number) => boolean
  readonly #trouble: (sentence: string) => void
  readonly #handed: HandedPages
  #told: LineFollower
  /** Ends told on a page that are not in the database yet, and whether more may come there. */
  readonly #pages = new Map<number, { unrecorded: number; closed: boolean }>()

  /**
   * @param from.adopted an earlier supervisor has written here, and may have died over it
   * @param from.isHeldFrom whether a run is held that was handed on this page
   */
  constructor(folder: string, from: { adopted: boolean; isHeldFrom: (page: number) => boolean; trouble: (sentence: string) => void }) {
    this.#folder = folder
    this.#paths = residentPaths(folder)
    this.#isHeldFrom = from.isHeldFrom
    this.#trouble = from.trouble
    this.#handed = new HandedPages(this.#paths.handed, { cut: from.adopted, trouble: from.trouble })
    this.#told = new LineFollower(this.#paths.told(1))
  }

  /** The page that is written. */
  get handedPage(): number {
    return this.#handed.page
  }
  /** Ends that are not in the database yet. */
  get unrecorded(): number {
    return [...this.#pages.values()].reduce((sum, page) => sum + page.unrecorded, 0)
  }

  /** @returns how many of these bytes are there; fewer than all when the disk is full, which is told */
  append(bytes: Buffer): number {
    return this.#handed.append(bytes)
  }

  say(wish: Handed): void {
    const line = Buffer.from(`${JSON.stringify(wish)}\n`)
    if (this.append(line) < line.length) this.#trouble(`it could not be told ${JSON.stringify(wish)}`)
  }

  /** @returns the whole lines that have come since the last look */
  read(): string[] {
    return this.#tryTo('reading what it tells', () => this.#told.read()) ?? []
  }

  /** Calls back when there may be something to read, on this page. */
  watch(changed: () => void): void {
    this.#told.watch(changed)
  }

  turnOverWhenFull(): void {
    if (this.#handed.bytes <= pageBytes && this.#told.position <= pageBytes) return
    if (this.#handed.page !== this.toldPage) return // it has not followed to the last one yet
    this.#tryTo('making its next page', () => {
      const next = this.#handed.page + 1
      for (const path of [this.#paths.handed(next), this.#paths.told(next)]) closeSync(openSync(path, 'a', 0o600))
      this.say({ next })
      this.#handed.turnTo(next)
    })
  }

  /** It tells on this page from now on. */
  followTo(page: number): void {
    this.#told.close()
    this.#pageOf(this.toldPage).closed = true
    this.tidy(this.toldPage)
    this.toldPage = page
    this.#told = new LineFollower(this.#paths.told(page))
  }

  /** An end was told on this page. @returns to be called when it is in the database */
  noteEnd(): () => void {
    const page = this.toldPage
    this.#pageOf(page).unrecorded++
    return () => {
      this.#pageOf(page).unrecorded--
      this.tidy(page)
    }
  }

  /** Removes a page of which all is in the database. The last one stays until the process has gone. */
  tidy(page: number): void {
    const known = this.#pages.get(page)
    if (known?.closed !== true || known.unrecorded > 0 || this.#isHeldFrom(page)) return
    this.#pages.delete(page)
    this.#tryTo('removing a page', () => {
      for (const path of [this.#paths.handed(page), this.#paths.told(page)]) rmSync(path, { force: true })
    })
  }

  /** The process has gone: nothing more comes on any page. */
  closeAll(): void {
    this.#pageOf(this.#handed.page).closed = true
    for (const [page, known] of [...this.#pages]) {
      known.closed = true
      this.tidy(page)
    }
  }

  /** Goes back to the first page that is there, and on writing where the earlier supervisor ended. @param heard of each wish of its */
  recall(heard: (wish: Handed, page: number) => void): void {
    const names = existsSync(this.#folder) ? readdirSync(this.#folder) : []
    for (const page of numbered(names, /^handed-(\d+)\.ndjson$/)) {
      const text = this.#tryTo('reading what it was handed', () => readFileSync(this.#paths.handed(page), 'utf8')) ?? ''
      this.#handed.goOn(page, Buffer.byteLength(text))
      // A line that was cut off is nobody's wish.
      for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split('\n')) {
        const wish = parseHanded(line)
        if (wish) heard(wish, page)
      }
    }
    this.toldPage = numbered(names, /^told-(\d+)\.ndjson$/)[0] ?? this.#handed.page
    this.#told = new LineFollower(this.#paths.told(this.toldPage))
  }

  close(): void {
    this.#told.close()
    this.#handed.close()
  }

  #pageOf(page: number) {
    const known = this.#pages.get(page)
    if (known) return known
    const made = { unrecorded: 0, closed: false }
    this.#pages.set(page, made)
    return made
  }

  // A full disk, or a folder that somebody broke, must not keep what happened from being told.
  #tryTo<T>(what: string, work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.#trouble(`${what} failed: ${messageOf(error)}`)
      return undefined
    }
  }
}

const numbered = (names: readonly string[], pattern: RegExp): number[] =>
  names
    .flatMap(name => pattern.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
