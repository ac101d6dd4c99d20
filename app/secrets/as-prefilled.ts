import type { Json } from '../task/task.ts'

/**
 * Params that came back from somebody who was told them without their secrets: what stands as it was told becomes what a form begins with, which
 * restoreParams() understands.
 * @param told as redactJson() shows them @param shown the same, as prefillParams() shows them
 */
export const asPrefilled = (given: Json, told: Json, shown: Json): Json => {
  if (Array.isArray(given) && Array.isArray(told) && Array.isArray(shown))
    return given.map((item, index) => (index < told.length ? asPrefilled(item, told[index]!, shown[index]!) : item))
  if (isObject(given) && isObject(told) && isObject(shown))
    return Object.fromEntries(
      Object.entries(given).map(([key, value]) => [
        key,
        Object.hasOwn(told, key) && Object.hasOwn(shown, key) ? asPrefilled(value, told[key]!, shown[key]!) : value,
      ]),
    )
  return typeof given === 'string' && given === told ? shown : given
}

const isObject = (json: Json): json is { [key: string]: Json } => typeof json === 'object' && json !== null && !Array.isArray(json)
