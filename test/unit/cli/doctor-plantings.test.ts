import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FINDINGS } from '../../../src/cli/doctor/findings.js'

const folder = new URL('../../integration/cli/', import.meta.url)
const tests = readdirSync(folder).filter((name) => /^doctor-.*\.test\.ts$/.test(name))
const plantings = tests.flatMap((name) => {
  const text = readFileSync(new URL(name, folder), 'utf8')
  return [...text.matchAll(/^ *planted\(\s*'([^']+)'/gm)].map((match) => match[1] as string)
})

describe('every finding of the doctor is planted in a test that fails if it is not found', () => {
  it.each(Object.keys(FINDINGS))('%s', (id) => {
    expect(plantings).toContain(id)
  })

  it('and nothing is planted that is no finding', () => {
    expect(plantings.filter((id) => !(id in FINDINGS))).toEqual([])
  })
})
