import { makeToken } from '../../../app/api/tokens.ts'
import { type Answer, freshAddress, type ListeningPanel } from '../../helpers/listening-panel.ts'

/** A token of the panel with these scopes. */
export const makeTestToken = async (
  { background }: Pick<ListeningPanel, 'background'>,
  scopes: readonly string[],
  name = 'of the test',
) => {
  const { token, text } = await makeToken(background.db, { name: 'admin', ip: null, via: 'form' }, { name, scopes })
  return { id: token.id, text }
}

/** Asks the API with a token, from an address of its own. */
export const askWith =
  (panel: ListeningPanel, token: string, from = freshAddress()) =>
  (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
    panel.ask({
      method,
      url: `/api/v1${path}`,
      from,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })

export const jsonOf = <Value = Record<string, unknown>>({ body }: Answer): Value => JSON.parse(body) as Value
export const sentenceIn = (answer: Answer): string => jsonOf<{ error: { message: string } }>(answer).error.message
export const codeIn = (answer: Answer): string => jsonOf<{ error: { code: string } }>(answer).error.code
