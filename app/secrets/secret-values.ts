import type { Json } from '../task/task.ts'
import { leastLength } from './redactor.ts'
import { isDescribingName, isSecretName } from './secret-name.ts'
import { urlPasswords } from './url-passwords.ts'

/** The ways in which a value may be written: as it is, in JSON, in an address, in a form; of one that has several lines, each line. */
export const formsOf = (value: string): string[] => {
  const whole = value.toWellFormed()
  const texts = [whole, whole.trim(), ...(/[\r\n]/.test(whole) ? whole.split(/[\r\n]+/).map(line => line.trim()) : [])]
  return [...new Set(texts.flatMap(waysToWrite))].filter(form => form.length >= leastLength)
}

/** The secrets among params: what stands under a secret's name, and passwords in addresses. */
export const secretValuesIn = (params: Json): string[] => {
  const values = new Set<string>()
  for (const text of textsIn(params)) for (const { start, end } of urlPasswords(text)) addUrlPassword(values, text.slice(start, end))
  collect(params, false, values)
  return [...values]
}

/** The value of `{ name: 'Authorization', value: … }`: pairs as headers and variables are often listed. */
export const nameOfPair = (object: { [key: string]: Json }): string | null => {
  if (!Object.hasOwn(object, 'value')) return null
  const name = Object.hasOwn(object, 'name') ? object.name : Object.hasOwn(object, 'key') ? object.key : null
  return typeof name === 'string' ? name : null
}

/** Whether what stands under this key of an object is a secret. */
export const isSecretAt = (object: { [key: string]: Json }, key: string): boolean => {
  const pair = nameOfPair(object)
  if (pair !== null && key === 'value') return isSecretName(pair)
  if (pair !== null && key === 'key') return false
  return isSecretName(key)
}

/** As it stands in an address, and what it means. */
export const addUrlPassword = (values: Set<string>, written: string): void => {
  values.add(written)
  try {
    values.add(decodeURIComponent(written))
  } catch {
    // A stray % in it: then it means what it says.
  }
}

const collect = (json: Json, isSecret: boolean, values: Set<string>): void => {
  if (typeof json === 'string' || typeof json === 'number') {
    if (isSecret) addValue(values, String(json))
  } else if (Array.isArray(json)) {
    for (const item of json) collect(item, isSecret, values)
  } else if (typeof json === 'object' && json !== null) {
    for (const [key, value] of Object.entries(json)) collect(value, isSecretAt(json, key) || (isSecret && !isDescribingName(key)), values)
  }
}

const addValue = (values: Set<string>, value: string) => {
  if (value === '') return
  values.add(value)
  // Of `Bearer …` the second word is the secret.
  const credentials = /^(?:bearer|basic|token|apikey) +(\S+)$/i.exec(value)?.[1]
  if (credentials) values.add(credentials)
}

const textsIn = (json: Json): string[] => {
  if (typeof json === 'string') return [json]
  return typeof json === 'object' && json !== null ? Object.values(json).flatMap(textsIn) : []
}

/** A longer value is not likely to be part of an address. */
const longestEncoded = 1_024

const waysToWrite = (text: string): string[] => {
  const inJson = JSON.stringify(text).slice(1, -1)
  if (text.length > longestEncoded) return [text, inJson]
  return [text, inJson, encodeURIComponent(text), new URLSearchParams([['', text]]).toString().slice(1), encodeURI(text)]
}
