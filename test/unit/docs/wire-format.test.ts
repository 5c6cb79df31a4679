import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { UnreadableReason } from '../../../src/core/ports.js'
import { WIRE } from '../../../src/core/wire.js'

const root = new URL('../../../', import.meta.url)
const PAGE = readFileSync(new URL('docs/reference/wire-format.md', root), 'utf8')
const fixtures = new URL('test/fixtures/envelopes/', root)
const entries = readdirSync(fixtures)
  .filter((name) => name.endsWith('.bin'))
  .map((name) => readFileSync(new URL(name, fixtures)))

/** The lines of the page's table that has these in its head, cell by cell, without the marks of code. */
function rowsOf(...head: readonly string[]): string[][] {
  const [, lines = ''] = PAGE.split(`| ${head.join(' | ')} |\n`)
  const table = /^\|[ -|]+\n((?:\|.*\n)+)/.exec(lines)?.[1] ?? ''
  const cells = (line: string) => line.split('|').slice(1, -1)
  return table
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [cells(line).map((cell) => cell.replace(/`/g, '').trim())]))
}

describe('the reference of the wire format', () => {
  const fields: Readonly<Record<string, { readonly at: number; readonly width: number }>> = {
    'magic, format': { at: 0, width: WIRE.magic.length },
    'fill time': WIRE.filledAt,
    checksum: WIRE.checksum,
    kind: WIRE.kind,
    encoding: WIRE.encoding,
    shape: WIRE.shape,
    version: WIRE.version,
    'fresh for': WIRE.freshMs,
    'load cost': WIRE.loadMs,
    epoch: WIRE.epoch,
    'snapshot length': WIRE.snapshotLength,
  }

  it('says where each field of the header is', () => {
    const wanted = Object.entries(fields).map(([name, { at, width }]) => [
      name,
      width === 1 ? `${at}` : `${at} to ${at + width - 1}`,
    ])
    const written = rowsOf('field', 'bytes', 'holds').map(([name, bytes]) => [name, bytes])
    expect(written).toEqual([...wanted, ['snapshot', `from ${WIRE.body}`], ['payload', 'the rest']])
  })

  it('shows the header of an entry that there is', () => {
    const [, shown = ''] = /^```\n(C1 .*) <snapshot><payload>\n```$/m.exec(PAGE) ?? []
    const header = shown.replaceAll(' ', '')
    expect(header).toHaveLength(WIRE.body)
    expect(entries.map((entry) => entry.toString('latin1', 0, WIRE.body))).toContain(header)
  })

  it.each([
    ['kind', ['kind', 'entry', 'payload'], WIRE.kind.at],
    ['encoding', ['encoding', 'payload'], WIRE.encoding.at],
  ] as const)('names every %s', (_, head, at) => {
    const written = rowsOf(...head).map(([mark]) => mark)
    const found = new Set(entries.map((entry) => entry.toString('latin1', at, at + 1)))
    expect([...found].sort()).toEqual([...written].sort())
  })

  it('names every reason for which bytes are not read', () => {
    const reasons: Record<UnreadableReason | 'payload', true> = {
      ...{ foreign: true, format: true, corrupt: true, oversized: true, payload: true },
      ...{ 'unknown-key': true, forged: true, unencrypted: true },
    }
    expect(
      rowsOf('reason', 'the bytes')
        .map(([reason]) => reason)
        .sort(),
    ).toEqual(Object.keys(reasons).sort())
  })
})
