import { BlockList, isIP } from 'node:net'

/**
 * Whether an address belongs to the public internet: what is left when all is taken away that reaches this machine, its networks, what clouds keep
 * there (169.254.169.254), and addresses that stand for such ones.
 */
export const isPublicAddress = (address: string): boolean => {
  const family = isIP(address)
  if (family === 4) return !closed4.check(address, 'ipv4')
  // A zone (fe80::1%eth0) is only there within a network.
  if (family !== 6 || address.includes('%')) return false
  return open6.check(address, 'ipv6') && !closed6.check(address, 'ipv6')
}

const closed4 = new BlockList()
for (const network of [
  '0.0.0.0/8', // this network
  '10.0.0.0/8',
  '100.64.0.0/10', // of providers, and of some clouds' metadata
  '127.0.0.0/8',
  '169.254.0.0/16', // link-local, and metadata
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24', // 6to4
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
]) {
  const [net = '', bits] = network.split('/')
  closed4.addSubnet(net, Number(bits), 'ipv4')
}

/** All that is given out. IPv4-mapped, NAT64, local and multicast addresses lie outside. */
const open6 = new BlockList()
open6.addSubnet('2000::', 3, 'ipv6')

const closed6 = new BlockList()
for (const [net, bits] of [
  ['2001::', 23], // Teredo and other protocols, which hold IPv4 addresses
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4
  ['3fff::', 20],
] as const)
  closed6.addSubnet(net, bits, 'ipv6')
