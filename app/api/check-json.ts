import { BgtaskError } from '../errors.ts'
import type { Json } from '../task/task.ts'
import { type Sentence, told } from '../task/told.ts'
import { showValue } from './show-value.ts'

/** What params may be at most. The keys of all objects and the items of all arrays count together. */
export const jsonLimits = { bytes: 65_536, depth: 32, keys: 10_000 } as const

/**
 * Takes a copy of a value that JSON can hold and give back unchanged, reading every property once.
 * @param field how the sentences call it, `params` say
 * @throws BgtaskError `refused`, naming the place, what is there and what is allowed
 */
export const checkJson = (value: unknown, field: string): Json => {
  const seen = { keys: 0, ancestors: new Set<object>() }
  const copy = copyOf(value, field, 1, seen)
  const bytes = Buffer.byteLength(JSON.stringify(copy))
  if (bytes > jsonLimits.bytes) {
    throw refused(
      told`${field} is ${bytes.toLocaleString('en')} bytes of JSON; allowed are ${jsonLimits.bytes.toLocaleString('en')} (64 kB). Put the data into a file or a table and give its name.`,
    )
  }
  return copy
}

/** Whether arrays and objects lie in one another deeper than that. What is, runs whoever walks through it out of stack; this does not walk so. */
export const isDeeperThan = (json: unknown, depth: number): boolean => {
  let level = [json].filter(isNested)
  for (let reached = 1; level.length > 0; reached++) {
    if (reached > depth) return true
    level = level.flatMap(one => Object.values(one)).filter(isNested)
  }
  return false
}

const isNested = (value: unknown): value is object => typeof value === 'object' && value !== null

/** @throws BgtaskError `refused` when a database or a terminal could not hold the text as it is */
export const checkText = (text: string, place: Sentence): string => {
  if (text.includes('\0')) throw refused(told`${place} has a NUL character in it, at position ${text.indexOf('\0')}; take it out.`)
  if (!text.isWellFormed()) throw refused(told`${place} has half of a character in it (a lone surrogate); give whole Unicode text.`)
  return text
}

interface Seen {
  keys: number
  ancestors: Set<object>
}

const copyOf = (value: unknown, place: string, depth: number, seen: Seen): Json => {
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'string') return checkText(value, place)
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value === 0 ? 0 : value
    throw refused(told`${place} is ${value}, which JSON cannot hold; allowed are finite numbers.`)
  }
  if (typeof value === 'undefined') throw refused(told`${place} is undefined, which JSON cannot hold; leave it out, or give null.`)
  if (typeof value !== 'object') throw notJson(value, place)
  if (seen.ancestors.has(value)) throw refused(told`${place} contains itself; params are JSON and cannot have a cycle.`)
  if (depth > jsonLimits.depth) throw refused(told`${place} is nested deeper than ${jsonLimits.depth} levels; give flatter params.`)
  seen.ancestors.add(value)
  const copy = Array.isArray(value) ? copyOfArray(value, place, depth, seen) : copyOfObject(value, place, depth, seen)
  seen.ancestors.delete(value)
  return copy
}

const copyOfArray = (array: unknown[], place: string, depth: number, seen: Seen): Json[] => {
  count(array.length, place, seen)
  const strange = Reflect.ownKeys(array).find(key => key !== 'length' && !(typeof key === 'string' && /^(0|[1-9]\d*)$/.test(key)))
  if (strange !== undefined)
    throw refused(told`${place} is an array with a key ${showKey(strange)}, which JSON cannot hold; give an object.`)
  return Array.from({ length: array.length }, (_, index) => copyOf(array[index], `${place}[${index}]`, depth + 1, seen))
}

const copyOfObject = (object: object, place: string, depth: number, seen: Seen): Json => {
  const prototype = Object.getPrototypeOf(object) as object | null
  // Objects of another realm (node:vm) have another Object.prototype, which has none above it.
  const plain = prototype === null || (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf'))
  if (!plain) throw notJson(object, place)
  const keys = Reflect.ownKeys(object)
  count(keys.length, place, seen)
  const copy = Object.fromEntries(
    keys.map(key => {
      if (typeof key === 'symbol') throw refused(told`${place} has a key ${showKey(key)}, which JSON cannot hold; use text.`)
      if (key === '__proto__') throw forbiddenKey(place, key)
      const inner = `${place}.${checkText(key, told`A key of ${place}`)}`
      return [key, copyOf(read(object, key, inner), inner, depth + 1, seen)]
    }),
  )
  const maker = Object.hasOwn(copy, 'constructor') ? copy.constructor : null
  if (typeof maker === 'object' && maker !== null && Object.hasOwn(maker, 'prototype')) throw forbiddenKey(place, 'constructor.prototype')
  return copy
}

// Code that merges such params into an object of its own would change the prototype of every object.
const forbiddenKey = (place: string, key: string) =>
  refused(
    told`${place} has a key ${showKey(key)}, which is not allowed since it could change every object of a program; name it differently.`,
  )

const read = (object: object, key: string, place: string): unknown => {
  try {
    return (object as Record<string, unknown>)[key]
  } catch (error) {
    throw refused(told`${place} cannot be read (${error instanceof Error ? error.message : String(error)}); give plain data.`)
  }
}

const count = (more: number, place: string, seen: Seen) => {
  seen.keys += more
  if (seen.keys <= jsonLimits.keys) return
  throw refused(
    told`${place} brings the params to more than ${jsonLimits.keys.toLocaleString('en')} keys and items; give fewer, or a file's name.`,
  )
}

const notJson = (value: unknown, place: string) =>
  refused(
    told`${place} is ${showValue(value)}, which JSON cannot hold; allowed are plain objects, arrays, texts, numbers, true, false and null.`,
  )

const showKey = (key: string | symbol) => (typeof key === 'symbol' ? String(key) : JSON.stringify(key))

const refused = (sentence: Sentence) => new BgtaskError('refused', sentence)
