import type { Comparison } from '../harness/scenario.js'
import { escaped } from './html.js'
import { figure } from './verdict.js'

const WIDTH = 460
const ROW = 26
const LABEL = 150
const VALUE = 66
const FIELD = WIDTH - LABEL - VALUE

/** One bar for each contender's median, with a line from its least to its greatest round. From zero, so that lengths compare. */
export function drawBars({ results, raw, label }: Comparison, title: string): string {
  const entries = Object.entries(results)
  const most = Math.max(...entries.map(([, { max }]) => max), Number.MIN_VALUE)
  const x = (value: number) => LABEL + (value / most) * FIELD
  const rows = entries.map(([name, { median, min, max }], at) => {
    const y = at * ROW
    const middle = y + ROW / 2
    const look = name.startsWith('corral') ? 'own' : name === raw ? 'raw' : 'peer'
    const range =
      min === max
        ? ''
        : `<path class="range" d="M${fixed(x(min))} ${middle}H${fixed(x(max))}M${fixed(x(min))} ${middle - 4}v8M${fixed(x(max))} ${middle - 4}v8"/>`
    return [
      `<text x="${LABEL - 8}" y="${middle + 4}" text-anchor="end" class="name">${escaped(shortened(name))}</text>`,
      `<rect class="${look}" x="${LABEL}" y="${y + 5}" width="${fixed(Math.max(1, x(median) - LABEL))}" height="${ROW - 10}" rx="2"/>`,
      range,
      `<text x="${WIDTH}" y="${middle + 4}" text-anchor="end" class="value">${figure(median)}</text>`,
    ].join('')
  })
  const name = label === '' ? title : `${title}: ${label}`
  return `<svg class="bars" viewBox="0 0 ${WIDTH} ${entries.length * ROW}" role="img" aria-label="${escaped(name)}">${rows.join('')}</svg>`
}

function shortened(name: string): string {
  return name.length > 22 ? `${name.slice(0, 21)}…` : name
}

function fixed(value: number): string {
  return value.toFixed(1)
}
