import type { FastifyRequest } from 'fastify'

/**
 * Whether the request names this panel and no other: exactly one Host header, a loopback name with our own port or the host of
 * BGTASK_PUBLIC_URL, and a path instead of a whole address. A page of a rebound name (DNS rebinding) sends its own name here.
 */
export const isForUs = (request: FastifyRequest, { publicUrl, port }: { publicUrl: string | null; port: number }): boolean => {
  const hosts = request.raw.rawHeaders.filter((_, index, all) => index % 2 === 1 && all[index - 1]!.toLowerCase() === 'host')
  const host = hosts[0]?.toLowerCase()
  if (hosts.length !== 1 || host === undefined || !request.raw.url?.startsWith('/')) return false
  if (publicUrl !== null && host === new URL(publicUrl).host) return true
  const ownPort = request.raw.socket.localPort ?? port
  const names = ownPort === 80 ? [...loopback, ...loopback.map(name => `${name}:80`)] : loopback.map(name => `${name}:${ownPort}`)
  return names.includes(host)
}

const loopback = ['127.0.0.1', 'localhost', '[::1]']
