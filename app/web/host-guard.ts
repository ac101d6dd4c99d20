import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'
import { isOverSocket } from './unix-socket.ts'

/**
 * Whether the request names this panel and no other: exactly one Host header, letter for letter a loopback name or the address of HOST with our
 * own port, or the host of BGTASK_PUBLIC_URL; and a path instead of a whole address. A page of a rebound name (DNS rebinding) sends its own name
 * here. No X-Forwarded-Host is believed, whoever sends it: a proxy hands on the Host it was given.
 */
export const isForUs = (request: FastifyRequest, config: Pick<Config, 'publicUrl' | 'host' | 'port'>): boolean => {
  const { rawHeaders, url = '', method, socket } = request.raw
  const hosts = rawHeaders.filter((_, index, all) => index % 2 === 1 && all[index - 1]!.toLowerCase() === 'host')
  const host = hosts[0]?.toLowerCase()
  if (hosts.length !== 1 || host === undefined) return false
  // `OPTIONS *` asks about the server as a whole; that is nothing here, and not for another host either.
  if (!url.startsWith('/') && !(method === 'OPTIONS' && url === '*')) return false
  // No browser can open a socket file, so no name can be rebound to it; what is there for another name was not meant for us all the same.
  if (isOverSocket(request)) return host === 'localhost'
  const port = socket.localPort ?? config.port
  const own = [...loopback, ...addressOf(config)].flatMap(name => withPort('http:', name, port))
  return own.includes(host) || (config.publicUrl !== null && hostsOf(config.publicUrl).includes(host))
}

/** What Host says when somebody asks for that address. @param publicUrl an origin */
export const hostsOf = (publicUrl: string): string[] => {
  const { protocol, hostname, port } = new URL(publicUrl)
  return withPort(protocol, hostname, Number(port) || standardPorts[protocol]!)
}

const loopback = ['127.0.0.1', 'localhost', '[::1]']

/** No name can be rebound to a number; but a number that stands for every address of the machine names none. */
const addressOf = ({ host }: Pick<Config, 'host'>): string[] => {
  if (isIP(host) === 4 && host !== '0.0.0.0') return [host]
  return isIP(host) === 6 && host !== '::' && URL.canParse(`http://[${host}]`) ? [new URL(`http://[${host}]`).hostname] : []
}

/** The port that goes without saying may be said. */
const withPort = (protocol: string, name: string, port: number) =>
  port === standardPorts[protocol] ? [name, `${name}:${port}`] : [`${name}:${port}`]

const standardPorts: Record<string, number> = { 'http:': 80, 'https:': 443 }
