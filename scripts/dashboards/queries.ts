import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const OPS = fileURLToPath(new URL('../../ops', import.meta.url))

/** One query, and where a person finds it. */
export interface Query {
  readonly place: string
  readonly expression: string
}

interface Dashboard {
  readonly title: string
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[]
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[]
  }
}

/** Every query of every panel, with what Grafana would put in place of its variables when all is selected. */
export function panelQueries(): Query[] {
  return dashboards().flatMap(({ title, panels }) =>
    panels.flatMap((panel) =>
      panel.targets.map(({ expr }) => ({ place: `${title} / ${panel.title}`, expression: filledIn(expr) })),
    ),
  )
}

/** The metrics that variables take their values from, with the label they take. */
export function variableQueries(): Query[] {
  return dashboards().flatMap(({ title, templating }) =>
    templating.list.flatMap(({ name, definition }) => {
      const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(definition ?? '') ?? []
      if (selector === undefined) return []
      return [{ place: `${title} / variable ${name}`, expression: `count by (${label}) (${filledIn(selector)})` }]
    }),
  )
}

export const RULES_FILE = `${OPS}/prometheus/corral.yml`

/**
 * What the alerts look at: an alert is silent when all is well, so its whole expression finds nothing then. Each part of it that reads a
 * metric has to find something.
 */
export function alertQueries(): Query[] {
  const rules = readFileSync(RULES_FILE, 'utf8')
  const parts = rules.split(/^ {6}- alert: /m).slice(1)
  return parts.flatMap((part) => {
    const [name = ''] = part.split('\n')
    const expression = /expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)/.exec(part)
    const text = expression?.[1] ?? expression?.[2] ?? ''
    const selectors = withoutGrouping(text).match(/\bcache_\w+(\{[^}]*\})?/g) ?? []
    return selectors.map((selector) => ({ place: `alert ${name}`, expression: selector }))
  })
}

/** Names of metrics in an expression: what is neither a label to group by nor one to select by. */
export function metricsIn({ expression }: Query): string[] {
  const bare = withoutGrouping(expression).replace(/\{[^}]*\}/g, '')
  return [...new Set(bare.match(/\bcache_\w+/g) ?? [])]
}

/** Labels that the answer is told apart by. A misspelt one is no error to Prometheus: everything falls into one group. */
export function groupingsIn({ expression }: Query): string[] {
  const lists = [...expression.matchAll(/\bby \(([^)]*)\)/g)].map(([, list = '']) => list.split(/,\s*/))
  return [...new Set(lists.flat())].filter((label) => label !== 'le')
}

function withoutGrouping(expression: string): string {
  return expression.replace(/\bby \([^)]*\)/g, '')
}

function dashboards(): Dashboard[] {
  const files = readdirSync(`${OPS}/grafana`).filter((file) => file.endsWith('.json'))
  if (files.length === 0) throw new Error('ops/grafana has no dashboards')
  return files.map((file) => JSON.parse(readFileSync(`${OPS}/grafana/${file}`, 'utf8')))
}

function filledIn(expression: string): string {
  return expression.replaceAll('$namespace', '.*').replaceAll('$table', '.*').replaceAll('$__rate_interval', '1m')
}
