// Not by import: that makes Node load all that node:fs has to offer, which costs each start some milliseconds.
const { closeSync, openSync, readSync, watch } = process.getBuiltinModule('node:fs')

/** Reads the lines that another process appends to a file, each once and whole. */
export class LineFollower {
  readonly path: string
  #descriptor: number | null = null
  #position = 0
  #rest = ''
  readonly #decoder = new TextDecoder()
  #watcher: { close(): void } | null = null

  constructor(path: string) {
    this.path = path
  }

  /** How many bytes have been read. */
  get position(): number {
    return this.#position
  }

  /** @returns the whole lines that have come since the last look; none while there is no file */
  read(): string[] {
    if (this.#descriptor === null && !this.#open()) return []
    let text = this.#rest
    for (;;) {
      const count = readSync(this.#descriptor!, buffer, 0, buffer.length, this.#position)
      this.#position += count
      text += this.#decoder.decode(buffer.subarray(0, count), { stream: true })
      if (count < buffer.length) break
    }
    const lines = text.split('\n')
    this.#rest = lines.pop()!
    return lines
  }

  /**
   * Calls back when there may be something to read. Where the kernel has no watch left, whoever reads must look by the clock, as it should now
   * and then in any case.
   * @returns whether it is watched
   */
  watch(changed: () => void): boolean {
    try {
      this.#watcher = watch(this.path, changed).on('error', () => this.#watcher?.close())
      return true
    } catch {
      return false
    }
  }

  close(): void {
    this.#watcher?.close()
    this.#watcher = null
    if (this.#descriptor !== null) closeSync(this.#descriptor)
    this.#descriptor = null
  }

  #open(): boolean {
    try {
      this.#descriptor = openSync(this.path, 'r')
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    }
  }
}

const buffer = Buffer.allocUnsafe(262_144)
