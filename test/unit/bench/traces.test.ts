import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseTrace, type TraceFormat } from '../../../bench/hit-ratio/traces.js'

const FIXTURES = { arc: 'blocks.arc', lirs: 'phases.lirs', csv: 'cluster.csv', lines: 'words.txt' } as const

function parseFixture(format: TraceFormat) {
  const file = new URL(`../../fixtures/traces/${FIXTURES[format]}`, import.meta.url)
  return parseTrace(readFileSync(file, 'utf8'), format, 1_000)
}

describe('parseTrace', () => {
  it('reads ARC: every line stands for a run of blocks', () => {
    const { keys, keyCount, atMs, writes } = parseFixture('arc')
    // Blocks 100, 101, 102; 101; 500, 501.
    expect([...keys]).toEqual([0, 1, 2, 1, 3, 4])
    expect(keyCount).toBe(5)
    expect([...atMs]).toEqual([0, 1, 2, 3, 4, 5])
    expect([...writes]).toEqual([0, 0, 0, 0, 0, 0])
  })

  it('reads LIRS: one block a line, phases are no requests', () => {
    expect([...parseFixture('lirs').keys]).toEqual([0, 1, 0, 2])
  })

  it('reads the csv of the Twitter traces: times, writes, keys with commas', () => {
    const { keys, writes, atMs, keyCount } = parseFixture('csv')
    expect([...keys]).toEqual([0, 1, 0, 2])
    expect(keyCount).toBe(3)
    expect([...writes]).toEqual([0, 1, 0, 0])
    // Three requests in the first second are spread over it; the fourth came two seconds later.
    expect([...atMs].map(Math.round)).toEqual([0, 333, 667, 2_000])
  })

  it('reads one key a line', () => {
    expect([...parseFixture('lines').keys]).toEqual([0, 1, 0])
  })

  it.each([
    ['arc', '100 3\nabc 1', 'arc trace, line 2: expected a whole number, found "abc 1"'],
    ['arc', '100', 'arc trace, line 1: expected a whole number, found "100"'],
    ['lirs', '7\n-8', 'lirs trace, line 2: expected a whole number, found "-8"'],
    ['csv', '10,key', 'csv trace, line 1: expected timestamp,key,key size,value size,client,operation,ttl'],
    ['csv', 'ten,key,1,1,1,get,0', 'csv trace, line 1: expected timestamp,key'],
    ['lines', '\n \n', 'lines trace, line 3: expected at least one request'],
    ['csv', '', 'csv trace, line 1: expected at least one request'],
  ] as const)('refuses a bad %s trace, naming line and expectation', (format, text, message) => {
    expect(() => parseTrace(text, format, 1_000)).toThrow(message)
  })

  it('takes Windows line ends, and a time that steps back as the time before it', () => {
    const { atMs } = parseTrace('5,a,1,1,1,get,0\r\n4,b,1,1,1,get,0\r\n6,c,1,1,1,delete,0\r\n', 'csv', 1_000)
    expect([...atMs]).toEqual([0, 500, 1_000])
  })
})
