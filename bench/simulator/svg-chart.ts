export interface Axis {
  readonly label: string
  readonly scale: 'linear' | 'log'
  readonly min: number
  readonly max: number
  readonly ticks: readonly number[]
}

export type Tone = 'orange' | 'green' | 'purple' | 'grey'

export interface Line {
  readonly label: string
  /** Where the label's baseline begins or ends, in data units: placed by hand so that no label covers a line. */
  readonly labelAt: readonly [x: number, y: number]
  readonly anchor?: 'start' | 'middle' | 'end'
  readonly tone: Tone
  readonly points: readonly (readonly [x: number, y: number])[]
  /** `line`: as it is. `dashed`: a reference. `dots`: measured, with the line between them. */
  readonly style: 'line' | 'dashed' | 'dots'
}

export interface Chart {
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly lines: readonly Line[]
}

const WIDTH = 720
const HEIGHT = 400
const PLOT = { left: 72, right: 24, top: 52, bottom: 56 }

type Palette = Readonly<Record<'panel' | 'ink' | 'soft' | 'grid' | Tone, string>>

const LIGHT: Palette = {
  panel: '#ffffff',
  ink: '#24292f',
  soft: '#57606a',
  grid: '#d8dee4',
  orange: '#bc4c00',
  green: '#1a7f37',
  purple: '#8250df',
  grey: '#6e7781',
}

const DARK: Palette = {
  panel: '#0d1117',
  ink: '#e6edf3',
  soft: '#9198a1',
  grid: '#2b3138',
  orange: '#f0883e',
  green: '#3fb950',
  purple: '#bc8cff',
  grey: '#9198a1',
}

/** Each chart brings its own background, so that it is readable wherever it is shown; a dark one where the screen is dark. */
const STYLE = `
text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif } .title { font-size: 15px; font-weight: 600 } path { fill: none }
${rules(LIGHT)}
@media (prefers-color-scheme: dark) {
${rules(DARK)}
}`

function rules({ panel, ink, soft, grid, ...tones }: Palette): string {
  const surfaces = `.panel { fill: ${panel} } .ink { fill: ${ink} } .soft { fill: ${soft} } .grid { stroke: ${grid} }`
  const lines = Object.entries(tones).map(
    ([tone, colour]) => `.${tone} path { stroke: ${colour} } .${tone} circle, .${tone} text { fill: ${colour} }`,
  )
  return [surfaces, ...lines].join('\n')
}

/** One chart as a complete SVG document of 720 by 400. */
export function drawChart(chart: Chart): string {
  const x = project(chart.x, PLOT.left, WIDTH - PLOT.right)
  const y = project(chart.y, HEIGHT - PLOT.bottom, PLOT.top)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(chart.title)}">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="panel" width="${WIDTH}" height="${HEIGHT}" rx="6"/>`,
    text(PLOT.left, 30, chart.title, 'ink title'),
    ...chart.x.ticks.map((tick) => verticalRule(x(tick), tick)),
    ...chart.y.ticks.map((tick) => horizontalRule(y(tick), tick)),
    text((PLOT.left + WIDTH - PLOT.right) / 2, HEIGHT - 14, chart.x.label, 'soft', 'middle'),
    `<g transform="translate(18 ${(PLOT.top + HEIGHT - PLOT.bottom) / 2}) rotate(-90)">${text(0, 0, chart.y.label, 'soft', 'middle')}</g>`,
    ...chart.lines.flatMap((line) => drawLine(line, x, y)),
    '</svg>\n',
  ].join('\n')
}

type Projection = (value: number) => number

function project(axis: Axis, from: number, to: number): Projection {
  const position = axis.scale === 'log' ? Math.log : (value: number) => value
  const [low, high] = [position(axis.min), position(axis.max)]
  // What lies outside the axis is drawn on its edge: a log axis has no 0.
  const inside = (value: number) => Math.min(axis.max, Math.max(axis.min, value))
  return (value) => round(from + ((position(inside(value)) - low) / (high - low)) * (to - from))
}

function drawLine(line: Line, x: Projection, y: Projection): string[] {
  const path = line.points.map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${x(px)} ${y(py)}`).join('')
  const look =
    line.style === 'dashed' ? 'stroke-width="1.5" stroke-dasharray="5 4"' : 'stroke-width="2" stroke-linejoin="round"'
  const dots = line.points.map(([px, py]) => `<circle cx="${x(px)}" cy="${y(py)}" r="3.5"/>`)
  return [
    `<g class="${line.tone}">`,
    `<path ${look} d="${path}"/>`,
    ...(line.style === 'dots' ? [dots.join('')] : []),
    text(x(line.labelAt[0]), y(line.labelAt[1]), line.label, '', line.anchor),
    '</g>',
  ]
}

function verticalRule(at: number, tick: number): string {
  const rule = `<path class="grid" d="M${at} ${PLOT.top}V${HEIGHT - PLOT.bottom}"/>`
  return rule + text(at, HEIGHT - PLOT.bottom + 18, tick.toLocaleString('en'), 'soft', 'middle')
}

function horizontalRule(at: number, tick: number): string {
  const rule = `<path class="grid" d="M${PLOT.left} ${at}H${WIDTH - PLOT.right}"/>`
  return rule + text(PLOT.left - 8, at + 4, tick.toLocaleString('en'), 'soft', 'end')
}

function text(x: number, y: number, content: string, look: string, anchor: Line['anchor'] = 'start'): string {
  return `<text class="${look}" x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escaped(content)}</text>`
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
