import { closeSync, openSync, writeSync } from 'node:fs'
import { messageOf } from '../errors.ts'

/** What a resident runner is handed, appended line by line to the newest of its numbered files. */
export class HandedPages {
  /** The number of the newest. */
  page = 1
  /** On it. */
  bytes = 0
  readonly #pathOf: (page: number) => string
  readonly #trouble: (sentence: string) => void
  #descriptor: number | null = null
  /** Its last line may be cut off, by a full disk or by the death of an earlier supervisor. */
  #cut: boolean

  constructor(pathOf: (page: number) => string, { cut, trouble }: { cut: boolean; trouble: (sentence: string) => void }) {
    this.#pathOf = pathOf
    this.#cut = cut
    this.#trouble = trouble
  }

  /** @returns how many of these bytes are there; fewer than all when the disk is full, which is told */
  append(bytes: Buffer): number {
    let written = 0
    try {
      this.#descriptor ??= openSync(this.#pathOf(this.page), 'a', 0o600)
      if (this.#cut) writeSync(this.#descriptor, '\n')
      this.#cut = false
      while (written < bytes.length) written += writeSync(this.#descriptor, bytes, written)
    } catch (error) {
      this.#trouble(`${this.#pathOf(this.page)} cannot be written: ${messageOf(error)}`)
      this.#cut = true
      this.close()
    }
    this.bytes += written
    return written
  }

  /** From now on this one, which is empty. */
  turnTo(page: number): void {
    this.close()
    this.goOn(page, 0)
    this.#cut = false
  }

  /** From now on this one, with what an earlier supervisor wrote there. */
  goOn(page: number, bytes: number): void {
    this.page = page
    this.bytes = bytes
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor)
    this.#descriptor = null
  }
}
