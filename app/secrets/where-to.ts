import type { Json } from '../task/task.ts'
import { mapSecrets, type Place } from './redact-json.ts'

/**
 * What in params says where an action may send what it is given: the hosts of addresses in any text, and what stands under names like `host` or
 * `server`. Each with its place, so that another order of a list is no other place.
 * @param shown without secrets, as a form has them
 */
export const whereTo = (shown: Json): { place: Place; to: string }[] => {
  const found: { place: Place; to: string }[] = []
  const look = (given: string, place: Place) => {
    // Parsers of addresses take these away wherever they are.
    const text = given.replaceAll(/[\t\r\n]/g, '').trim()
    const all = [...text.matchAll(addresses)]
    for (const [, scheme, authority = ''] of all) {
      // Some parsers end it there, and some do not.
      const readings = new Set([authority, authority.split('\\', 1)[0]!])
      for (const reading of readings) found.push({ place, to: `${scheme}://${hostOf(reading)}`.toLowerCase() })
    }
    if (isHostName(place) && text !== '' && all[0]?.index !== 0) found.push({ place, to: text.toLowerCase() })
  }
  mapSecrets(shown, {
    whole: value => value,
    text: (text, place) => {
      look(text, place)
      return text
    },
    number: (number, place) => {
      look(String(number), place)
      return number
    },
  })
  return found
}

/** The first that was not there before; null: everything goes where it went. */
export const newlyTo = (shown: Json, before: Json): { place: Place; to: string } | null => {
  const idOf = (one: { place: Place; to: string }) => JSON.stringify([one.place, one.to])
  const known = new Set(whereTo(before).map(idOf))
  return whereTo(shown).find(one => !known.has(idOf(one))) ?? null
}

// As forgiving as parsers of addresses are: they take a backslash for a slash, and with http and the like any number of them. Several may follow each other.
const addresses = /((?:https?|wss?|ftp)(?=:)|[a-z][a-z0-9+.-]{0,30}(?=:[/\\])):[/\\]*(?=([^/?#]{1,256}))/gi

/** With its port, and without who is named before it, whatever that has in it; what follows it in a sentence is no part of it. */
const hostOf = (authority: string) => authority.slice(authority.lastIndexOf('@') + 1).replace(/[\s"'<>].*$/, '')

/** By the last word of the nearest name: `smtpHost`, `host`, `api_endpoint`. */
const isHostName = (place: Place): boolean => {
  const name = place.findLast(step => step !== '*') ?? ''
  const last = (name.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+/g) ?? []).at(-1)?.toLowerCase() ?? ''
  return hostWords.has(last) || /(?:主机|服务器|域名|网址)$/.test(name)
}

const hostWords = new Set(
  ['host', 'hostname', 'server', 'endpoint', 'domain', 'url', 'uri', 'proxy', 'gateway', 'relay', 'ip'].flatMap(word => [word, `${word}s`]),
)
