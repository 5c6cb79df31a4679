import { describe, expect, it } from 'vitest'
import {
  alertQueries,
  groupingsIn,
  metricsIn,
  panelQueries,
  type Query,
  variableQueries,
} from '../../../scripts/dashboards/queries.js'
import { ATTRIBUTES, type AttributeDefinition } from '../../../src/adapters/otel/attribute-names.js'
import { METRICS, type MetricDefinition } from '../../../src/adapters/otel/names.js'

const metrics: readonly MetricDefinition[] = Object.values(METRICS)
const metricNames = new Set(metrics.flatMap(namesInPrometheus))
const labels = new Map<string, AttributeDefinition[]>()
for (const attribute of Object.values(ATTRIBUTES) as AttributeDefinition[]) {
  const label = attribute.name.replaceAll('.', '_')
  labels.set(label, [...(labels.get(label) ?? []), attribute])
}

/** As the exporter of the JavaScript SDK names them. */
function namesInPrometheus({ name, kind }: MetricDefinition): string[] {
  const base = name.replaceAll('.', '_')
  if (kind === 'histogram') return [`${base}_bucket`, `${base}_count`, `${base}_sum`]
  return [kind.endsWith(' counter') || kind === 'counter' ? `${base}_total` : base]
}

/** `label="value"` and `label=~"one|other"` of a query. */
function matchersOf({ expression }: Query): { label: string; values: string[] }[] {
  return [...expression.matchAll(/(\w+)=~?"([^"]+)"/g)].map(([, label = '', values = '']) => ({
    label,
    values: values.split('|').filter((value) => !value.includes('*')),
  }))
}

describe.each([
  ['panels', panelQueries()],
  ['variables', variableQueries()],
  ['alerts', alertQueries()],
])('%s', (_, queries) => {
  it.each(queries.map((query) => [query.place, query] as const))('%s reads what there is', (_, query) => {
    const names = metricsIn(query)
    expect(names.length).toBeGreaterThan(0)
    for (const name of names) expect(metricNames).toContain(name)
    for (const label of groupingsIn(query)) expect([...labels.keys()]).toContain(label)
    for (const { label, values } of matchersOf(query)) {
      const definitions = labels.get(label)
      expect(definitions, label).toBeDefined()
      const known = definitions?.flatMap((definition) => definition.values ?? []) ?? []
      if (known.length > 0) for (const value of values) expect(known).toContain(value)
    }
  })
})

it('finds the queries of all five dashboards and twelve alerts', () => {
  const places = (queries: Query[]) => new Set(queries.map(({ place }) => place.split(' / ')[0]))
  expect(places(panelQueries()).size).toBe(5)
  expect(places(alertQueries()).size).toBe(12)
})

it('every metric is in a panel or an alert', () => {
  const shown = new Set([...panelQueries(), ...alertQueries()].flatMap(metricsIn))
  const unseen = metrics.filter((metric) => !namesInPrometheus(metric).some((name) => shown.has(name)))
  expect(unseen.map(({ name }) => name)).toEqual([])
})
