import type { Report } from '../harness/report.js'
import type { Comparison } from '../harness/scenario.js'

/** Whether the larger or the smaller figure is the better one. */
export function isMoreBetter({ unit, scenario }: Report, { label }: Comparison): boolean {
  const what = `${label} ${label === '' || scenario !== 'load-10x' ? unit : ''}`
  if (/loads|\bms\b|bytes|harmed|stale|old row/.test(label === '' ? unit : label)) return false
  return /share|\/s|per second/.test(what)
}

export interface Lead {
  readonly name: string
  /** How many times better than Corral. Undefined: Corral's figure leaves no ratio. */
  readonly times: number | undefined
}

/** Contenders that did better than Corral, best first. Raw lines count: they are what could be had without a library. */
export function ahead(report: Report, comparison: Comparison): Lead[] {
  const corral = comparison.results.corral?.median
  if (corral === undefined) return []
  const more = isMoreBetter(report, comparison)
  return Object.entries(comparison.results)
    .filter(([name, { median }]) => !name.startsWith('corral') && (more ? median > corral : median < corral))
    .map(([name, { median }]) => {
      const [least, most] = [Math.min(median, corral), Math.max(median, corral)]
      return { name, times: least === 0 ? undefined : most / least }
    })
    .sort((a, b) => (b.times ?? Number.POSITIVE_INFINITY) - (a.times ?? Number.POSITIVE_INFINITY))
}

/** In words, for people: never silent where somebody else is better. */
export function saidOf(report: Report, comparison: Comparison): string {
  if (comparison.results.corral === undefined) return ''
  const leads = ahead(report, comparison)
  if (leads.length === 0) return 'Nobody measured here did better.'
  const list = leads.map(({ name, times }) => (times === undefined ? name : `${name} (${times.toFixed(2)} x)`))
  return `Better than Corral here: ${list.join(', ')}.`
}

/** Four digits at most, thousands apart. */
export function figure(value: number): string {
  const rounded = Number(value.toPrecision(4))
  return Math.abs(rounded) >= 1_000 ? Math.round(rounded).toLocaleString('en') : String(rounded)
}
