import { createTransport } from 'nodemailer'
import { messageOf } from '../errors.ts'
import type { Mail } from '../task/notify.ts'
import { oneLine } from '../texts/control-characters.ts'
import type { Message } from './compose-message.ts'
import type { Answer } from './post-webhook.ts'

/** @param delivery stays the same when it is sent again */
export const sendMail = async (
  { smtp, from, to }: Mail,
  delivery: string,
  { subject, text, html }: Message,
  { signal, timeoutMs = 20_000 }: { signal?: AbortSignal; timeoutMs?: number } = {},
): Promise<Answer> => {
  const url = new URL(smtp)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const secure = url.protocol === 'smtps:'
  const user = decodeURIComponent(url.username)
  // All of it: a name may begin so, too.
  const isHere = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/.test(host)
  const transport = createTransport({
    host,
    port: url.port ? Number(url.port) : secure ? 465 : 587,
    secure,
    // A password never goes over a network in clear.
    requireTLS: !secure && user !== '' && !isHere,
    ...(user === '' ? {} : { auth: { user, pass: decodeURIComponent(url.password) } }),
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  const leave = () => transport.close()
  signal?.addEventListener('abort', leave)
  try {
    const id = `msg_${delivery}`
    const sent = await transport.sendMail({
      from,
      to: [...to],
      // Nothing in it can begin a header of its own.
      subject: oneLine(subject),
      text,
      html,
      messageId: `<${id}@bgtask>`,
      headers: { 'X-Bgtask-Delivery': id, 'Auto-Submitted': 'auto-generated' },
    })
    const refused = sent.rejected?.length ?? 0
    return {
      ok: true,
      sentence: `${host} took it for ${to.length - refused} of ${to.length}${refused > 0 ? `, but not for ${sent.rejected!.map(String).join(', ')}` : ''}.`,
    }
  } catch (error) {
    return {
      ok: false,
      sentence: `${host} did not take it: ${oneLine(messageOf(error)).slice(0, 300)}${/[.?]$/.test(messageOf(error)) ? '' : '.'}`,
    }
  } finally {
    signal?.removeEventListener('abort', leave)
    transport.close()
  }
}
