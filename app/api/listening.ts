import { BlockList, isIP } from 'node:net'
import type { Config } from '../config.ts'
import { BgtaskError } from '../errors.ts'
import { type Sentence, told } from '../task/told.ts'

type Where = Pick<Config, 'host' | 'publicUrl' | 'trustProxy' | 'insecureListen'>

/**
 * Who can reach the panel. `local`: this machine alone. `behind-tls`: others, and the configuration says that a proxy with TLS stands in front
 * (BGTASK_PUBLIC_URL is https, or BGTASK_TRUST_PROXY names it). `open`: others, and nothing says so: passwords may be read on their way.
 */
export const listeningOf = ({ host, publicUrl, trustProxy }: Where): 'local' | 'behind-tls' | 'open' =>
  isLoopback(host) ? 'local' : publicUrl?.startsWith('https:') || trustProxy.length > 0 ? 'behind-tls' : 'open'

/** @throws BgtaskError `misconfigured`: it would be open, and BGTASK_INSECURE_LISTEN does not allow it */
export const requireSafeListening = (config: Where): void => {
  if (listeningOf(config) !== 'open' || config.insecureListen) return
  throw new BgtaskError('misconfigured', `${openSentence(config)} ${openRemedy} BGTASK_INSECURE_LISTEN=on allows it as it is.`)
}

export const openSentence = ({ host }: Where): Sentence =>
  told`HOST is ${host}, which others can reach, and nothing says that TLS stands in front: passwords could be read on their way.`

export const openRemedy = told`Put a proxy with TLS in front and set BGTASK_PUBLIC_URL to its https address (or BGTASK_TRUST_PROXY to its own), or set HOST=127.0.0.1.`

/** What only looks like a loopback address to some resolvers (127.1, 0, a name of /etc/hosts) is none. */
export const isLoopback = (host: string): boolean => {
  const family = isIP(host)
  return host === 'localhost' || (family !== 0 && !host.includes('%') && loopback.check(host, family === 4 ? 'ipv4' : 'ipv6'))
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')
