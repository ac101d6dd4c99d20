import { nearestNames } from './nearest-names.ts'
import { anyOf, type Sentence, told } from './told.ts'

/**
 * A time zone as this Node knows it, by its name in the usual case (`europe/berlin` is Europe/Berlin).
 * @returns the name, or a sentence that says what is wrong with it and which are like it
 */
export const readTimeZone = (given: string): { timeZone: string } | { fault: Sentence } => {
  const name = given.trim()
  const usual = usualNames().get(name.toLowerCase())
  if (usual !== undefined) return { timeZone: usual }
  try {
    // Older names (Asia/Calcutta) and offsets (+01:00) are understood as well, and kept as they are.
    if (name !== '') return { timeZone: kept(name, new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone) }
  } catch {
    // Told below.
  }
  const like = nearest(name)
  return {
    fault: told`There is no time zone ${JSON.stringify(name.slice(0, 60))}; ${
      like.length > 0 ? told`did you mean ${anyOf(like)}?` : told`names are like Europe/Berlin, America/New_York, Asia/Shanghai or UTC.`
    }`,
  }
}

/** All names, for a list to choose from. */
export const timeZones = (): readonly string[] => [...usualNames().values()]

/** The first name may be any of those that mean the same; only its case is mended. */
const kept = (name: string, resolved: string) => (name.toLowerCase() === resolved.toLowerCase() ? resolved : name)

// People know the town, and not always the continent.
const nearest = (name: string): string[] => {
  const zones = timeZones()
  const town = name.toLowerCase().replaceAll(' ', '_').split('/').at(-1)!
  const sameTown = town === '' ? [] : zones.filter(zone => zone.toLowerCase().split('/').at(-1) === town)
  return [...new Set([...sameTown, ...nearestNames(name, zones)])].slice(0, 3)
}

let names: Map<string, string> | undefined
const usualNames = (): Map<string, string> => {
  names ??= new Map(['UTC', ...Intl.supportedValuesOf('timeZone')].map(zone => [zone.toLowerCase(), zone]))
  return names
}
