import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { envelope } from '../../src/adapters/codec/envelope.js'
import type { NewEntry } from '../../src/core/entry.js'
import type { Version } from '../../src/core/version.js'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

const entry: NewEntry = {
  kind: 'row',
  shape: '1f0c3a7e',
  version: '9223372036854775807' as Version,
  snapshot: undefined,
  freshMs: 60_000,
  loadMs: 5,
  epoch: '00000000',
  payload: Buffer.from('{"id":"42","price":666}'),
}

function sealed(changes: Partial<NewEntry> = {}): Buffer {
  return Buffer.from(envelope.seal({ ...entry, ...changes }))
}

/** Bytes with one place changed, and the checksum made to fit again. */
function forged(at: number, character: string): Buffer {
  const bytes = sealed()
  bytes.write(character, at, 'latin1')
  bytes.write(crc32(bytes.subarray(8)).toString(16).padStart(8, '0'), 0, 'latin1')
  return bytes
}

function flipped(at: number): Buffer {
  const bytes = sealed()
  bytes[at] = (bytes[at] as number) ^ 1
  return bytes
}

/** Sealed bytes (without magic and fill time, which the store adds), and what the reader says of them. */
const PLANTED: Record<string, [Buffer, 'corrupt' | 'format' | 'payload']> = {
  'nothing after the fill time': [Buffer.alloc(0), 'corrupt'],
  'a header cut short': [sealed().subarray(0, 40), 'corrupt'],
  'a payload cut short': [sealed().subarray(0, -1), 'corrupt'],
  'one bit flipped in the checksum': [flipped(0), 'corrupt'],
  'one bit flipped in the version': [flipped(30), 'corrupt'],
  'one bit flipped in the payload': [flipped(70), 'corrupt'],
  'a kind of a later release': [forged(8, 'z'), 'format'],
  'an encoding of a later release': [forged(9, '?'), 'format'],
  'a payload that is no row': [sealed({ payload: Buffer.from('{"id":') }), 'payload'],
  'an entry of another kind': [sealed({ kind: 'lookup' }), 'payload'],
}

describe('foreign bytes are a miss and an event', () => {
  expectNothingLeft()

  it.each(Object.entries(PLANTED))('%s', async (_, [bytes, reason]) => {
    const fleet = new Fleet()
    const [reader, other] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    await fleet.plant(reader.keyOf('42'), bytes)

    expect((await reader.read('42'))?.price).toBe(1)
    expect(reader.events.of('entry.unreadable')).toMatchObject([{ key: reader.keyOf('42'), reason }])
    expect(reader.events.of('miss')).toMatchObject([{ reason: 'unreadable' }])
    await settle()
    expect((await other.read('42'))?.price, 'replaced, whatever version it claimed').toBe(1)
    expect(fleet.table.loads).toHaveLength(1)
    expect(other.events.count('entry.unreadable')).toBe(0)
  })
})
