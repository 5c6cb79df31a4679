import type { Report } from '../harness/report.js'
import { figure, isMoreBetter, saidOf } from './verdict.js'

/** The part of docs/benchmarks.md that comes from results. */
export function toMarkdown(reports: readonly Report[]): string {
  return reports.map(section).join('\n\n')
}

function section(report: Report): string {
  const { scenario, title, unit, comparisons, targets, cannot, machine, date, quick } = report
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
    Object.entries(cannot)
      .map(([name, why]) => `- ${name} does not take part: it ${why}.`)
      .join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}
