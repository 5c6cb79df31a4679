import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { referencePages } from '../../../scripts/reference.js'
import { DEFAULTS } from '../../../src/config.js'

const root = new URL('../../../', import.meta.url)

describe('the reference', () => {
  it.each(referencePages().map(({ path, text }) => [path, text]))('%s says what the source says', (path, text) => {
    expect(readFileSync(new URL(path, root), 'utf8')).toBe(text)
  })
})

describe("the README's table of options", () => {
  const rows = [...readFileSync(new URL('README.md', root), 'utf8').matchAll(/^\| `(\w+)\.(\w+)` \| ([\d,]+) \|/gm)]

  it('has rows', () => {
    expect(rows.length).toBeGreaterThan(5)
  })
  it.each(rows.map(([, group, leaf, value]) => [`${group}.${leaf}`, value]))(
    'gives the default of %s',
    (path, value) => {
      const [group, leaf] = (path as string).split('.') as [keyof typeof DEFAULTS, string]
      expect((DEFAULTS[group] as Record<string, number>)[leaf]).toBe(Number(value?.replaceAll(',', '')))
    },
  )
})
