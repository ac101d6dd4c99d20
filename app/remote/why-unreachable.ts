import { TaskClientError } from './task-client-error.ts'

/** Why a try came to nothing, as a sentence. @param place the panel, as the caller named it */
export const tellCause = (cause: unknown, place: string): string =>
  cause instanceof TaskClientError ? cause.message : isAbort(cause) ? 'it was still waited for.' : whyUnreachable(cause, place)

/** The same of a connection that could not be made, or broke. */
export const whyUnreachable = (error: unknown, place: string): string => {
  const code = codeOf(error)
  const end = `(${code || 'no code'}: ${reasonOf(error)})`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `${place} is not found: this machine does not know its name ${end}.`
  if (code === 'ECONNREFUSED') return `Nothing listens at ${place} ${end}.`
  if (code === 'ENOENT') return `There is no ${place} ${end}.`
  if (code === 'EACCES') return `This user may not open ${place} ${end}.`
  if (isCertificate(code)) return `${place} is not trusted, or does not speak TLS ${end}.`
  return `The connection to ${place} broke ${end}.`
}

/** What waiting does not mend; also so that no time is lost before it is told. */
export const isForGood = (error: unknown): boolean => isCertificate(codeOf(error)) || codeOf(error) === 'EACCES'

/** The request has reached nobody. */
export const wasNeverSent = (error: unknown): boolean =>
  ['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'ENOENT', 'EACCES'].includes(codeOf(error))

/** Of fetch the cause has the code, of node:http the error itself. */
const codeOf = (error: unknown): string => {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } }
  return String(cause?.code ?? code ?? '')
}

const reasonOf = (error: unknown): string => {
  const { message, cause } = error as { message?: string; cause?: { message?: string } }
  return cause?.message || message || codeOf(error) || String(error)
}

const isCertificate = (code: string) => /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|^EPROTO$/.test(code)

const isAbort = (error: unknown) => (error as { name?: string }).name === 'AbortError'
