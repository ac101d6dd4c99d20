import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'

/**
 * A process of its own that molests a panel, until it is killed: `node attack.ts <json of Attack>`. Tells about itself a line of JSON a second.
 * Every client that the panel gets rid of comes back at once.
 */
export interface Attack {
  port: number
  /** Connections that send one byte a second of a request that never ends. */
  slow: number
  /** Cookies of sessions, and what each opens streams for. */
  readers: { cookie: string; page: string }[]
  /** Logins with a wrong password that are under way at once, each from another address (X-Forwarded-For). */
  logins: number
}

export interface Molested {
  /** Connected just now. */
  slow: number
  readers: number
  /** Answers by status, since the beginning. */
  logins: Record<string, number>
}

const attack = JSON.parse(process.argv[2]!) as Attack
const told: Molested = { slow: 0, readers: 0, logins: {} }
const host = `127.0.0.1:${attack.port}`
let stranger = 0
/** Each network of 2001:db8::/32 once. */
const nextAddress = () => {
  stranger++
  return `2001:db8:${(stranger >> 16).toString(16)}:${(stranger & 0xffff).toString(16)}::1`
}

const again = (start: () => void) => setTimeout(start, 20)

const beSlow = (at: number) => {
  let sending: NodeJS.Timeout
  const socket: Socket = connect(attack.port, '127.0.0.1', () => {
    told.slow++
    // Some trickle their headers, some a body, some say nothing at all.
    const kind = at % 3
    if (kind === 0) socket.write(`GET /admin/login HTTP/1.1\r\nHost: ${host}\r\n`)
    if (kind === 1)
      socket.write(
        `POST /admin/login HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://${host}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\n`,
      )
    if (kind < 2) sending = setInterval(() => socket.write(kind === 0 ? 'x: y\r\n' : 'a'), 1_000)
    socket.once('close', () => {
      told.slow--
      clearInterval(sending)
      again(() => beSlow(at))
    })
  })
  socket.resume()
  socket.on('error', () => socket.destroy())
}

const read = ({ cookie, page }: { cookie: string; page: string }) => {
  const sent = request({
    host: '127.0.0.1',
    port: attack.port,
    path: `/admin/live?page=${encodeURIComponent(page)}`,
    headers: { cookie, accept: 'text/event-stream', 'sec-fetch-site': 'same-origin' },
    agent: false,
  })
  sent.once('response', answer => {
    answer.resume()
    if (answer.statusCode !== 200) return
    told.readers++
    answer.once('close', () => {
      told.readers--
      again(() => read({ cookie, page }))
    })
  })
  sent.on('error', () => again(() => read({ cookie, page })))
  sent.end()
}

const agent = new Agent({ keepAlive: true })
const ask = (method: string, headers: Record<string, string>, body = '') =>
  new Promise<{ status: number; cookie: string; text: string }>((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: attack.port, path: '/admin/login', method, headers, agent }, answer => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', chunk => {
        text += chunk
      })
      answer.on('error', reject)
      answer.on('end', () =>
        resolve({
          status: answer.statusCode!,
          cookie: (answer.headers['set-cookie'] ?? []).map(one => one.split(';')[0]).join('; '),
          text,
        }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })

const floodLogins = async () => {
  for (;;) {
    try {
      const from = { 'x-forwarded-for': nextAddress() }
      const form = await ask('GET', from)
      const token = /name="_csrf" value="([^"]+)"/.exec(form.text)?.[1] ?? ''
      const body = new URLSearchParams({ _csrf: token, name: `nobody-${stranger}`, password: 'a wrong password' }).toString()
      const type = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) }
      const { status } = await ask('POST', { ...from, ...type, cookie: form.cookie, origin: `http://${host}` }, body)
      told.logins[status] = (told.logins[status] ?? 0) + 1
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      told.logins[code ?? 'broken'] = (told.logins[code ?? 'broken'] ?? 0) + 1
    }
  }
}

for (let at = 0; at < attack.slow; at++) beSlow(at)
for (const reader of attack.readers) read(reader)
for (let at = 0; at < attack.logins; at++) void floodLogins()
setInterval(() => console.log(JSON.stringify(told)), 1_000)
