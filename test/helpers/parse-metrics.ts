/** A metric as it stands in Prometheus' text format. */
export interface ParsedMetric {
  name: string
  type: string
  help: string
  samples: { name: string; labels: Record<string, string>; value: number }[]
}

/**
 * Prometheus' text format 0.0.4, read more strictly than Prometheus does: HELP and TYPE stand before the samples, all of a metric stands together,
 * nothing is told twice, counters alone end with _total, histograms are whole.
 * @throws Error naming the line that is wrong
 */
export const parseMetrics = (text: string): Map<string, ParsedMetric> => {
  const metrics = new Map<string, ParsedMetric>()
  const told = new Set<string>()
  let current: ParsedMetric | undefined
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  for (const [at, line] of text.slice(0, -1).split('\n').entries()) {
    const wrong = (why: string): never => {
      throw new Error(`line ${at + 1}: ${why}: ${line}`)
    }
    if (line === '') continue
    const [, help] = /^# HELP (.*)$/.exec(line) ?? []
    if (help !== undefined) {
      const [, name, words] = /^([a-z][a-z0-9_]*) (\S.*)$/.exec(help) ?? wrong('no name and no words')
      if (metrics.has(name!)) wrong('told before')
      current = { name: name!, help: words!, type: '', samples: [] }
      metrics.set(name!, current)
      continue
    }
    const [, typed, type] = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line) ?? []
    if (typed !== undefined) {
      if (current?.name !== typed || current.type !== '') wrong('its HELP is not before it')
      if (typed.endsWith('_total') !== (type === 'counter')) wrong('counters, and nothing else, end with _total')
      current!.type = type!
      continue
    }
    const [, name, given, value] = /^([a-z][a-z0-9_]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? wrong('no sample')
    if (!current?.type) return wrong('its TYPE is not before it')
    const ends = current.type === 'histogram' ? ['_bucket', '_sum', '_count'] : current.type === 'summary' ? ['', '_sum', '_count'] : ['']
    if (!ends.some(end => name === `${current!.name}${end}`)) wrong('a sample of another metric')
    const series = `${name}{${given ?? ''}}`
    if (told.has(series)) wrong('told twice')
    told.add(series)
    if (!/^(?:-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|[+-]Inf|NaN)$/i.test(value!)) wrong('no number')
    const number = value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value)
    if (current.type === 'counter' && !(number >= 0)) wrong('a counter below 0')
    current.samples.push({ name: name!, labels: labelsOf(given, wrong), value: number })
  }
  for (const { name, type, samples } of metrics.values()) {
    if (type === '') throw new Error(`${name} has no type`)
    if (type === 'histogram') requireWhole(name, samples)
  }
  return metrics
}

const labelsOf = (given: string | undefined, wrong: (why: string) => never): Record<string, string> => {
  const labels: Record<string, string> = {}
  for (let rest = given ?? ''; rest !== ''; ) {
    const [all, name, value] = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=.)|$)/.exec(rest) ?? wrong('labels that cannot be read')
    if (Object.hasOwn(labels, name!)) wrong('a label twice')
    labels[name!] = value!.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
    rest = rest.slice(all!.length)
  }
  return labels
}

const requireWhole = (name: string, samples: ParsedMetric['samples']) => {
  const keyOf = ({ labels: { le: _, ...rest } }: ParsedMetric['samples'][number]) => JSON.stringify(rest)
  for (const [key, own] of Map.groupBy(samples, keyOf)) {
    const buckets = own.filter(sample => sample.name === `${name}_bucket`)
    const count = own.find(sample => sample.name === `${name}_count`)?.value
    if (buckets.at(-1)?.labels.le !== '+Inf' || buckets.at(-1)?.value !== count)
      throw new Error(`${name} ${key}: the last bucket is not all`)
    if (buckets.some(({ value }, at) => at > 0 && value < buckets[at - 1]!.value)) throw new Error(`${name} ${key}: buckets that shrink`)
    if (!own.some(sample => sample.name === `${name}_sum`)) throw new Error(`${name} ${key}: no sum`)
  }
}
