import type { Facts } from './facts.ts'

/** A thing that is measured. Names and units are by Prometheus' conventions. */
export interface Metric {
  name: `bgtask_${string}`
  /** One sentence, also what the README says of it. */
  help: string
  type: 'gauge' | 'counter'
  /** Of each sample; none when not given. */
  labels?: readonly string[]
  /** No sample at all of what is not known: a zero would be a lie. */
  read(facts: Facts): Sample[]
}

export interface Sample {
  value: number
  labels?: Record<string, string>
}

export const seconds = (ms: number) => ms / 1000
/** No sample when it is not known. */
export const one = (value: number | null | undefined, labels?: Record<string, string>): Sample[] =>
  value === null || value === undefined ? [] : [labels ? { value, labels } : { value }]
