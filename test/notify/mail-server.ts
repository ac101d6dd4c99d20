import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/** As much of SMTP as a mail takes, over a real socket. */
export const startMailServer = async (t: TestContext) => {
  const sockets = new Set<Socket>()
  const state = { port: 0, refuse: false, said: [] as string[], mails: [] as { from: string; to: string[]; data: string }[] }
  const server = createServer(socket => {
    sockets.add(socket)
    let waiting = ''
    let mail = { from: '', to: [] as string[], data: '' }
    let inData = false
    socket.on('error', () => {})
    socket.write('220 test ESMTP\r\n')
    socket.on('data', chunk => {
      waiting += chunk.toString('latin1')
      for (;;) {
        const end = waiting.indexOf(inData ? '\r\n.\r\n' : '\r\n')
        if (end < 0) return
        const line = waiting.slice(0, end)
        waiting = waiting.slice(end + (inData ? 5 : 2))
        if (inData) {
          inData = false
          state.mails.push({ ...mail, data: line.replace(/^\.\./gm, '.') })
          mail = { from: '', to: [], data: '' }
          socket.write('250 taken\r\n')
          continue
        }
        state.said.push(line)
        const word = line.slice(0, 4).toUpperCase()
        if (word === 'EHLO') socket.write('250-test\r\n250 AUTH PLAIN\r\n')
        else if (word === 'AUTH') socket.write('235 welcome\r\n')
        else if (word === 'MAIL') {
          mail.from = /<(.*?)>/.exec(line)![1]!
          socket.write('250 ok\r\n')
        } else if (word === 'RCPT') {
          if (state.refuse) socket.write('550 no such user\r\n')
          else {
            mail.to.push(/<(.*?)>/.exec(line)![1]!)
            socket.write('250 ok\r\n')
          }
        } else if (word === 'DATA') {
          inData = true
          socket.write('354 go on\r\n')
        } else if (word === 'QUIT') socket.end('221 bye\r\n')
        else socket.write('502 not known\r\n')
      }
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  state.port = (server.address() as AddressInfo).port
  return state
}

/** A part of a mail, decoded. */
export const partOf = (data: string, type: string): string => {
  const part = data.split(/\r\n--[^\r\n]+/).find(one => one.includes(`Content-Type: ${type}`))!
  const body = part.slice(part.indexOf('\r\n\r\n') + 4)
  if (/Content-Transfer-Encoding: base64/i.test(part)) return Buffer.from(body, 'base64').toString('utf8')
  const bytes = body.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
