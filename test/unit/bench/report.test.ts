import { describe, expect, it } from 'vitest'
import type { Report } from '../../../bench/harness/report.js'
import { reportOf } from '../../../bench/harness/report.js'
import type { Comparison, Findings, Scenario } from '../../../bench/harness/scenario.js'
import { toMarkdown } from '../../../bench/report/markdown.js'
import { drawPage } from '../../../bench/report/page.js'
import { ahead, isMoreBetter, saidOf } from '../../../bench/report/verdict.js'

const of = (median: number) => ({ median, min: median / 2, max: median * 2 })

function report(unit: string, results: Comparison['results'], label = ''): Report {
  const findings: Findings = {
    comparisons: [{ label, raw: 'raw', results }],
    targets: [{ what: 'a <target>', wanted: '>= 1', found: '0.5', met: false }],
    cannot: { 'peer b': 'has no set-up with Redis alone' },
  }
  const scenario: Scenario = { name: 'race', title: 'who is <fast> & why', unit, run: async () => findings }
  return reportOf(scenario, findings, { quick: false, effort: 1 })
}

const first = ({ comparisons }: Report) => comparisons[0]

describe('the report', () => {
  it('has the shape that scripts read: results by name, ratios to the raw line', () => {
    const { scenario, unit, results, ratios } = report('reads/s', { corral: of(200), raw: of(100) })
    expect({ scenario, unit, results, ratios }).toEqual({
      scenario: 'race',
      unit: 'reads/s',
      results: { corral: of(200), raw: of(100) },
      ratios: { corral: 2, raw: 1 },
    })
  })

  it('holds a result against the raw line that was measured in turns with it', () => {
    const findings: Findings = {
      comparisons: [
        {
          label: '',
          raw: 'raw',
          results: { corral: of(200), raw: of(100), peer: of(90) },
          rawBeside: { peer: of(45) },
        },
      ],
      targets: [],
    }
    const scenario: Scenario = { name: 'race', title: '', unit: 'reads/s', run: async () => findings }
    expect(reportOf(scenario, findings, { quick: false, effort: 1 }).ratios).toEqual({ corral: 2, raw: 1, peer: 2 })
  })

  it.each([
    ['reads/s', '', true],
    ['reads per second of processor time', 'sequential zipf', true],
    ['share of reads that cost the database no load', '', true],
    ['loads per TTL', '', false],
    ['bytes an entry, row included', '', false],
    ['p99 of the reads asked for while Redis was frozen, ms', 'frozen: share answered within 1 s', true],
    ['p99 of the reads asked for while Redis was frozen, ms', 'killed: p99 in ms', false],
    ['p99 of the reads at 10 x the rate, ms', 'loads/s at 10 x', false],
  ])('knows which end of "%s" (%s) is the better one', (unit, label, more) => {
    const made = report(unit, { corral: of(1), raw: of(1) }, label)
    expect(isMoreBetter(made, first(made))).toBe(more)
  })

  it('never keeps silent about who did better', () => {
    const faster = report('reads/s', { corral: of(100), raw: of(150), 'peer a': of(90) })
    expect(ahead(faster, first(faster))).toEqual([{ name: 'raw', times: 1.5 }])
    expect(saidOf(faster, first(faster))).toBe('Better than Corral here: raw (1.50 x).')
    const fewer = report('loads per trial', { corral: of(2), raw: of(8), 'peer a': of(1), 'peer c': of(0) })
    expect(ahead(fewer, first(fewer)).map(({ name }) => name)).toEqual(['peer c', 'peer a'])
    expect(toMarkdown([fewer], 1, [])).toContain('Better than Corral here: peer c, peer a (2.00 x).')
    expect(drawPage([fewer], [], [])).toContain('Better than Corral here: peer c, peer a (2.00 x).')
  })

  it('makes a page that needs nothing from elsewhere and takes text for text', () => {
    const page = drawPage([report('reads/s', { corral: of(1), raw: of(1) })], [], [])
    expect(page).not.toMatch(/(src|href)="(?!#|data:)/)
    expect(page).not.toContain('<script')
    expect(page).toContain('who is &lt;fast&gt; &amp; why')
    expect(page).toContain('peer b does not take part: it has no set-up with Redis alone.')
    expect(page).toContain('missed')
  })
})
