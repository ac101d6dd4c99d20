import { BlockList, isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { routeName } from '../addresses.ts'
import type { Panel } from '../panel.ts'
import { isOverSocket } from '../unix-socket.ts'

/**
 * Whether a request for /metrics needs no token: BGTASK_METRICS says so, and it comes from a process of this machine. What a proxy passes on
 * comes from there too, so nothing may say that it was for somebody else.
 */
export const isOpenScrape = (panel: Panel, request: FastifyRequest): boolean => {
  if (panel.config.metrics !== 'open' || routeName(panel, request) !== 'GET /metrics' || isOverSocket(request)) return false
  if (Object.keys(request.headers).some(name => ofOthers.test(name))) return false
  const address = request.raw.socket.remoteAddress ?? ''
  return isIP(address) !== 0 && loopback.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')
}

const ofOthers = /^(?:x-forwarded-.*|x-real-ip|forwarded|via|cf-connecting-ip|true-client-ip)$/

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')
loopback.addSubnet('::ffff:127.0.0.0', 104, 'ipv6')
