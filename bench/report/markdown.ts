import type { Report } from '../harness/report.js'
import { type Table, toMarkdown as tableMarkdown } from '../simulator/table.js'
import { figure, isMoreBetter, saidOf } from './verdict.js'

/** The part of docs/benchmarks.md that comes from results. */
export function toMarkdown(reports: readonly Report[], scale: number, simulated: readonly Table[]): string {
  return [
    glance(reports),
    ...reports.map(section),
    ...(simulated.length > 0 ? [simulation(scale, simulated)] : []),
  ].join('\n\n')
}

function glance(reports: readonly Report[]): string {
  const rows = reports.map(({ scenario, unit, comparisons: [first], targets, date, quick }) => {
    const [corral, raw] = [first.results.corral, first.results[first.raw]].map((summary) =>
      summary ? figure(summary.median) : '–',
    )
    const met = targets.filter((target) => target.met).length
    const verdict = met === targets.length ? `${met} of ${targets.length}` : `**${met} of ${targets.length}**`
    return `| \`${scenario}\` | ${unit} | ${corral} | ${raw} | ${targets.length === 0 ? 'none' : verdict} | ${date}${quick ? ', quick' : ''} |`
  })
  return [
    '| scenario | unit | Corral | raw | targets met | measured |',
    '| --- | --- | ---: | ---: | --- | --- |',
    ...rows,
  ].join('\n')
}

function simulation(scale: number, tables: readonly Table[]): string {
  const intro = `The shipped policies over ${(1_000_000 * scale).toLocaleString('en')} requests of each kind of traffic, seeded: \`node --import tsx bench/hit-ratio/main.ts${scale < 1 ? ' --quick' : ''}\`. Each strategy is the one before it and one thing more.`
  return [
    '### Hit ratios, simulated',
    intro,
    ...tables.map((table) => `#### ${table.title}\n\n${tableMarkdown(table)}`),
  ].join('\n\n')
}

function section(report: Report): string {
  const { scenario, title, unit, comparisons, targets, remarks, tables, cannot, machine, date, quick } = report
  const rows = comparisons.flatMap((comparison) => {
    const { label, raw, results } = comparison
    const what = label === '' ? unit : label
    return Object.entries(results).map(([name, { median, min, max }]) => {
      const mark = name === raw ? `${name} (raw)` : name
      return `| ${what}${isMoreBetter(report, comparison) ? '' : ', less is better'} | ${mark} | ${figure(median)} | ${figure(min)} to ${figure(max)} |`
    })
  })
  return [
    `### ${scenario}`,
    `${title}. ${date}${quick ? ', a quick run' : ''}; ${machine.replaceAll('\n', '; ')}. \`npm run bench -- ${scenario}\``,
    ['| what | contender | median | least to greatest |', '| --- | --- | ---: | ---: |', ...rows].join('\n'),
    targets
      .map(({ what, wanted, found, met }) => `- ${met ? 'met' : '**missed**'}: ${what}: ${found} (${wanted})`)
      .join('\n'),
    comparisons
      .map((comparison) => ({ label: comparison.label || unit, said: saidOf(report, comparison) }))
      .filter(({ said }) => said.startsWith('Better'))
      .map(({ label, said }) => `- ${label}: ${said}`)
      .join('\n'),
    (remarks ?? []).map((remark) => `- ${remark}`).join('\n'),
    ...(tables ?? []).map((table) => `${table.title}. ${tableMarkdown(table)}`),
    Object.entries(cannot)
      .map(([name, why]) => `- ${name} does not take part: it ${why}.`)
      .join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}
