import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { Report } from '../../../bench/harness/report.js'
import { flawsOf } from '../../../bench/harness/report-flaws.js'
import { amountOf } from '../../../bench/harness/scenario.js'
import { SCENARIOS } from '../../../bench/scenarios/index.js'
import { expectedOf, PROMISED } from '../../../bench/scenarios/promised.js'
import { durationOf, effortFor, limitSeconds, parseBudget } from '../../../bench/suite/plan.js'

const RESULTS = fileURLToPath(new URL('../../../bench/results/', import.meta.url))
const saved = readdirSync(RESULTS)
  .filter((file) => file.endsWith('.json'))
  .map((file) => [file, JSON.parse(readFileSync(`${RESULTS}${file}`, 'utf8')) as Report] as const)

const figure = { median: 2, min: 1, max: 3 }
const report = {
  scenario: 'race',
  unit: 'reads/s',
  results: { corral: figure, raw: figure, 'corral, zipf': figure, 'raw, zipf': figure },
  ratios: { corral: 1, raw: 1, 'corral, zipf': 1, 'raw, zipf': 1 },
  comparisons: [
    { label: '', raw: 'raw', results: { corral: figure, raw: figure } },
    { label: 'zipf', raw: 'raw', results: { corral: figure, raw: figure } },
  ],
}

describe('the scenarios', () => {
  it('are all there that others call by name', () => {
    expect(SCENARIOS.map(({ name }) => name)).toEqual(expect.arrayContaining([...PROMISED]))
  })

  it('each have a name of their own, a title and a unit', () => {
    expect(new Set(SCENARIOS.map(({ name }) => name)).size).toBe(SCENARIOS.length)
    for (const { title, unit } of SCENARIOS) expect([title, unit]).not.toContain('')
  })
})

describe('results that were saved', () => {
  it.each(saved)('%s is of a scenario and has the shape that is promised', (file, found) => {
    expect(SCENARIOS.map(({ name }) => name)).toContain(found.scenario)
    expect(file).toBe(`${found.scenario}.json`)
    expect(flawsOf(found, expectedOf(found.scenario))).toEqual([])
    expect(found.date).toMatch(/^\d{4}-\d\d-\d\d$/)
    expect(found.machine).toMatch(/node v/)
  })
})

describe('flawsOf', () => {
  it('finds nothing wrong with a report as it should be', () => {
    expect(flawsOf(report, ['corral'])).toEqual([])
  })

  it.each<[string, object, string]>([
    ['without a result of `corral`', { results: { raw: figure }, comparisons: [report.comparisons[0]] }, 'corral'],
    ['without its raw line', { results: { corral: figure }, comparisons: [report.comparisons[0]] }, 'raw line'],
    ['with a figure that is none', { results: { ...report.results, raw: { ...figure, max: null } } }, 'finite'],
    ['with figures out of order', { results: { ...report.results, raw: { median: 9, min: 1, max: 3 } } }, 'in order'],
    ['with a ratio that is none', { ratios: { ...report.ratios, corral: null } }, 'ratio'],
    ['without a ratio', { ratios: { corral: 1, raw: 1, 'raw, zipf': 1 } }, '`corral, zipf` has no ratio'],
    ['without a unit', { unit: '' }, 'unit'],
    ['without comparisons', { comparisons: [] }, 'comparisons'],
  ])('finds a report %s', (_, change, flaw) => {
    expect(flawsOf({ ...report, ...change }, ['corral']).join()).toContain(flaw)
  })

  it.each([undefined, null, 'text', []])('takes %j for no report', (value) => {
    expect(flawsOf(value)).toEqual(['is no object'])
  })
})

describe('a run of all scenarios', () => {
  const names = SCENARIOS.map(({ name }) => name)
  const sum = (which: 'least' | 'full') => names.reduce((total, name) => total + durationOf(name)[which], 0)

  it('puts as much effort into each as fits into the time that is left', () => {
    expect(effortFor(names, sum('full'))).toBe(1)
    expect(effortFor(names, Number.POSITIVE_INFINITY)).toBe(1)
    expect(effortFor(names, (sum('least') + sum('full')) / 2)).toBeCloseTo(0.5)
    expect(effortFor(names, 0)).toBeGreaterThan(0)
  })

  it('gives each more time than it needs before it counts as stuck', () => {
    for (const name of names) expect(limitSeconds(name)).toBeGreaterThan(2 * durationOf(name).full)
  })

  it('measures in full what the targets are about, and the rest as there is time', () => {
    const little = { quick: false, effort: 0.01 }
    expect(amountOf({ quick: 1, full: 50 }, little)).toBe(50)
    expect(amountOf({ quick: 1, least: 3, full: 50 }, little)).toBe(3)
    expect(amountOf({ quick: 1, least: 3, full: 50 }, { quick: false, effort: 0.5 })).toBe(25)
    expect(amountOf({ quick: 1, least: 3, full: 50 }, { quick: true, effort: 1 })).toBe(1)
  })

  it('reads times as people write them', () => {
    expect(['90s', '25m', '1.5h'].map(parseBudget)).toEqual([90, 1_500, 5_400])
    for (const bad of ['', '25', '0m', '-1m', '5 m', 'm']) {
      expect(() => parseBudget(bad)).toThrow(/--budget: expected a time such as 90s, 25m or 1h, found/)
    }
  })
})
