import type { Histogram, Registry } from 'prom-client'
import type { Panel } from '../panel.ts'
import { type Facts, readFacts } from './facts.ts'
import { metrics, requestTimes } from './list.ts'

/** What is told, in Prometheus' text format, and the times of requests that it tells. */
export interface MetricsText {
  contentType: string
  /** Asked by many at once, or again within a second, it is made once. */
  read(): Promise<string>
  /** @param seconds how long the request took */
  noteRequest(request: { method: string; route: string; code: string }, seconds: number): void
}

const goodForMs = 1_000

/** Loads prom-client, which costs tens of milliseconds and some megabytes: to be called when somebody asks. */
export const openMetricsText = async (panel: Panel): Promise<MetricsText> => {
  const client = await import('prom-client')
  const { Counter, Gauge, Histogram, Registry } = client
  const ofProcess = processRegistry(client)
  const ofPanel = new Registry()
  const times: Histogram<'method' | 'route' | 'code'> = new Histogram({
    name: requestTimes.name,
    help: requestTimes.help,
    labelNames: requestTimes.labels,
    buckets: [0.005, 0.02, 0.06, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [ofPanel],
  })

  /** Made anew each time, so that a loop that is gone is gone here too, and what is not known is not told. */
  const registryOf = (facts: Facts): Registry => {
    const registry = new Registry()
    for (const { name, help, type, labels: labelNames = [], read } of metrics) {
      const samples = read(facts)
      if (samples.length === 0) continue
      const settings = { name, help, labelNames, registers: [registry] }
      if (type === 'counter') {
        const counter = new Counter(settings)
        for (const { labels, value } of samples) counter.inc(labels ?? {}, value)
      } else {
        const gauge = new Gauge(settings)
        for (const { labels, value } of samples) gauge.set(labels ?? {}, value)
      }
    }
    return registry
  }
  const make = async () => {
    const registries = [registryOf(await readFacts(panel)), ofPanel, ofProcess]
    return (await Promise.all(registries.map(registry => registry.metrics()))).join('')
  }

  let making: Promise<string> | null = null
  let made = { text: '', at: Number.NEGATIVE_INFINITY }
  return {
    contentType: ofPanel.contentType,
    read() {
      if (performance.now() - made.at < goodForMs) return Promise.resolve(made.text)
      making ??= make()
        .then(text => {
          made = { text, at: performance.now() }
          return text
        })
        .finally(() => {
          making = null
        })
      return making
    },
    noteRequest: (labels, seconds) => times.observe(labels, seconds),
  }
}

let ofThisProcess: Registry | undefined

/** CPU, memory, event loop: of the process, however many panels it has. */
const processRegistry = ({ collectDefaultMetrics, Registry }: typeof import('prom-client')): Registry => {
  if (ofThisProcess) return ofThisProcess
  ofThisProcess = new Registry()
  collectDefaultMetrics({ register: ofThisProcess, eventLoopMonitoringPrecision: 20 })
  // Gauges with the name of a counter, which promtool finds fault with; the same is told without _total.
  for (const what of ['handles', 'requests', 'resources']) ofThisProcess.removeSingleMetric(`nodejs_active_${what}_total`)
  return ofThisProcess
}
