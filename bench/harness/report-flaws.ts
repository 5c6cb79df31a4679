import type { Comparison } from './scenario.js'
import type { Summary } from './summary.js'

/**
 * What is wrong with a scenario's report, for whoever reads it by program; nothing, if it is as promised:
 * `{ scenario, unit, results: { name: { median, min, max } }, ratios: { name: number } }`, figures finite and in order, with a result of
 * each raw line and a ratio for each result whose raw line is not zero.
 *
 * @param expected names that must have a result.
 */
export function flawsOf(report: unknown, expected: readonly string[] = []): string[] {
  if (!isObject(report)) return ['is no object']
  const { scenario, unit, results, ratios, comparisons } = report
  const flaws = [
    ...(isText(scenario) ? [] : ['`scenario` is no text']),
    ...(isText(unit) ? [] : ['`unit` is no text']),
    ...(isObject(results) ? resultFlaws(results) : ['`results` is no object']),
    ...(isObject(ratios) ? ratioFlaws(ratios) : ['`ratios` is no object']),
    ...(Array.isArray(comparisons) && comparisons.length > 0 ? [] : ['`comparisons` is empty']),
  ]
  if (flaws.length > 0) return flaws
  const missing = expected
    .filter((name) => !(name in (results as object)))
    .map((name) => `there is no result of \`${name}\``)
  return [
    ...missing,
    ...(comparisons as Comparison[]).flatMap((comparison, at) =>
      comparisonFlaws(comparison, at, results as object, ratios as object),
    ),
  ]
}

function comparisonFlaws({ label, raw, results }: Comparison, at: number, found: object, ratios: object): string[] {
  const nameOf = (contender: string) => (at === 0 ? contender : `${contender}, ${label}`)
  const base = (found as Readonly<Record<string, Summary>>)[nameOf(raw)]
  if (base === undefined) return [`the raw line \`${nameOf(raw)}\` has no result`]
  return Object.keys(results)
    .map(nameOf)
    .flatMap((name) => [
      ...(name in found ? [] : [`\`${name}\` has no result`]),
      ...(base.median === 0 || name in ratios ? [] : [`\`${name}\` has no ratio`]),
    ])
}

function resultFlaws(results: Readonly<Record<string, unknown>>): string[] {
  const flaws = Object.entries(results).flatMap(([name, summary]) => {
    if (!isObject(summary)) return [`the result of \`${name}\` is no object`]
    const { min, median, max } = summary
    const figures = [min, median, max]
    if (!figures.every((figure) => typeof figure === 'number' && Number.isFinite(figure))) {
      return [`the result of \`${name}\` is not three finite numbers`]
    }
    const [least, middle, most] = figures as [number, number, number]
    return least <= middle && middle <= most ? [] : [`the result of \`${name}\` is not in order: ${figures.join(', ')}`]
  })
  return flaws
}

function ratioFlaws(ratios: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(ratios)
    .filter(([, ratio]) => typeof ratio !== 'number' || !Number.isFinite(ratio))
    .map(([name]) => `the ratio of \`${name}\` is no finite number`)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}
