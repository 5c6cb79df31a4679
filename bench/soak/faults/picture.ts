import type { Timeline } from './timeline.js'

const WIDTH = 1_200
const LEFT = 116
const RIGHT = 16
const STRIP = 110
const GAP = 34
const TOP = 56
const ROW = 9

interface Strip {
  readonly label: string
  readonly scale: 'linear' | 'log'
  readonly lines: readonly { readonly name: string; readonly tone: string; readonly values: readonly number[] }[]
}

const STYLE = `
text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #24292f } .title { font-size: 15px; font-weight: 600 }
.soft { fill: #57606a; font-size: 11px } .panel { fill: #fff } .grid { stroke: #d8dee4; fill: none } .line { fill: none; stroke-width: 1.4 }
.corral { stroke: #1a7f37 } .hand { stroke: #bc4c00 } .grey { stroke: #8b949e } .servers { fill: #8250df } .processes { fill: #bc4c00 }
.band { opacity: 0.07 } .mark { opacity: 0.75 }
text.corral { fill: #1a7f37; stroke: none } text.hand { fill: #bc4c00; stroke: none } text.grey { fill: #57606a; stroke: none }`

/** A run as a picture: throughput, database loads and staleness over time, and every fault where it was. The run by hand, if there was one, beside it. */
export function drawRun(title: string, corral: Timeline, byHand: Timeline | undefined): string {
  const strips: Strip[] = [
    {
      label: 'reads/s',
      scale: 'linear',
      lines: [
        { name: 'answered', tone: 'corral', values: corral.reads },
        { name: 'failed', tone: 'hand', values: corral.failed },
      ],
    },
    {
      label: 'database loads/s',
      scale: 'linear',
      lines: [
        { name: 'Corral', tone: 'corral', values: corral.loads },
        ...(byHand ? [{ name: 'by hand', tone: 'hand', values: byHand.loads }] : []),
      ],
    },
    {
      label: 'stalest read, ms',
      scale: 'log',
      lines: [
        ...(byHand ? [{ name: 'by hand', tone: 'hand', values: byHand.worstMs }] : []),
        { name: 'Corral', tone: 'corral', values: corral.worstMs },
      ],
    },
  ]
  const names = [...new Set(corral.strikes.map(({ name }) => name))].sort()
  const marksTop = TOP + strips.length * (STRIP + GAP)
  const height = marksTop + names.length * ROW + 40
  const length = corral.reads.length
  const x = (second: number) => round(LEFT + (second / length) * (WIDTH - LEFT - RIGHT))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="panel" width="${WIDTH}" height="${height}" rx="6"/>`,
    text(LEFT, 26, title, 'title'),
    ...corral.strikes.map(({ fromS, toS, lane }) =>
      rect(x(fromS), TOP, Math.max(1, x(toS) - x(fromS)), marksTop - TOP - GAP, `band ${lane}`),
    ),
    // The run by hand may have been some seconds longer.
    ...strips.flatMap((strip, at) => drawStrip(strip, TOP + at * (STRIP + GAP), length, x)),
    ...names.flatMap((name, at) => {
      const y = marksTop + at * ROW
      const own = corral.strikes.filter((strike) => strike.name === name)
      return [
        `<text class="soft" x="${LEFT - 6}" y="${y + 7}" text-anchor="end" style="font-size:8px">${escaped(name)}</text>`,
        ...own.map(({ fromS, toS, lane }) =>
          rect(x(fromS), y + 1, Math.max(2, x(toS) - x(fromS)), ROW - 2, `mark ${lane}`),
        ),
      ]
    }),
    ...ticks(length).map((second) => text(x(second), height - 12, `${second} s`, 'soft', 'middle')),
    '</svg>\n',
  ].join('\n')
}

function drawStrip(
  { label, scale, lines }: Strip,
  top: number,
  length: number,
  x: (second: number) => number,
): string[] {
  const most = Math.max(1, ...lines.flatMap(({ values }) => values))
  const position = (value: number) => (scale === 'log' ? Math.log10(1 + value) / Math.log10(1 + most) : value / most)
  const y = (value: number) => round(top + STRIP - position(value) * STRIP)
  const marks = scale === 'log' ? [10, 100, 1_000, 10_000, 100_000].filter((mark) => mark < most) : [most / 2]
  return [
    ...[0, ...marks, most].flatMap((mark) => [
      `<path class="grid" d="M${LEFT} ${y(mark)}H${WIDTH - RIGHT}"/>`,
      text(LEFT - 6, y(mark) + 4, Math.round(mark).toLocaleString('en'), 'soft', 'end'),
    ]),
    text(LEFT, top - 6, label, ''),
    ...lines.flatMap(({ name, tone, values }, at) => [
      `<path class="line ${tone}" d="${values
        .slice(0, length)
        .map((value, second) => `${second === 0 ? 'M' : 'L'}${x(second + 0.5)} ${y(value)}`)
        .join('')}"/>`,
      text(LEFT + 150 + at * 80, top - 6, name, tone),
    ]),
  ]
}

function ticks(length: number): number[] {
  const step = [5, 10, 30, 60, 120, 300].find((each) => length / each <= 12) ?? 600
  return Array.from({ length: Math.floor(length / step) + 1 }, (_, at) => at * step)
}

function rect(x: number, y: number, width: number, height: number, look: string): string {
  return `<rect class="${look}" x="${x}" y="${y}" width="${round(width)}" height="${height}"/>`
}

function text(x: number, y: number, content: string, look: string, anchor = 'start'): string {
  return `<text class="${look}" x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escaped(content)}</text>`
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
