import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'

const first = 10_240
const after = () => {
  const given = Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10)
  return given > 2 * first ? given : 32_768
}

/**
 * A port to be listened to in a moment, perhaps twice. It is below those that the kernel gives to whoever asks for any or connects: of these, one that
 * is free now may be another test's by then.
 */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = randomInt(first, after())
    const probe = createServer()
    try {
      await once(probe.listen(port, '127.0.0.1'), 'listening')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue
      throw error
    }
    await new Promise(resolve => probe.close(resolve))
    return port
  }
}
