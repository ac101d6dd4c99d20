import type { Config } from '../config.ts'

/** Where people find the panel: BGTASK_PUBLIC_URL, else the address it listens on, as a browser of this machine reaches it. */
export const panelAddress = ({ publicUrl, host, port, prefix }: Pick<Config, 'publicUrl' | 'host' | 'port' | 'prefix'>): string =>
  (publicUrl ?? `http://${reachableHost(host)}:${port}`) + prefix

/** An address to listen on as one to go to from this machine, written as a URL wants it. */
export const reachableHost = (host: string): string =>
  host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host
