/** Why a call did not succeed. `message` is the sentence of the panel, or says what became of the connection. */
export class TaskClientError extends Error {
  /** The word of the panel (`refused`, `scope-missing`, `not-found` …); `unreachable`, `timed-out` or `aborted` when there was no answer. */
  readonly code: string
  /** Of the answer; null without one. */
  readonly status: number | null
  constructor(code: string, status: number | null, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'TaskClientError'
    this.code = code
    this.status = status
  }
}
